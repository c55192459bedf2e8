"""The basin models that are chosen by name: in configurations, benchmarks and scripts."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping

from ..checks import shown
from ..errors import InputError, UnknownNameError
from ..model import Model
from ..models import GR4J, HBV, ExpHydro

MODELS: Mapping[str, Callable[..., Model]] = {"ExpHydro": ExpHydro, "HBV": HBV, "GR4J": GR4J}


def basin_model(name: str, **options: object) -> Model:
    """A basin model by its name, in capitals or not: `basin_model("hbv", routing=2)`.

    Args:
        name: "ExpHydro", "HBV" or "GR4J".
        options: those of the function of that name in `dg.models`.

    Raises:
        UnknownNameError: there is no such model.
        InputError: the model has no such option.
        ModelError: the value of an option is none.
    """
    key = full_name(name)
    known = [*inspect.signature(MODELS[key]).parameters]
    for option in options:
        if option not in known:
            raise InputError(f"{key} has no option {option!r}; it has {', '.join(known) or 'none'}")
    return MODELS[key](**options)


def full_name(name: object) -> str:
    """The name as `MODELS` has it.

    Raises:
        UnknownNameError: there is no such model.
    """
    names = {key.lower(): key for key in MODELS}
    if not isinstance(name, str) or name.lower() not in names:
        raise UnknownNameError(f"there is no basin model {shown(name)}; there are {', '.join(MODELS)}")
    return names[name.lower()]
