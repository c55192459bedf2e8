"""Where the embedded engine compiles, so that nothing is left behind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from ...arrays import Json


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
