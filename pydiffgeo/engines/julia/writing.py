"""Arguments of any kind in one text and two arrays, as `julia/src/reading.jl` reads them.

Julia compiles for each type of what crosses from Python, and for each of a nest of tuples: more than a second for a model.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...arrays import Array, Indices

Value = bool | int | str | Indices | Array | Sequence["Value"]


class Writing:
    """What was written so far."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._whole: list[Indices] = []
        self._numbers: list[Array] = []

    def write(self, value: Value) -> None:
        """Adds a value: an integer for its kind, and another one that is it, or its size."""
        if isinstance(value, bool | np.bool_):
            self._head(1, int(value))
        elif isinstance(value, int | np.integer):
            self._head(0, int(value))
        elif isinstance(value, str):
            self._head(2, len(value))
            self._texts.append(value)
        elif isinstance(value, np.ndarray) and value.dtype.kind in "iu":
            self._head(3, value.size)
            self._whole.append(value.reshape(-1).astype(np.int64))
        elif isinstance(value, np.ndarray):
            self._head(4, value.size)
            self._numbers.append(value.reshape(-1).astype(np.float64))
        else:
            self._head(5, len(value))
            for part in value:
                self.write(part)

    def _head(self, kind: int, size: int) -> None:
        self._whole.append(np.array([kind, size], np.int64))

    def arguments(self) -> tuple[str, Indices, Array]:
        """The text, of ASCII alone, integers and numbers."""
        text = "".join(self._texts)
        assert text.isascii()
        return text, np.concatenate(self._whole), np.concatenate([*self._numbers, np.empty(0)])


def written(*values: Value) -> tuple[str, Indices, Array]:
    """The arguments of `build` in Julia for a model of these."""
    writing = Writing()
    writing.write(values)
    return writing.arguments()
