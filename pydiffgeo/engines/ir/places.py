"""Where in the user's code something happens, and what stands there, for messages."""

from __future__ import annotations

import linecache
import sys
from itertools import islice
from pathlib import Path
from types import CodeType, FrameType, TracebackType

HERE = str(Path(__file__).parent)
# Packages through which a local function may reach a value: the user's code is what calls them.
FOREIGN = ("torch", "numpy", "scipy", "pandas", "xarray", "casadi", "sympy", "jax")


def foreign(file: str) -> bool:
    """Is it a file of the tracer, or of a package that the user's code calls, or what NumPy 1.24 makes up?"""
    if file == "<__array_function__ internals>":
        return True
    homes = (getattr(sys.modules.get(name), "__file__", None) for name in FOREIGN)
    return file.startswith((HERE, *(str(Path(home).parent) for home in homes if home)))


def users_frame(frame: FrameType | None) -> FrameType | None:
    """The frame of the user's code that led to `frame`."""
    while frame is not None and foreign(frame.f_code.co_filename):
        frame = frame.f_back
    return frame


def users_step(traceback: TracebackType | None) -> TracebackType | None:
    """The last step of a traceback within the user's code."""
    last = None
    while traceback is not None:
        if not foreign(traceback.tb_frame.f_code.co_filename):
            last = traceback
        traceback = traceback.tb_next
    return last


def expression(code: CodeType, instruction: int, line: int) -> str:
    """The text of the call or comparison at an instruction; the whole line where Python does not say which (3.10)."""
    whole = linecache.getline(code.co_filename, line).rstrip("\n")
    if sys.version_info >= (3, 11):
        first, last, start, end = next(islice(code.co_positions(), instruction // 2, None))
        if first == last == line and start is not None and end is not None:
            return whole.encode()[start:end].decode(errors="replace")
    return whole.strip()
