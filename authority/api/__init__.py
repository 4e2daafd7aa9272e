"""The API gateway: views of the campus as JSON under /api/v1, described by OpenAPI 3.1."""
