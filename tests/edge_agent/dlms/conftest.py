"""The core's tests are plain functions with plain asserts, so that MicroPython runs the same files."""
