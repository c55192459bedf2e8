"""A ready model is made once: engines trace and compile it by its identity, which takes up to some seconds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import wraps
from threading import Lock
from typing import ParamSpec

import numpy as np
from torch import Tensor

from .declaration import Model

Arguments = ParamSpec("Arguments")
KEPT = 64


def remembered(make: Callable[Arguments, Model]) -> Callable[Arguments, Model]:
    """Lets `make` return the model it made before, for the same arguments; numbers are compared by their values.

    The models are pickled as calls of `make`.
    """
    kept: OrderedDict[object, Model] = OrderedDict()
    anew: Callable[..., Model] = make
    lock = Lock()

    @wraps(make)
    def model(*args: Arguments.args, **choices: Arguments.kwargs) -> Model:
        try:
            key = _key((args, tuple(sorted(choices.items()))))
            hash(key)
        except TypeError:
            # What cannot be looked up is no argument of a model, and is refused.
            return make(*args, **choices)
        with lock:
            if key in kept:
                kept.move_to_end(key)
                return kept[key]
        own, chosen = tuple(map(_own, args)), {k: _own(v) for k, v in choices.items()}
        made = anew(*own, **chosen).made_by(model, *own, **chosen)
        with lock:
            kept[key] = made
            if len(kept) > KEPT:
                kept.popitem(last=False)
        return made

    return model


def _key(value: object) -> object:
    """What tells arguments apart: numbers by type and value, however many; all else by what it is."""
    value = _own(value)
    if isinstance(value, np.ndarray):
        return np.ndarray, value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, (list, tuple)):
        return type(value), tuple(map(_key, value))
    if isinstance(value, dict):
        return dict, tuple((name, _key(entry)) for name, entry in value.items())
    return type(value), value


def _own(value: object) -> object:
    """The same numbers in arrays of their own, which nobody else changes later."""
    if isinstance(value, Tensor):
        return value.detach().cpu().numpy().copy()
    if hasattr(value, "__array__"):  # of NumPy, pandas, xarray
        return np.array(value)
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return type(value)(map(_own, value))
    if isinstance(value, dict):
        return {name: _own(entry) for name, entry in value.items()}
    return value
