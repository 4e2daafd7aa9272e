"""Measured power profiles for the demo's meters, and the script that cut them (README.md)."""
