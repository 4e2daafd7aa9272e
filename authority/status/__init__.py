"""How the campus is: what waits for a person, for the screen, for programs and for monitoring."""
