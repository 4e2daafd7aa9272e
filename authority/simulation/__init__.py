"""A whole campus in one process and in time of its own: `authority simulate` (docs/SIMULATION.md)."""
