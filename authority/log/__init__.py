"""The audit log: an append-only Merkle tree (RFC 6962), its leaves, checkpoints and proofs."""
