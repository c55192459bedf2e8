"""Where the embedded engine compiles, so that nothing is left behind."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import casadi as ca

from ...arrays import Json


class Compiler:
    """Makes functions, compiled to C as long as that works.

    Attributes:
        compiled: whether it does. Without a compiler that works, CasADi interprets.
    """

    def __init__(self, compiled: bool) -> None:
        self.compiled = compiled

    def make(self, make: Callable[[dict[str, Json]], ca.Function]) -> ca.Function:
        """What `make` returns with further settings of CasADi."""
        if self.compiled:
            try:
                with compiling() as jit:
                    return make(jit)
            except RuntimeError:
                self.compiled = False
        return make({})

    def function(self, name: str, inputs: Sequence[ca.SX], results: Sequence[ca.SX]) -> ca.Function:
        """A function of symbols; of common subexpressions one is kept."""
        return self.make(lambda jit: ca.Function(name, inputs, results, {"cse": True, **jit}))


@contextmanager
def compiling() -> Iterator[dict[str, Json]]:
    """CasADi's settings to compile in a folder that is gone afterwards; the library stays loaded."""
    name = f"pydiffgeo_{uuid4().hex}_"
    with TemporaryDirectory(prefix="pydiffgeo-", ignore_cleanup_errors=True) as folder:
        shell: dict[str, Json] = {"compiler": "cc", "flags": ["-O2"], "directory": folder + os.sep, "cleanup": False}
        try:
            yield {"jit": True, "jit_name": name, "jit_cleanup": False, "compiler": "shell", "jit_options": shell}
        finally:
            # Some of its versions write some of the sources to the working directory all the same.
            for source in Path.cwd().glob(f"{name}*"):
                source.unlink(missing_ok=True)
