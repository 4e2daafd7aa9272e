"""A wall clock that goes faster, shared by processes through a file, whose speed may be changed while they run."""

import mmap
import struct
import time

_real_time = time.time
_FORM = struct.Struct("<5d")
"""Real time and fast time of one moment, the factor from then on, seconds of an epoch, and the sum of the first three:
where it does not fit, another process is just writing."""


class FastClock:
    """The clock of a file. `make` makes the file; who opens it sees every later `set_factor`."""

    def __init__(self, path):
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), _FORM.size)

    @classmethod
    def make(cls, path, factor, epoch):
        """A clock that shows the real time now, and goes on `factor` times as fast; epoch: seconds."""
        now = _real_time()
        path.write_bytes(_FORM.pack(now, now, factor, epoch, now + now + factor))
        return cls(path)

    def _read(self):
        while True:
            real, fast, factor, epoch, check = _FORM.unpack(self._shared)
            if check == real + fast + factor:
                return real, fast, factor, epoch

    @property
    def factor(self):
        """How much faster it goes."""
        return self._read()[2]

    def time(self):
        """Unix seconds that it shows."""
        real, fast, factor, _ = self._read()
        return fast + factor * (_real_time() - real)

    def until_boundary(self):
        """Real seconds until it shows the next multiple of an epoch."""
        real, fast, factor, epoch = self._read()
        return (epoch - (fast + factor * (_real_time() - real)) % epoch) / factor

    def set_factor(self, factor):
        """Let it go on at another speed. One process may."""
        now = _real_time()
        real, fast, before, epoch = self._read()
        shows = fast + before * (now - real)
        self._shared[:] = _FORM.pack(now, shows, factor, epoch, now + shows + factor)
