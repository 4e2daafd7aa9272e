"""The agent: reads each boundary, signs, publishes, and deletes nothing before its receipt."""
