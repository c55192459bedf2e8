"""What a configuration asks to be found: bounds, priors, and one value for each of several zones."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ..arrays import Array
from ..calibration.objective import Prior
from ..calibration.strategy_table import A_PRIOR, as_prior
from ..errors import BoundsError, DataError
from ..model import Model, Parameter
from ..toml_table import Range, Table, as_range
from ..transforms import bounded
from .configuration import on_layers
from .fields import numbered, resolved


@dataclass(frozen=True, eq=False)
class ZonedValues:
    """Turns one value for each zone into one for each cell or place, `(members, items)`; other values stay.

    Attributes:
        index: parameter -> place of the zone of each item, `(items,)`. names: parameter -> names of the values of its zones.
    """

    index: Mapping[str, np.ndarray] = field(default_factory=dict)
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __call__(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        zoned = {name for names in self.names.values() for name in names}
        found = {name: value for name, value in values.items() if name not in zoned}
        for parameter, names in self.names.items():
            together = torch.cat([values[name] for name in names], dim=1)
            found[parameter] = together.index_select(1, torch.from_numpy(self.index[parameter]))
        return found


@dataclass(frozen=True, eq=False)
class Sought:
    """What is calibrated; see `calibration.Site`. `instead` are parameters and initial values that are found, not given."""

    bounds: Mapping[str, Range | None]
    priors: Mapping[str, Prior]
    logarithmic: tuple[str, ...]
    assemble: ZonedValues | None
    instead: frozenset[str]


def read_sought(t: Table, model: Model) -> Sought:
    """The table `[sought]`: name -> `[low, high]`, `{}` for the usual range, or a table with bounds, prior, log and zones.

    Raises:
        DataError: a name is unknown, or a key wrong; names it.
    """
    parameters = {p.name: p for p in model.parameters}
    starts = [*(s.name for s in model.all_states), *model.initial_names]
    if not t.values:
        raise DataError(f"{t.file}: [{t.name}] is missing or empty: what is to be found, such as K = [0.1, 10.0]")
    bounds, priors, logs = dict[str, Range | None](), dict[str, Prior](), list[str]()
    index, names = dict[str, np.ndarray](), dict[str, tuple[str, ...]]()
    for name, value in t.values.items():
        if name not in parameters and name not in starts:
            close = difflib.get_close_matches(name, [*parameters, *starts], n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise t.fail(name, f"is unknown; {hint}{model.name} has {', '.join([*parameters, *starts])}")
        own = Table(t.file, f"{t.name}.{name}", value if isinstance(value, dict) else {"bounds": value})
        ends = own.take("bounds", as_range, "[low, high]", None)
        prior = own.take("prior", as_prior, f"a table {A_PRIOR}", None)
        log = own.take("log", _switch, "true or false", None)
        zones = own.values.pop("zones", None)
        own.known.append("zones")
        own.finish()
        if name not in parameters and (ends is None or zones is not None):
            raise t.fail(name, "is an initial value: it needs bounds, and has no zones")
        members: tuple[str, ...] = (name,)
        if zones is not None:
            p = parameters[name]
            labels, index[name] = _zones(t, model, p, zones)
            members = names[name] = tuple(f"{name}_{label}" for label in labels)
            try:
                item = bounded(p, ends)
            except BoundsError as error:
                raise t.fail(name, f"cannot be used: {error}") from error
            ends, log = (item.low, item.high), item.log if log is None else log
        elif log is not None and name in parameters:
            raise t.fail(name, "is a parameter, which knows whether its scale is logarithmic; leave log out")
        bounds |= dict.fromkeys(members, ends)
        priors |= {} if prior is None else dict.fromkeys(members, prior)
        logs += members if log else ()
    assemble = ZonedValues(index, names) if names else None
    return Sought(bounds, priors, tuple(logs), assemble, frozenset(t.values))


def _zones(t: Table, model: Model, p: Parameter, given: object) -> tuple[list[str], np.ndarray]:
    """Labels of the zones, and which of them each cell, or place of a boundary, is in."""
    where = f"{t.file}: [{t.name}] {p.name}"
    zones: Array = numbered(resolved(given, t.file.parent, where), where)
    zones = np.asarray(on_layers(model, {p.name: zones})[p.name])
    if p.on == "cell" and zones.shape == model.graph.shape:
        zones = np.asarray(model.graph.on_cells(zones))
    items = model.items(p.on)
    if zones.shape != (items,) or not np.isfinite(zones).all():
        raise DataError(
            f"{where}: zones must be given for each of {items}, or as a field of the grid; got {zones.shape}"
        )
    numbers, index = np.unique(zones.astype(int), return_inverse=True)
    return [str(number) for number in numbers], index.reshape(-1)


def _switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value
