"""Digests: one for one question, whatever holds it; another for any other."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

import pydiffgeo as dg
from pydiffgeo.calibration import Prior, Site
from pydiffgeo.engines.ir.assembly import Layout
from pydiffgeo.engines.ir.structure import KEPT, KEPT_OF_A_MODEL, fingerprint, system_of
from pydiffgeo.errors import InputError
from pydiffgeo.fingerprint import digest

VALUES = np.random.default_rng(0).random(400)
OTHER = np.where(np.arange(400) == 200, VALUES + 1e-9, VALUES)
HOLDERS: dict[str, Callable[[Any], Any]] = {
    "array": np.asarray,
    "list": lambda v: v.tolist(),
    "tuple": lambda v: tuple(v.tolist()),
    "tuple of scalars": tuple,
    "tensor": torch.from_numpy,
    "Series": pd.Series,
    "dated Series": lambda v: pd.Series(v, pd.date_range("2000-01-01", periods=len(v))),
    "Index": pd.Index,
    "DataArray": lambda v: xr.DataArray(v, dims="time"),
    "big-endian": lambda v: v.astype(">f8"),
    "every second of more": lambda v: np.repeat(v, 2)[::2],
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_numbers_count_by_their_values(holder: str) -> None:
    assert digest(HOLDERS[holder](VALUES)) == digest(VALUES)
    # Far inside what a `repr` would shorten.
    assert digest(HOLDERS[holder](OTHER)) != digest(VALUES)


def test_kinds_of_numbers_do_not_matter() -> None:
    assert digest(1) == digest(1.0) == digest(np.float32(1)) == digest(np.array(1)) == digest(torch.tensor(1))
    assert digest([1, 2]) == digest(np.array([1.0, 2.0], np.float32))
    assert digest(-0.0) == digest(0.0)
    assert digest([np.nan]) == digest([-np.nan])
    assert digest(2**53) != digest(2**53 + 1) != digest(2**70)


@dataclass(frozen=True)
class Pair:
    a: Any
    b: Any


class Plain:
    def __init__(self, a: Any) -> None:
        self.a = a


DIFFERENT: list[Any] = [
    *(None, True, 1.0, "1", b"1", 1j, float, int, np.exp, torch.exp, (), {}, {"a"}),
    *([1.0], [[1.0]], [1.0, 1.0], [[1.0], [1.0]], [1.0, [1.0]], ["a", "b"], ["ab"], ["a", "b", ""]),
    *({"a": 1}, {"b": 1}, {"a": 1, "b": 1}, {"a": "b"}, Pair(1, 2), Pair(2, 1), Plain(1), Plain(2)),
    *(np.datetime64("2000-01-01"), np.datetime64("2000-01-02"), np.timedelta64(1, "D")),
    *(np.array(["a", "b"]), np.array(["a", "c"]), np.array([1.0, "a"], object), np.array([True, False])),
    *(torch.nn.Linear(2, 1), torch.nn.Linear(2, 1), functools.partial(max, 1), functools.partial(max, 2)),
    *(pd.DataFrame({"a": [1.0, 2.0]}), pd.DataFrame({"b": [1.0, 2.0]}), pd.DataFrame({"a": ["x", "y"]})),
    *(xr.Dataset({"a": ("t", [1.0, 2.0])}), xr.Dataset({"a": ("u", [1.0, 2.0])})),
    *(lambda x: x + 1, lambda x: x + 2, lambda x, y=1: x + 1),
]


def test_different_values_have_different_digests() -> None:
    assert len({digest(v) for v in DIFFERENT}) == len(DIFFERENT)
    assert digest(1, 2) != digest(12) != digest(2, 1)
    assert digest([1, 2], [3]) != digest([1], [2, 3])


@pytest.mark.parametrize("value", [v for v in DIFFERENT if not callable(v)], ids=lambda v: type(v).__name__)
def test_copies_have_the_same_digest(value: Any) -> None:
    assert digest(copy.deepcopy(value)) == digest(value)


def test_order_of_names_does_not_matter() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({"x", "y", "z"}) == digest({"z", "y", "x"})


def test_values_within_themselves_end() -> None:
    box: list[Any] = [1]
    box.append(box)
    assert digest(box) == digest(box)


def test_what_cannot_be_told_apart_is_refused() -> None:
    with pytest.raises(InputError, match="generator"):
        digest({"data": (i for i in range(3))})


FACTOR = 1.0


def helper(x: float) -> float:
    return FACTOR * x


def test_functions_count_by_what_they_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(k: Any) -> Callable[[float], Any]:
        def function(x: float) -> Any:
            return helper(x) + k

        return function

    assert digest(made(1.0)) == digest(made(1.0))
    assert digest(made(1.0)) != digest(made(2.0))
    assert digest(made([1.0, 2.0])) != digest(made([1.0, 2.5]))
    assert digest(lambda x: helper(x)) == digest(lambda x: helper(x))
    before, nested = digest(helper), digest(made(1.0))
    within = lambda x: [helper(y) for y in x]  # noqa: E731
    inner = digest(within)
    monkeypatch.setitem(globals(), "FACTOR", 2.0)
    assert digest(helper) != before
    assert digest(made(1.0)) != nested
    assert digest(within) != inner


def test_methods_count_with_what_they_belong_to() -> None:
    class Owner:
        def __init__(self, rate: float) -> None:
            self.rate = rate

        def source(self, x: float) -> float:
            return self.rate * x

    assert digest(Owner(1.0).source) == digest(Owner(1.0).source)
    assert digest(Owner(1.0).source) != digest(Owner(2.0).source)


# --- models -----------------------------------------------------------------------------------------


def reservoir(rate: Any = 1.0, **more: Any) -> dg.Model:
    parts: dict[str, Any] = {
        "name": "Reservoir",
        "graph": dg.single_cell(),
        "states": (dg.State("s", "mm", "water", default=10.0),),
        "parameters": (dg.Parameter("k", "d-1", "k", 0.3, low=0.0, typical=(0.01, 2.0)),),
        "fluxes": (dg.IntegratedFlux("q", "mm", "out", -1),),
        "source": lambda c, f: {"s": -rate * c.k * c.s, "q": rate * c.k * c.s},
    }
    return dg.Model(**(parts | more))


def test_the_same_model_by_another_name_is_the_same_question() -> None:
    own = fingerprint(reservoir())
    assert fingerprint(reservoir(name="Bucket")) == own
    assert fingerprint(reservoir(states=(dg.State("s", "mm", "another word", default=10.0),))) == own
    assert fingerprint(reservoir(source=lambda cell, f: {"s": -1.0 * cell.k * cell.s, "q": cell.k * cell.s})) == own
    column = dg.models.RichardsColumn(1.0, 5, top="atmosphere")
    assert fingerprint(dg.models.RichardsColumn(depth=1, cells=5, top="atmosphere")) == fingerprint(column)


@pytest.mark.parametrize(
    "other",
    [
        reservoir(2.0),
        reservoir(graph=dg.single_cell(2.0)),
        reservoir(graph=dg.network(2, [(0, 1)])),
        reservoir(states=(dg.State("s", "m", "water", default=10.0),)),
        reservoir(states=(dg.State("s", "mm", "water", default=11.0),)),
        reservoir(states=(dg.State("s", "mm", "water", default=10.0, nominal=1.0),)),
        reservoir(parameters=(dg.Parameter("k", "d-1", "k", 0.3, low=0.1, typical=(0.01, 2.0)),)),
        reservoir(fluxes=(dg.IntegratedFlux("q", "mm", "out", 0),)),
        reservoir(time_unit="h"),
        reservoir(initial=lambda given, cell: given, initial_names=("level",)),
        reservoir(constraints=(dg.Constraint("k < 1", ("k",), lambda p: p.k < 1),)),
        reservoir(output=lambda c: {"level": c.s}, outputs=(dg.Output("level", "mm", "level"),)),
        reservoir(output=lambda c: {"level": torch.special.expit(c.s)}, outputs=(dg.Output("level", "mm", "level"),)),
        reservoir(boundaries=(dg.Boundary("outlet", (0,), lambda c, f, face: {"s": -0.0 * c.s}),)),
    ],
)
def test_what_changes_the_answer_changes_the_fingerprint(other: dg.Model) -> None:
    assert fingerprint(other) != fingerprint(reservoir())


def test_choices_of_a_ready_model_change_the_fingerprint() -> None:
    models = [
        dg.models.RichardsColumn(1.0, 5),
        dg.models.RichardsColumn(2.0, 5),
        dg.models.RichardsColumn(1.0, 6),
        dg.models.RichardsColumn(1.0, 5, top="head"),
        dg.models.RichardsColumn(1.0, 5, bottom="no_flow"),
        dg.models.RichardsColumn(1.0, 5, top="atmosphere"),
        dg.models.RichardsColumn(1.0, 5, top="atmosphere", max_ponding=0.01),
        dg.models.RichardsColumn(1.0, 5, root_depth=0.2),
        dg.models.RichardsColumn(1.0, 5, root_depth=0.3),
        dg.models.RichardsColumn(1.0, 5, face_conductivity="geometric"),
        dg.models.RichardsColumn(1.0, 5, thickness=[0.1, 0.3, 0.2, 0.2, 0.2]),
        dg.models.ExpHydro(),
    ]
    assert len({fingerprint(m) for m in models}) == len(models)


def test_models_of_one_structure_share_what_is_built() -> None:
    layout = Layout({"k": 1})
    first, _ = system_of(reservoir(), layout)
    assert system_of(reservoir(name="Bucket"), layout)[0] is first
    assert system_of(reservoir(2.0), layout)[0] is not first


def test_what_is_built_is_bounded() -> None:
    from pydiffgeo.engines.ir import structure

    box = [0.0]
    model = reservoir(source=lambda c, f: {"s": -box[0] * c.k * c.s, "q": box[0] * c.k * c.s})
    for box[0] in range(1, 30):
        system_of(model, Layout({"k": 1}))
    assert len(structure._of_models[model]) == KEPT_OF_A_MODEL
    assert len(structure._recent) == KEPT
    assert len(structure._all) <= KEPT + sum(len(kept) for kept in structure._of_models.values())


# --- sites ------------------------------------------------------------------------------------------

TIMES = np.arange(6.0)


def site(**more: Any) -> Site:
    seen = dg.observe.Observation("s", "value", TIMES[1:], 10 * np.exp(-0.4 * TIMES[1:]), error=0.1)
    parts: dict[str, Any] = {
        "name": "x",
        "model": reservoir(),
        "times": TIMES,
        "forcing": {},
        "observations": (seen,),
        "bounds": {"k": None},
        "settings": {"engine": "sundials"},
    }
    return Site(**(parts | more))


SEEN = site().observations[0]


@pytest.mark.parametrize(
    "more",
    [
        {"model": reservoir(2.0)},
        {"model": reservoir(graph=dg.single_cell(2.0))},
        {"times": TIMES * 1.5},
        {"observations": (replace(SEEN, values=SEEN.values + 1e-9),)},
        {"observations": (replace(SEEN, error=SEEN.error * 2),)},
        {"observations": (SEEN, SEEN)},
        {"tuning": (SEEN,)},
        {"bounds": {"k": (0.02, 2.0)}},
        {"priors": {"k": Prior(0.3, 0.1)}},
        {"initial": {"s": 11.0}},
        {"warmup": 1.0},
        {"loss": "gaussian"},
        {"settings": {"engine": "sundials", "rtol": 1e-4}},
        {"assemble": lambda values: {"k": values["k"]}},
        {"assemble": lambda values: {"k": 2 * values["k"]}},
    ],
)
def test_another_question_is_another_site(more: dict[str, Any]) -> None:
    assert site(**more).fingerprint != site().fingerprint


def test_assembling_otherwise_is_another_site() -> None:
    scale = SimpleNamespace(by=1.0)
    made = site(assemble=lambda values: {"k": scale.by * values["k"]})
    before = made.fingerprint
    scale.by = 2.0
    assert made.fingerprint != before


@pytest.mark.parametrize("holder", HOLDERS)
def test_sites_know_data_by_their_values(holder: str) -> None:
    def basin(rain: Any) -> Site:
        seen = dg.observe.Observation("runoff", "flux_mean", [(300, 301), (301, 302)], [1.0, 2.0], error=1.0)
        forcing = {"precipitation": rain, "temperature": 5.0, "daylength": 12.0}
        return Site("a", dg.models.ExpHydro(), np.arange(401.0), forcing, (seen,), bounds={"f": None})

    hold = HOLDERS[holder]
    assert basin(hold(VALUES)).fingerprint == basin(VALUES).fingerprint
    assert basin(hold(OTHER)).fingerprint != basin(VALUES).fingerprint


def test_a_finished_checkpoint_answers_its_own_question_only(tmp_path: Any) -> None:
    strategy = dg.calibration.Strategy(candidates=4, starts=1, finalists=1, steps=10)
    path = tmp_path / "checkpoint.npz"
    found = dg.calibration.calibrate([site()], strategy, checkpoint=path, progress=False).values("x")["k"]
    assert found == pytest.approx(0.4, rel=1e-3)
    with pytest.raises(dg.errors.DataError, match="another configuration"):
        dg.calibration.calibrate([site(model=reservoir(2.0))], strategy, checkpoint=path, progress=False)
    again = dg.calibration.calibrate([site(model=reservoir(name="Bucket"))], strategy, checkpoint=path, progress=False)
    assert again.values("x")["k"] == found
