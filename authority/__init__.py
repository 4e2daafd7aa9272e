"""The Engineering Department's authority: verifies readings, drives the chain, and serves people."""
