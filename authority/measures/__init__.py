"""What a campus's energy and market came to: indicators with their definitions, and how they are read from a home."""
