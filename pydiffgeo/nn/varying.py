"""Parameters that change in time: they become forcings of the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace

from torch import Tensor

from ..errors import ModelError, UnknownNameError
from ..model import ForcingVariable, Local, Model, Place


def time_varying(model: Model, names: Sequence[str]) -> Model:
    """The same model with some of its parameters given as forcings, one value per interval.

    Gradients reach them as they reach any forcing. Only what acts within cells and across boundaries sees
    forcings: a parameter that a closure or the flux between cells needs cannot change in time.

    Raises:
        UnknownNameError: the model has no such parameter.
        ModelError: it is a parameter of faces, or of an initial condition.
    """
    parameters = {p.name: p for p in model.parameters}
    for name in names:
        if name not in parameters:
            raise UnknownNameError(f"{model.name} has no parameter {name!r}; it has {[*parameters]}")
        if parameters[name].on != "cell":
            raise ModelError(f"{model.name}: {name!r} belongs to faces and cannot change in time")
    chosen = tuple(parameters[name] for name in dict.fromkeys(names))

    def seen(function: Local) -> Local:
        def local(cell: Place, forcing: Place, *rest: Place) -> Mapping[str, Tensor | float]:
            present = {p.name: getattr(forcing, p.name) for p in chosen}
            return function(SimpleNamespace(**{**vars(cell), **present}), forcing, *rest)

        return local

    forcings = tuple(ForcingVariable(p.name, p.unit, p.description, p.low, p.high, default=p.default) for p in chosen)
    varied = replace(
        model,
        parameters=tuple(p for p in model.parameters if p not in chosen),
        forcings=(*model.forcings, *forcings),
        constraints=tuple(c for c in model.constraints if not {*c.names} & {*names}),
        source=None if model.source is None else seen(model.source),
        boundaries=tuple(replace(b, function=seen(b.function)) for b in model.boundaries),
    )
    return varied.made_by(time_varying, model, tuple(names))
