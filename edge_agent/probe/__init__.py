"""What runs on a microcontroller at the meter's optical port (MicroPython)."""
