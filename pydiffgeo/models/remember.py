"""A ready model is made once: engines trace and compile it by its identity, which takes up to some seconds."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import ParamSpec

from ..model import Model

Arguments = ParamSpec("Arguments")
KEPT = 64


def remembered(make: Callable[Arguments, Model]) -> Callable[Arguments, Model]:
    """Lets `make` return the model it made before, for the same arguments; arrays among them are not compared."""
    kept = lru_cache(KEPT, typed=True)(make)

    @wraps(make)
    def model(*args: Arguments.args, **choices: Arguments.kwargs) -> Model:
        try:
            hash((args, tuple(choices.items())))
        except TypeError:
            return make(*args, **choices)
        return kept(*args, **choices)  # type: ignore[arg-type]

    return model
