"""What a model is, whatever it is called: its local functions as programs, its graph, and its declarations.

Two models that ask the same question have the same fingerprint; one whose local function closes over a number
that has changed since has another one. Systems that engines have built, checkpoints and saved networks are
known by it.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

from ...fingerprint import digest
from ...model import Model
from .assembly import Layout, build_system
from .kernels import System
from .traced_model import Programs, trace_model


def fingerprint(model: Model, programs: Programs | None = None) -> str:
    """A digest of the question a model asks: local functions, graph, and declarations with units and bounds.

    Names of states, parameters and the like count, since data go by them; the model's own name and descriptions
    do not.

    Raises:
        ModelError: a local function cannot be traced.
    """
    found = programs or trace_model(model)
    graph = model.graph
    return digest(
        found.key,
        graph.cells, graph.faces, graph.cell, graph.face, graph.coordinates, model.time_unit,
        [(s.name, s.unit, s.default, s.low, s.high, s.stored, s.nominal, s.error_control) for s in model.all_states],
        [(p.name, p.unit, p.default, p.low, p.high, p.open_low, p.open_high, p.typical, p.log, p.on)
         for p in model.parameters],
        [(f.name, f.unit, f.low, f.high, f.on, f.default) for f in model.forcings],
        [(q.name, q.unit, q.balance) for q in model.fluxes], [(o.name, o.unit) for o in model.outputs],
        [(b.cells, b.geometry, [s.name for s in b.states]) for b in model.boundaries],
        [(limit.name, limit.unit, limit.boundary) for limit in model.limits],
        [(c.names, c.holds) for c in model.constraints], model.initial, model.initial_names,
    )  # fmt: skip


# Systems of each model, by what its functions were when traced; the last few of all; and those that still exist.
KEPT_OF_A_MODEL, KEPT = 4, 16
_of_models: WeakKeyDictionary[Model, OrderedDict[Any, System]] = WeakKeyDictionary()
_recent: OrderedDict[Any, System] = OrderedDict()
_all: WeakValueDictionary[Any, System] = WeakValueDictionary()
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


def _keep(systems: OrderedDict[Any, System], key: Any, system: System, most: int) -> None:
    systems[key] = system
    systems.move_to_end(key)
    while len(systems) > most:
        systems.popitem(last=False)
