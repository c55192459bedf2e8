"""What a model is, whatever it is called: its local functions as programs, its graph, and its declarations.

Two models that ask the same question have the same fingerprint; one whose local function closes over a number
that has changed since has another one. Systems that engines have built, checkpoints and saved networks are
known by it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from operator import attrgetter
from threading import Lock
from weakref import WeakKeyDictionary, WeakValueDictionary

from ...fingerprint import digest
from ...model import CoupledModel, Model, Stage
from .assembly import Layout, build_system
from .kernels import System
from .traced_model import Programs, trace_model

# What counts of a state and of a parameter.
STATE = attrgetter("name", "unit", "default", "low", "high", "stored", "nominal", "error_control")
PARAMETER = attrgetter("name", "unit", "default", "low", "high", "open_low", "open_high", "typical", "log", "on")


def fingerprint(model: Model, programs: Programs | None = None) -> str:
    """A digest of the question a model asks: local functions, graph, and declarations with units and bounds.

    Names of states, parameters and the like count, since data go by them; the model's own name and descriptions
    do not.

    Raises:
        ModelError: a local function cannot be traced.
    """
    programs = programs or trace_model(model)
    parts: list[object] = []
    if isinstance(model, CoupledModel):
        pairs = zip(model.regions.items(), programs.regions, strict=True)
        parts = [
            (key, fingerprint(region.model, own), region.names, region.forcings, region.fluxes, region.outputs)
            for (key, region), own in pairs
        ]
        parts += [(k.sides, k.areas, k.values, k.fluxes) for k in model.links]
    return digest(
        programs.key,
        parts,
        *attrgetter("cells", "faces", "cell", "face", "coordinates")(model.graph),
        model.time_unit,
        [*map(STATE, model.all_states)],
        [*map(PARAMETER, model.parameters)],
        [*map(attrgetter("name", "unit", "low", "high", "on", "default"), model.forcings)],
        [*map(attrgetter("name", "unit", "balance", "on"), model.fluxes)],
        [*map(attrgetter("name", "unit"), model.outputs)],
        [(b.cells, b.geometry, [s.name for s in b.states]) for b in model.boundaries],
        [(s.on,) if isinstance(s, Stage) else (s.name, s.of, s.sides, s.weight) for s in model.stages],
        [*map(attrgetter("name", "unit", "boundary"), model.limits)],
        [] if parts else [*map(attrgetter("names", "holds"), model.constraints)],
        *(None if parts else model.initial, model.initial_names),
    )


# Systems of each model, by what its functions were when traced; the last few of all; and those that still exist.
KEPT_OF_A_MODEL, KEPT = 4, 16
Key = tuple[Hashable, ...]
_of_models: WeakKeyDictionary[Model, OrderedDict[Key, System]] = WeakKeyDictionary()
_recent: OrderedDict[Key, System] = OrderedDict()
_all: WeakValueDictionary[Key, System] = WeakValueDictionary()
_lock = Lock()


def system_of(model: Model, layout: Layout) -> tuple[System, Programs]:
    """The system of a model as it is now, built once for all models of the same structure.

    A model keeps its last few systems, for several layouts or values that its functions close over; the last
    few of all are kept beyond their models, so that one that is made anew need not be compiled anew.
    """
    programs = trace_model(model)
    with _lock:
        own = _of_models.setdefault(model, OrderedDict())
        key = (programs.key, layout.key)
        if key not in own:
            same = (fingerprint(model, programs), layout.key)
            own[key] = _all.setdefault(same, build_system(model, programs, layout))
            _keep(_recent, same, own[key], KEPT)
        _keep(own, key, own[key], KEPT_OF_A_MODEL)
        return own[key], programs


def _keep(systems: OrderedDict[Key, System], key: Key, system: System, most: int) -> None:
    systems[key] = system
    systems.move_to_end(key)
    while len(systems) > most:
        systems.popitem(last=False)
