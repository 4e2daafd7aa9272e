"""The authority's home directory: settings, keys, certificates."""
