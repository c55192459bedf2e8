"""Wrong numbers and shapes in what users make, searched for: observations, priors, sites, searches, networks, measures."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("hypothesis")

from hypothesis import example, given
from hypothesis import strategies as st
from properties import (
    BASES,
    INF,
    NAN,
    attempt,
    fractions,
    no_number,
    no_range,
    no_scalar,
    not_positive,
    plain,
    values,
)

import pydiffgeo as dg
from pydiffgeo.engines.base import Forward, Status
from pydiffgeo.engines.ir.traced_model import trace_model
from pydiffgeo.errors import BoundsError, DataError, InputError, PydiffgeoError, ShapeError
from pydiffgeo.nn import ParameterNetwork, SiteData, Standardise, held_out, k_fold
from pydiffgeo.transforms import Bounded, Transforms, bounded

MODEL = dg.models.ExpHydro()
DAYS = np.arange("2000-01-01", "2000-01-06", dtype="datetime64[D]")


def network(**changes: Any) -> ParameterNetwork:
    return ParameterNetwork(**{"model": MODEL, "inputs": ["aridity"]} | changes)


def basin(**changes: Any) -> dg.hydrology.BasinData:
    series = {k: np.full(5, 5.0) for k in ("precipitation", "temperature", "daylength", "runoff")}
    return dg.hydrology.BasinData(**{"basin": "a", "dates": DAYS, "source": "here", **series} | changes)


# --- one wrong field ------------------------------------------------------------------------------


# --- transforms -----------------------------------------------------------------------------------

finite = st.floats(-1e150, 1e150)


@given(finite, finite, st.booleans(), st.lists(st.floats(allow_nan=False), min_size=1, max_size=5))
@example(1.0, 1.0 + 2e-16 * 4, False, [0.0, -INF, INF])
@example(1e-300, 1.0000001e-300, True, [0.0, 40.0, -40.0])
@example(-1.7e308, 1.7e308, False, [0.0])
def test_bounded_values_stay_within_their_bounds(low: float, high: float, log: bool, x: list[float]) -> None:
    low, high = min(low, high), max(low, high)
    if not low < high or (log and low <= 0) or math.isinf(high - low):
        with pytest.raises(BoundsError, match="'k'"):
            Bounded("k", low, high, log)
        return
    item = Bounded("k", low, high, log)
    values = item.forward(torch.tensor(x, dtype=torch.float64))
    assert ((values >= low) & (values <= high)).all()
    back = item.inverse(values)
    assert torch.isfinite(back).all()
    if high - low > 1e-3 * max(abs(low), abs(high)):
        torch.testing.assert_close(item.forward(back), values, rtol=1e-6, atol=1e-7 * (high - low))
    for outside in (NAN, INF, np.nextafter(low, -INF), np.nextafter(high, INF)):
        with pytest.raises(BoundsError, match="'k'"):
            item.inverse(torch.tensor([outside], dtype=torch.float64))


@given(st.lists(st.lists(st.floats(-30, 30), min_size=3, max_size=3), min_size=1, max_size=4))
def test_what_is_packed_is_unpacked(x: Any) -> None:
    items = Transforms((Bounded("a", 0.0, 1.0), Bounded("b", 1e-3, 1e3, log=True), Bounded("c", -5.0, -4.0)))
    values = items.unpack(torch.tensor(x, dtype=torch.float64))
    again = items.unpack(items.pack(values))
    for name, value in values.items():
        torch.testing.assert_close(again[name], value, rtol=1e-6, atol=1e-7)


@given(st.lists(st.integers(0, 4), max_size=4).map(tuple), st.sampled_from(["a", "b"]))
def test_shapes_that_cannot_be_packed(shape: tuple[int, ...], name: str) -> None:
    items = Transforms((Bounded("a", 0.0, 1.0), Bounded("b", 0.0, 1.0)))
    if len(shape) != 2 or shape[1] != 2:
        with pytest.raises(ShapeError, match=r"x must be \(members, 2\)"):
            items.unpack(torch.zeros(shape))
    values = {"a": torch.full((3, 1), 0.5), "b": torch.full((3, 1), 0.5)}
    if shape != (3, 1):
        with pytest.raises(ShapeError, match=f"'{name}'"):
            items.pack(values | {name: torch.full(shape, 0.5)})


@given(no_range.filter(lambda v: not isinstance(v, np.ndarray)) | values((), [], (0.0, -1.0), (-5.0, 1.0), np.ones(2)))
def test_bounds_of_parameters(value: Any) -> None:
    with pytest.raises(BoundsError, match="'f'"):
        bounded(MODEL.parameters[0], value)


# --- measures -------------------------------------------------------------------------------------

measures = st.sampled_from([*dg.losses.MEASURES.values()])
series = st.lists(st.floats(0, 100) | st.just(NAN), max_size=8)


@given(measures, series, series, st.sampled_from([list, np.array, torch.tensor, lambda v: np.ma.masked_invalid(v)]))
def test_measures_have_a_value_or_say_why_not(measure: Any, simulated: Any, observed: Any, wrap: Any) -> None:
    needs = {"sigma": 0.5, "sigma_0": 0.5, "sigma_1": 0.1}
    s = torch.tensor(np.nan_to_num(simulated), dtype=torch.float64)
    needs = {k: needs[k] for k in measure.needs}
    found, error = attempt(lambda: measure.loss(s, wrap(observed), **needs), InputError)
    if error is None:
        assert found.shape == ()
        assert not torch.isnan(found)


@given(
    measures,
    no_number,
    st.sampled_from([None, 3, [1.0, 2.0], np.ones(4), torch.tensor([1, 2, 3, 4]), torch.ones(4) * 1j, "x"]),
)
def test_series_that_are_none(measure: Any, observed: Any, simulated: Any) -> None:
    needs = {"sigma": 0.5, "sigma_0": 0.5, "sigma_1": 0.1}
    needs = {k: needs[k] for k in measure.needs}
    with pytest.raises(InputError, match="simulated"):
        measure.function(simulated, [1.0, 2.0, 3.0, 4.0], **needs)
    if not isinstance(observed, (torch.Tensor, np.ndarray, bool, list)):
        with pytest.raises(InputError):
            measure.function(torch.ones(4), observed, **needs)


@given(
    st.sampled_from(["sigma", "fraction"]),
    not_positive.filter(lambda v: not isinstance(v, (bool, np.ndarray, list, tuple))),
)
def test_numbers_of_measures(name: str, value: Any) -> None:
    function = {"sigma": dg.losses.gaussian_log_likelihood, "fraction": dg.losses.log_nse}[name]
    with pytest.raises(InputError, match=name):
        function(torch.tensor([1.0, 2.0, 4.0]), [1.0, 2.0, 3.0], **{name: value})


# --- members, sites, inputs of networks -----------------------------------------------------------


def solution(count: int) -> dg.Solution:
    report = Forward(np.zeros(1), np.zeros(1), [Status.SUCCESS, Status.MAX_STEPS] * count, {1: "late"}, {})
    report.stats |= {"engine": "none", "steps": [*range(count)], "fallbacks": {0: "another"}}
    report.status = report.status[:count]
    storage = torch.arange(float(count)).reshape(count, 1, 1)
    fields = {"storage": storage}, {"discharge": storage[..., 0]}, {"k": storage[..., 0]}
    model = BASES["network"].model
    return dg.Solution(model, *fields, report, True, trace_model(model), {}, {}, np.arange(2.0))


@given(st.integers(2, 6), st.data())
def test_members_are_chosen_or_refused(count: int, data: Any) -> None:
    whole = solution(count)
    numbers = data.draw(st.lists(st.integers(-count, count - 1), max_size=4))
    mask = data.draw(st.lists(st.booleans(), min_size=count, max_size=count))
    masked = np.flatnonzero(mask).tolist()
    for chosen, wanted in ((numbers, [n % count for n in numbers]), (mask, masked), (torch.tensor(mask), masked)):
        part = whole.select(chosen)
        assert part.states["storage"][:, 0, 0].tolist() == wanted
        assert part.fluxes["discharge"][:, 0].tolist() == wanted
        assert part.status == [whole.status[i] for i in wanted]
        assert part.reasons == {k: "late" for k, i in enumerate(wanted) if i == 1}
        assert (part.stats["engine"], part.stats["steps"]) == ("none", wanted)
        assert part.stats["fallbacks"] == {k: "another" for k, i in enumerate(wanted) if i == 0}
    bad = data.draw(
        st.sampled_from([[*mask, True], mask[:-1], [count], [-count - 1], [0.5], None, "x", 0, [[0]], [1j], [None], {}])
    )
    with pytest.raises(InputError, match="member"):
        whole.select(bad)


no_attributes = values(None, [[1.0]], np.ones((2, 1)), "x", torch.ones(2), torch.ones(2, 2), torch.ones(1, 1) * 1j)


@given(no_attributes | values(torch.tensor([[INF]]), torch.tensor([[-INF], [1.0]])))
def test_attributes_that_are_none(value: Any) -> None:
    with pytest.raises(InputError, match="attributes"):
        network()(value)


@given(st.lists(st.floats(-1e6, 1e6) | st.just(NAN), min_size=1, max_size=5), plain)
def test_networks_stay_within_bounds(values: list[float], scale: float) -> None:
    x = torch.tensor(values, dtype=torch.float64)[:, None] * scale
    made = network(bounds={"f": (0.01, 0.1)}).normalise(x)
    found = made(x)
    assert ((found["f"] >= 0.01) & (found["f"] <= 0.1)).all()
    fitted = Standardise(1)
    fitted.fit(x)
    assert torch.isfinite(fitted(x)).all()


@given(
    st.lists(st.text(max_size=3), max_size=6, unique=True),
    st.one_of(st.integers(-2, 8), fractions, no_scalar),
    st.one_of(st.integers(-1, 3), no_scalar),
)
def test_splits_hold_every_name_once_or_are_refused(names: list[str], count: Any, seed: Any) -> None:
    for split in (lambda: [held_out(names, count, seed=seed)], lambda: [*k_fold(names, count, seed=seed)]):
        try:
            parts = split()
        except InputError:
            continue
        for seen, out in parts:
            assert sorted(seen + out) == sorted(names)
            assert seen
            assert out


@given(
    no_scalar.filter(lambda v: not isinstance(v, np.datetime64))
    | values("2000-99-01", "NaT", "1999-01-01", "2001-01-01", np.datetime64("NaT"))
)
def test_days_that_are_none(value: Any) -> None:
    data = SiteData(("a",), DAYS, {}, torch.ones(1, 5), torch.ones(1, 1), ("x",), "runoff")
    for part in (data, basin()):
        with pytest.raises(DataError):
            part.between(value, DAYS[-1])
        with pytest.raises(PydiffgeoError):
            part.between(DAYS[0], value)
