"""COSEM interface classes (Blue Book): attributes by name, each with its type, for both sides of the line."""
