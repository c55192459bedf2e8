"""Numbers and settings in one `.npz`: plain arrays and JSON, nothing that can run code."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .results import write_whole


def write_archive(path: str | Path, about: Mapping[str, object], arrays: Mapping[str, ArrayLike]) -> Path:
    """Writes arrays by name, and what JSON can hold about them; the file appears whole or not at all.

    Raises:
        DataError: the folder does not exist or cannot be written.
    """
    # Whatever the arrays are called: none of them is the argument `allow_pickle`.
    save: Callable[..., None] = np.savez

    def write(temporary: str) -> None:
        try:
            with open(temporary, "wb") as file:
                save(file, about=np.array(json.dumps(about)), **arrays)
        except ValueError as error:
            # Ctrl-C in the wrong moment leaves a member of the archive open, of which zipfile then complains instead.
            if isinstance(error.__context__, KeyboardInterrupt):
                raise error.__context__ from None
            raise

    return write_whole(Path(path), write)


def read_archive(path: str | Path) -> tuple[dict[str, Any], dict[str, NDArray[np.generic]]]:
    """What `write_archive` wrote; nothing is unpickled.

    Raises:
        OSError: the file cannot be opened. ValueError: it is damaged, or holds something else.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            about = json.loads(str(file["about"]))
            arrays = {key: np.array(file[key]) for key in file.files if key != "about"}
    except OSError:
        raise
    # What is no archive at all, damaged, or holds something else, fails in many ways.
    except Exception as error:
        raise ValueError(str(error)) from error
    if not isinstance(about, dict):
        raise ValueError(f"it holds {type(about).__name__} where settings should be")
    return about, arrays
