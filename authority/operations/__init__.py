"""The acts of a campus that lives: meters, members, installations. One function an act, for commands and for pages."""
