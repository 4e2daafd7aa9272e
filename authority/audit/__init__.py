"""The append-only log of readings and acts (RFC 6962), and what an auditor checks with it."""
