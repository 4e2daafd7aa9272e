"""Runs plain test files (functions `test_...` without arguments) under MicroPython, or under CPython.

    micropython run.py ROOT FILE...

For each test one line of JSON: {"file", "test", "error"}, error null where it passed; at last {"ran": N}. The exit
status is 0 even where tests fail: whoever started this counts the lines.
"""

import io
import json
import os
import sys


def _told(error):
    """The traceback as text."""
    if hasattr(sys, "print_exception"):
        text = io.StringIO()
        sys.print_exception(error, text)
        return text.getvalue()
    import traceback

    return "".join(traceback.format_exception(error))


def run_file(path):
    """Run one file's tests in the order of their names; the number of tests."""
    folder, name = path.rsplit("/", 1)
    module = name[: -len(".py")]
    sys.path.insert(0, folder)
    try:
        tests = __import__(module)
        names = sorted([name for name in dir(tests) if name.startswith("test_")])
        for name in names:
            error = None
            try:
                getattr(tests, name)()
            except Exception as caught:
                error = _told(caught)
            print(json.dumps({"file": path, "test": name, "error": error}))
    except Exception as caught:
        print(json.dumps({"file": path, "test": None, "error": _told(caught)}))
        names = []
    finally:
        sys.path.remove(folder)
        sys.modules.pop(module, None)
    return len(names)


def main(root, files):
    sys.path.insert(0, root)
    sys.path.insert(0, root + "/tests/support")
    if sys.implementation.name == "micropython":
        sys.path.insert(0, root + "/edge_agent/probe/micropython")
    ran = 0
    for path in files:
        ran += run_file(path)
    print(json.dumps({"ran": ran}))


main(os.getcwd() if sys.argv[1] == "." else sys.argv[1], sys.argv[2:])
