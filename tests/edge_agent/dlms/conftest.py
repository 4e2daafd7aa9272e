"""The core's tests are plain functions with plain asserts, so that MicroPython runs the same files."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # core_checks
