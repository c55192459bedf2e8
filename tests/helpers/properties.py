"""What the property-based tests draw from: good calls of a few models, and values that are wrong in one known way."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import torch
from case_models import river_network
from hypothesis import strategies as st

import pydiffgeo as dg
from pydiffgeo.errors import (
    BoundsError,
    DtypeError,
    EngineNotAvailableError,
    InputError,
    MissingNameError,
    ShapeError,
    TimeError,
    UnknownNameError,
)

NAN, INF = float("nan"), float("inf")
HUGE = 10**400  # no float holds it


class Entered(Exception):
    """An engine was given a problem to solve."""

    def __init__(self, problem: Any) -> None:
        super().__init__("the engine was entered")
        self.problem = problem


def enter(self: Any, problem: Any, differentiate: bool) -> None:
    """Stands for `forward` of an engine."""
    raise Entered(problem)


def attempt(make: Callable[[], Any], errors: Any) -> tuple[Any, Exception | None]:
    """What is made, or the error that says why not."""
    try:
        return make(), None
    except errors as error:
        return None, error


@dataclass(frozen=True)
class Base:
    """A good call: `parameters`, `forcing` and `initial` are plain numbers, and the defaults where not given."""

    model: dg.Model
    parameters: dict[str, float]
    forcing: dict[str, float]
    initial: dict[str, float]

    def call(self) -> dict[str, Any]:
        groups = {"parameters": self.parameters, "forcing": self.forcing, "initial": self.initial}
        copies = {name: {**group} for name, group in groups.items()}
        return {**copies, "times": [0.0, 1.0, 2.0, 4.0], "engine": "sundials"}


BASES = {
    "cell": Base(
        dg.models.ExpHydro(),
        {"f": 0.03, "S_max": 300.0, "Q_max": 20.0},
        {"precipitation": 5.0, "temperature": 1.0, "daylength": 9.0},
        {"snow_storage": 1.0, "water_storage": 200.0},
    ),
    "column": Base(
        dg.models.RichardsColumn(0.5, 4), {"theta_s": 0.5, "n": 1.5, "K_s": 0.25}, {"flux": 0.01}, {"theta": 0.25}
    ),
    "network": Base(river_network(), {"k": 0.5}, {"inflow": 0.75}, {"storage": 2.0}),
}
bases = st.sampled_from([*BASES.values()])
INTERVALS = 3

# --- values that are none --------------------------------------------------------------------------


def values(*given: Any) -> Any:
    """One of these."""
    return st.sampled_from(given)


# Finite, of moderate size, and the same in every type of float.
plain = st.integers(1, 255).map(lambda k: k / 16)
no_number = (
    values("", "1.5", "nan", b"12", bytearray(b"1"), None, True, False, 1j, {}, {1.0}, object(), HUGE, len, slice(1))
    | values(dt.date(2000, 1, 1), [None], ["1.0"], [True], [[1.0], [1.0, 2.0]], [1.0, "x"], [[1j]], [HUGE])
    | st.text(max_size=5)
    | values("int64", "int32", "uint8", "bool", "complex64").map(lambda d: torch.ones(4, dtype=getattr(torch, d)))
    | values("i8", "u1", "?", "c16", "U3", "O", "M8[D]", "m8[s]").map(lambda d: np.zeros(4, d))
    | st.builds(lambda: [torch.tensor(1.0)] * 4)
    | st.builds(lambda: (torch.ones(1, requires_grad=True),))
    | st.builds(lambda: torch.ones(4).to_sparse())
    | st.builds(lambda: iter([1.0]))
)
# What is refused where a single number is asked for, besides numbers that are not finite.
no_scalar = (
    values("", "1", b"1", None, True, False, 1j, [], {}, (), [1.0], HUGE, object, Decimal("NaN"), NAN, INF, -INF)
    | values(np.float64("nan"), np.float32("inf"), np.array([1.0, 2.0]), np.datetime64("2000"))
    | st.text(max_size=5)
)
no_pair = (
    no_scalar
    | values(3.0, (1.0,), (1.0, 2.0, 3.0), "ab", (1.0, "x"), (NAN, 1.0), (0.0, INF), ((1, 2), (3, 4)), {1.0, 2.0})
    | st.just(np.ones(3))
)
no_range = no_pair.filter(lambda v: v is not None) | values((1.0, 1.0), (2.0, 1.0), [0.5, -0.5])
zero, negative = values(0, 0.0, np.float64(0)), values(-1, -0.5, -1e300)
not_positive, not_nonnegative = no_scalar | zero | negative, no_scalar | negative
fractions = values(0.5, 1.5, -0.25, np.float64(2.5), 1e-9)
names = (
    st.text(max_size=12)
    | values("theta_R", "K_S", "Flux", "Tmax", "", " k", "k ", "storage\n", "__class__")
    | st.integers()
    | st.tuples(st.integers())
)
shapes = st.lists(st.integers(0, 6), max_size=4).map(tuple)


def spoilt(good: float, shape: tuple[int, ...], bad: float, at: int) -> torch.Tensor:
    """A tensor of good values with one bad one."""
    spoilt = torch.full(shape, good, dtype=torch.float64)
    spoilt.view(-1)[at % max(spoilt.numel(), 1)] = bad
    return spoilt


# --- one wrong thing in a good call ---------------------------------------------------------------

Change = tuple[dict[str, Any], tuple[type[Exception], ...], str]


def count_of(model: dg.Model, variable: Any) -> int:
    return len(model.graph.faces) if getattr(variable, "on", "cell") == "face" else model.graph.cells


@st.composite
def bad_number(draw: Any, variable: Any) -> float:
    """Not finite, or beyond the bounds."""
    bad = [NAN, INF, -INF]
    bad += [variable.low - 1e-6, variable.low - 1e30] if variable.low > -INF else []
    bad += [variable.high + 1e-6, variable.high + 1e30] if variable.high < INF else []
    bad += [variable.low] if getattr(variable, "open_low", False) else []
    return draw(st.sampled_from(bad))


@st.composite
def bad_entry(draw: Any) -> tuple[Base, dict[str, Any], tuple[type[Exception], ...], str]:
    """One value of the parameters, forcings or initial states is wrong."""
    base = draw(bases)
    group = draw(st.sampled_from(["parameters", "forcing", "initial"]))
    call, model = base.call(), base.model
    declared = {"parameters": model.parameters, "forcing": model.forcings, "initial": model.all_states}[group]
    variable = draw(st.sampled_from(declared))
    name, cells = variable.name, count_of(model, variable)
    good = call[group].get(name, getattr(variable, "default", None)) or 0.3
    over_cells = group != "forcing" or variable.on == "cell"
    kind = draw(st.sampled_from(["type", "shape", "value", "unknown", "missing"]))
    error: tuple[type[Exception], ...]
    if kind == "type":
        call[group][name], error = draw(no_number), (DtypeError,)
    elif kind == "shape":
        allowed = {(), (1,), (cells,)} if group != "forcing" else {(), (INTERVALS,)}
        shape = draw(shapes)
        if group == "forcing":
            tails = {(INTERVALS,)} | ({(INTERVALS, cells), (INTERVALS, 1)} if over_cells else set())
            fits = shape in allowed | tails or (shape[1:] in tails and shape[0] > 0)
        else:
            fits = shape in allowed or (len(shape) == 2 and shape[0] > 0 and shape[1] in (1, cells))
        if fits:
            shape = (*shape, 7, 7)
        call[group][name], error = torch.full(shape, good), (ShapeError,)
    elif kind == "value":
        of_series, of_cells = [(), (INTERVALS,), (2, INTERVALS)], [(), (1,), (cells,), (2, 1), (3, cells)]
        shape = draw(st.sampled_from(of_series if group == "forcing" else of_cells))
        call[group][name] = spoilt(good, shape, draw(bad_number(variable)), draw(st.integers(0, 20)))
        error = (BoundsError,)
    elif kind == "unknown":
        known = [v.name for v in declared] + list(model.initial_names)
        name = draw(names.filter(lambda n: n not in known))
        call[group][name], error = good, (UnknownNameError,)
        return base, call, error, repr(name)
    else:
        required = [v.name for v in declared if v.default is None] if group != "parameters" else []
        if not required:
            call[group] = draw(st.sampled_from([[1.0], "text", 3, [("a", 1.0)], torch.ones(2), {"a"}]))
            return base, call, (InputError,), group
        name = draw(st.sampled_from(required))
        call[group].pop(name)
        error = (MissingNameError,)
    return base, call, error, repr(name)


increasing = st.lists(st.integers(-50, 50), min_size=3, max_size=6, unique=True).map(
    lambda t: [k / 4 for k in sorted(t)]
)


@st.composite
def bad_times(draw: Any) -> Any:
    """Times that are unsorted, repeated, not finite, too few or no numbers."""
    times = draw(increasing)
    at = draw(st.integers(0, len(times) - 1))
    kind = draw(st.sampled_from(["swap", "repeat", "not finite", "short", "type", "shape", "far"]))
    if kind == "swap":
        times = times[::-1] if at == 0 else [*times[:at], times[at] - 100.0, *times[at + 1 :]]
    elif kind == "repeat":
        times.insert(at, times[at])
    elif kind == "not finite":
        times[at] = draw(st.sampled_from([NAN, INF, -INF]))
    elif kind == "short":
        times = times[: draw(st.integers(0, 1))]
    elif kind == "far":
        return [-1.7e308, 0.0, 1.7e308]
    elif kind == "type":
        wrong = (
            values("abc", None, 3, 1.5, {}, {1, 2}, object(), [None, 1], ["a", "b"], [0, HUGE], [[0.0], [1.0, 2.0]])
            | values([0.0, 1j], np.array(["2000-01-01", "2000-01-02"], "M8[D]"), torch.tensor([True, False]), b"ab")
            | values(torch.tensor([0, 1j]), torch.arange(3.0).to_sparse(), np.array([False, True]), iter([0.0, 1.0]))
            | st.just(np.ma.masked_array([0.0, 1.0, 2.0], [False, True, False]))
        )
        return draw(wrong)
    else:
        return draw(st.sampled_from([[times], np.zeros((2, 2)), torch.zeros(2, 1), 1.0, np.array(2.0)]))
    wrap: Callable[..., Any] = draw(st.sampled_from([list, tuple, np.array, torch.tensor]))
    return wrap(times)


POSITIVE, COUNT = st.sampled_from([0, 0.0, -1, -1e-9]), st.sampled_from([-1, -7, 1e6])
OTHERWISE = st.text(max_size=4).filter(lambda text: text != "auto")
SETTINGS: dict[str, tuple[Any, type[Exception]]] = {
    **dict.fromkeys(("rtol", "atol", "memory"), (no_scalar | POSITIVE, InputError)),
    "max_steps": (no_scalar | COUNT | fractions | st.just(0), InputError),
    "threads": (no_scalar | COUNT | fractions, InputError),
    **dict.fromkeys(("compiled", "throw"), (values("no", None, 1, 0.0, []), InputError)),
    "solver": (values("", "FBDF", 3, True, [], {}, ("cvodes-bdf",), np.array(["a", "b"])) | OTHERWISE, InputError),
    "sensitivity": (values("", None, "exact", "forward", 3, [], {}, np.array(["a", "b"])) | OTHERWISE, InputError),
    "engine": (values("", "Julia", "cvodes", None, 3, [], {}, np.array(["a", "b"])), EngineNotAvailableError),
    "model": (values(None, "ExpHydro", dg.models.ExpHydro, {}), InputError),
    "times": (bad_times(), TimeError),
}


@st.composite
def bad_setting(draw: Any) -> tuple[Base, dict[str, Any], tuple[type[Exception], ...], str]:
    base = draw(bases)
    name = draw(st.sampled_from([*SETTINGS]))
    wrong, error = SETTINGS[name]
    return base, base.call() | {name: draw(wrong)}, (error,), name


@st.composite
def bad_combination(draw: Any) -> tuple[Base, dict[str, Any], tuple[type[Exception], ...], str]:
    """Each value is good, but together they do not fit: sizes of batches, series and times, relations of parameters."""
    base = draw(bases)
    call = base.call()
    kind = draw(st.sampled_from(["batches", "series", "steps", "constraint", "derived"]))
    forced = draw(st.sampled_from([*base.forcing]))
    if kind == "batches":
        places = [(group, k) for group in ("parameters", "initial") for k in getattr(base, group)]
        names = draw(st.permutations([*places, ("forcing", forced)]))[:2]
        sizes = draw(st.lists(st.integers(2, 5), min_size=2, max_size=2, unique=True))
        for (group, name), size in zip(names, sizes, strict=True):
            call[group][name] = np.full((size, INTERVALS if group == "forcing" else 1), call[group][name])
        return base, call, (ShapeError,), repr(draw(st.sampled_from(names))[1])
    if kind == "series":
        first, last = draw(st.sampled_from([(0.5, 9.0), (-3.0, 3.5), (5.0, 6.0), (-9.0, -1.0)]))
        form = draw(st.sampled_from(["constant", "linear"]))
        series = [base.forcing[forced]] * (1 + (form == "linear"))
        call["forcing"][forced] = dg.TimeSeries([first, last], series, form)
        return base, call, (TimeError,), repr(forced)
    if kind == "steps":
        misfits = [("constant", 4, 4), ("constant", 4, 2), ("linear", 4, 3), ("linear", 4, 5), ("linear", 4, 0)]
        form, nodes, count = draw(st.sampled_from(misfits))
        series = np.full(count, base.forcing[forced])
        call["forcing"][forced] = dg.TimeSeries(np.linspace(0, 4, nodes), series, form)
        return base, call, (ShapeError,), repr(forced)
    base = BASES["column"]
    call = base.call()
    if kind == "constraint":
        low = draw(st.sampled_from([0.5, 0.75, [0.0, 0.0, 0.6, 0.0], [[0.1], [0.9]]]))
        call["parameters"]["theta_r"] = low
        return base, call, (BoundsError,), "theta_r"
    if draw(st.booleans()):
        call["initial"]["head"] = -1.0
        return base, call, (InputError,), "'head'"
    call["initial"] = {"head": 1.5e308}
    call["parameters"]["S_s"] = 1e5
    return base, call, (BoundsError,), "'head'"


# --- the same numbers in other clothes ------------------------------------------------------------

Clothes = Callable[[Any], Any]


def tensor(dtype: torch.dtype, **options: Any) -> Clothes:
    return lambda v: torch.tensor(v, dtype=dtype, **options)


HALF, BRAIN, SINGLE, DOUBLE = torch.float16, torch.bfloat16, torch.float32, torch.float64
IN_NUMPY: tuple[Clothes, ...] = (np.array, lambda v: np.array(v, np.float32))
SCALARS: list[Clothes] = [
    *(float, np.float64, np.float32, np.float16, np.longdouble, np.array),
    *(tensor(DOUBLE), tensor(HALF), tensor(BRAIN), tensor(SINGLE, requires_grad=True), lambda v: torch.full((1, 1), v)),
    *(lambda v: [v], lambda v: (v,), lambda v: [[v]], lambda v: int(v) if v == int(v) else v),
    *(lambda v: np.array([v], ">f4"), lambda v: np.ma.masked_array([v], [False])),
]
ROWS: list[Clothes] = [
    *(list, tuple, *IN_NUMPY, torch.tensor, tensor(BRAIN), lambda v: torch.nn.Parameter(torch.tensor(v))),
    *(lambda v: np.array(v[::-1])[::-1], lambda v: np.array([v]), lambda v: np.asfortranarray(np.array([v]))),
    *(lambda v: torch.tensor([v, v]).T[:, 0], lambda v: torch.tensor([v], requires_grad=True)),
    lambda v: np.array([v, v], ">f8")[:1],
]
TIMES: list[Clothes] = [
    *(list, tuple, *IN_NUMPY, torch.tensor, tensor(BRAIN), tensor(HALF, requires_grad=True)),
    lambda t: np.array(t + t)[: len(t)],
]
