"""The model that a configuration names: a ready one, or one of the user's own, from its arguments."""

from __future__ import annotations

import difflib
import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path

from ..errors import DataError, PydiffgeoError
from ..model import Model
from ..models.aquifer_tables import Built
from ..models.grid_places import mask_of
from ..models.ready import READY
from ..toml_table import Table
from .fields import resolved


def imported(name: str, *, code: bool, where: str, folder: Path | None = None) -> object:
    """What `package:name` names, imported where `code` is set.

    Raises:
        DataError: there is none, or it would run code that nobody asked for; begins with `where`.
    """
    package, _, attribute = name.partition(":")
    if not code:
        raise DataError(
            f"{where} {name!r} is code: importing {package!r} runs what its author wrote. Where you trust it, say --run-code"
        )
    if folder is not None and str(folder.resolve()) not in sys.path:
        sys.path.insert(0, str(folder.resolve()))
    try:
        found: object = getattr(importlib.import_module(package), attribute)
    # A module may fail in any way while it is imported.
    except Exception as error:
        raise DataError(f"{where} {name!r} cannot be imported ({type(error).__name__}: {error})") from error
    return found


def maker(name: object, *, code: bool, where: str, folder: Path | None = None) -> Callable[..., Model | Built]:
    """What makes the model of a name: that of a ready one, or `package:Name`, which is imported where `code` is set.

    Raises:
        DataError: there is none, or it would run code that nobody asked for; begins with `where`.
    """
    if not isinstance(name, str):
        raise DataError(f"{where} is missing: the name of a ready model ({', '.join(READY)}), or 'my_package:MyModel'")
    if name in READY:
        return READY[name].builder
    if ":" not in name:
        close = difflib.get_close_matches(name, READY, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise DataError(f"{where} {name!r} is no ready model; {hint}there are {', '.join(READY)}")
    found = imported(name, code=code, where=where, folder=folder)
    if isinstance(found, Model):
        return lambda: found
    if not callable(found):
        raise DataError(f"{where} {name!r} is neither a model nor a function that returns one")
    return found


def built(path: Path, name: object, arguments: Table, code: bool) -> Built:
    """The model with its arguments, which may name files, and what came with them.

    Raises:
        DataError: (or a subclass) it cannot be made.
    """
    make = maker(name, code=code, where=f"{path}: model", folder=path.parent)
    given = {k: resolved(v, path.parent, f"{path}: [arguments] {k}") for k, v in arguments.values.items()}
    try:
        inspect.signature(make).bind(**given)
    except TypeError as error:
        raise DataError(f"{path}: [arguments] do not fit {name!r}: {error}") from error
    try:
        # A file has masks as numbers.
        model = make(**{k: mask_of(v, k) if k == "active" else v for k, v in given.items()})  # type: ignore[arg-type]
    except PydiffgeoError as error:
        raise DataError(f"{path}: [arguments] cannot be used: {error}") from error
    except (TypeError, ValueError, AttributeError, LookupError) as error:
        # Values of other types than a ready model takes; what goes wrong within a user's own model is theirs to see.
        if name not in READY:
            raise
        raise DataError(f"{path}: [arguments] cannot be used: {type(error).__name__}: {error}") from error
    if isinstance(model, Built):
        return model
    if not isinstance(model, Model):
        raise DataError(f"{path}: model {name!r} returns {type(model).__name__}, no Model")
    return Built(model)
