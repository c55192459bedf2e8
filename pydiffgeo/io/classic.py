"""How long a NetCDF file of the classic formats must be: libraries read zeros where its end is missing.

Source: the NetCDF classic format specification (CDF-1, CDF-2, CDF-5), Unidata.
"""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import DataError

# Bytes of a value by the number of its type.
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 8, 7: 1, 8: 2, 9: 4, 10: 8, 11: 8}
# A header longer than this would be no header.
LONGEST = 1 << 24


class _Header:
    """Reads what the header of a file holds, in its order."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 4
        version = content[3]
        self.count_bytes, self.offset_bytes = (8 if version == 5 else 4), (4 if version == 1 else 8)

    def number(self, size: int) -> int:
        part = self.content[self.at : self.at + size]
        if len(part) < size:
            raise ValueError("the header is cut off")
        self.at += size
        return int.from_bytes(part, "big")

    def count(self) -> int:
        return self.number(self.count_bytes)

    def skip(self, size: int) -> None:
        self.at += size + -size % 4

    def entries(self) -> int:
        """How many entries the list has that begins here."""
        self.number(4)
        return self.count()

    def attributes(self) -> None:
        for _ in range(self.entries()):
            self.skip(self.count())
            size = SIZES[self.number(4)]
            self.skip(size * self.count())

    def length(self) -> int:
        """Bytes from the start of the file to the end of its last value."""
        records = self.count()
        # All ones: a file that was written as a stream, whose records nobody counted.
        records = 0 if records == 256**self.count_bytes - 1 else records
        dimensions = []
        for _ in range(self.entries()):
            self.skip(self.count())
            dimensions.append(self.count())
        self.attributes()
        fixed, varying = list[tuple[int, int]](), list[tuple[int, int]]()
        for _ in range(self.entries()):
            self.skip(self.count())
            shape = [dimensions[self.count()] for _ in range(self.count())]
            self.attributes()
            size = SIZES[self.number(4)]
            self.count()  # the size of the variable, which cannot say what is larger than 4 GiB
            begin = self.number(self.offset_bytes)
            for n in shape[1:] if shape and shape[0] == 0 else shape:
                size *= n
            (varying if shape and shape[0] == 0 else fixed).append((begin, size))
        padded = sum(size if len(varying) == 1 else size + -size % 4 for _, size in varying)
        last = [begin + (records - 1) * padded + size for begin, size in varying] if records else []
        return max([self.at, *(begin + size for begin, size in fixed), *last])


def check_whole(path: Path) -> None:
    """Raises `DataError` where a file of a classic format is shorter than its header says; others pass."""
    try:
        with open(path, "rb") as file:
            start = file.read(4)
            if start[:3] != b"CDF" or start[3:] not in (b"\x01", b"\x02", b"\x05"):
                return
            # Headers list names and attributes, and no data.
            content = start + file.read(LONGEST)
            size = os.fstat(file.fileno()).st_size
    except (OSError, ValueError):
        return  # who opens it will say why not
    try:
        needed = _Header(content).length()
    except (ValueError, KeyError, IndexError) as error:
        raise DataError(f"{path}: cannot be opened as NetCDF (its header makes no sense: {error})") from error
    if size < needed:
        raise DataError(f"{path}: cannot be opened as NetCDF (it is cut off: {size} bytes of {needed})")
