"""MicroPython's struct, and the class Struct that it does not have."""

from ustruct import calcsize, pack, pack_into, unpack, unpack_from  # type: ignore[import-not-found]

error = ValueError


class Struct:
    """A format that is used again."""

    def __init__(self, format):  # type: ignore[no-untyped-def]
        self.format = format
        self.size = calcsize(format)

    def pack(self, *values):  # type: ignore[no-untyped-def]
        """The bytes of the values; an integer out of its range is an error, as on CPython."""
        packed = pack(self.format, *values)
        if list(unpack(self.format, packed)) != list(values):
            raise error("a value does not fit its field")
        return packed

    def unpack(self, data):  # type: ignore[no-untyped-def]
        """The values of the bytes."""
        return unpack(self.format, data)


__all__ = ["Struct", "calcsize", "error", "pack", "pack_into", "unpack", "unpack_from"]
