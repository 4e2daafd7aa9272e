"""The core's tests are plain functions with plain asserts, so that MicroPython runs the same files (see check_core.py)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # core_checks
