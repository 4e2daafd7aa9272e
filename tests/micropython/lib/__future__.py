"""MicroPython never evaluates annotations, and has no `__future__` to say so in."""

annotations = True
