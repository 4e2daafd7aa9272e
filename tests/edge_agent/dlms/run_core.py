"""Runs the core's tests on the interpreter that runs this file: MicroPython's unix port, or CPython.

    micropython tests/edge_agent/dlms/run_core.py

Prints one line for each failure and one at the end; the exit status is 1 where any test failed.
"""

import sys

_here = __file__.rsplit("/", 1)[0] if "/" in __file__ else "."
sys.path.insert(0, _here)
_root = _here + "/../../.."
sys.path.insert(0, _root)
if sys.implementation.name == "micropython":
    sys.path.insert(0, _root + "/edge_agent/micropython")

MODULES = (
    "test_axdr",
    "test_clock_time",
    "test_obis_and_units",
    "test_hdlc_frame",
    "test_hdlc_link",
    "test_apdus",
    "test_client_server",
    "test_security",
    "test_wrapper",
    "test_telegrams",
    "test_record",
)


def main():
    """Every test of every module; how many failed."""
    passed = failed = 0
    for name in MODULES:
        module = __import__(name)
        for test in sorted(dir(module)):
            if not test.startswith("test_"):
                continue
            try:
                getattr(module, test)()
                passed += 1
            except Exception as error:
                failed += 1
                print(f"FAILED {name}.{test}: {type(error).__name__}: {error}")
                if hasattr(sys, "print_exception"):
                    sys.print_exception(error)
    print(f"{passed} passed, {failed} failed on {sys.implementation.name}")
    return failed


if main():
    sys.exit(1)
