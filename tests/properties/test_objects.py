"""Wrong numbers and shapes in what users make, searched for: observations, priors, sites, searches, networks, measures."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("hypothesis")

from hypothesis import example, given
from hypothesis import strategies as st
from properties import BASES, INF, NAN, attempt, bad_times, fractions, increasing, no_number, no_scalar, plain

import pydiffgeo as dg
from pydiffgeo.calibration import Prior, Site, Strategy
from pydiffgeo.engines.base import Forward, Status
from pydiffgeo.engines.ir.traced_model import trace_model
from pydiffgeo.errors import BoundsError, DataError, InputError, PydiffgeoError, ShapeError
from pydiffgeo.nn import ParameterNetwork, SiteData, Standardise, Training, held_out, k_fold
from pydiffgeo.observe import Observation
from pydiffgeo.transforms import Bounded, Transforms, bounded

MODEL = dg.models.ExpHydro()
OBSERVED = Observation("runoff", "flux_sum", [(0.0, 1.0), (1.0, 2.0)], [1.0, 2.0], 0.1)
DAYS = np.arange("2000-01-01", "2000-01-06", dtype="datetime64[D]")


def site(**changes: Any) -> Site:
    good: dict[str, Any] = {
        "name": "plot", "model": MODEL, "times": [0.0, 1.0, 2.0], "forcing": {"precipitation": [1.0, 2.0]},
        "observations": (OBSERVED,), "bounds": {"f": (0.01, 0.1), "water_storage": (1.0, 9.0)},
    }  # fmt: skip
    return Site(**good | changes)


def network(**changes: Any) -> ParameterNetwork:
    return ParameterNetwork(**{"model": MODEL, "inputs": ["aridity"]} | changes)


def basin(**changes: Any) -> dg.hydrology.BasinData:
    series = {k: np.full(5, 5.0) for k in ("precipitation", "temperature", "daylength", "runoff")}
    return dg.hydrology.BasinData(**{"basin": "a", "dates": DAYS, "source": "here", **series} | changes)


# --- one wrong field ------------------------------------------------------------------------------

zero, negative = st.sampled_from([0, 0.0, np.float64(0)]), st.sampled_from([-1, -0.5, -1e300])
no_pair = st.one_of(no_scalar, st.sampled_from([3.0, (1.0,), (1.0, 2.0, 3.0), "ab", (1.0, "x"), (NAN, 1.0), (0.0, INF), ((1, 2), (3, 4)), {1.0, 2.0}, np.ones(3)]))  # fmt: skip
no_range = st.one_of(no_pair.filter(lambda v: v is not None), st.sampled_from([(1.0, 1.0), (2.0, 1.0), [0.5, -0.5]]))
no_mapping = st.sampled_from([3, "text", [1, 2], ("a", 1), {"a"}])
no_names = st.one_of(st.sampled_from(["text", 3, None, [1], ["a", "a"], ["a", None], b"ab"]))
no_text = st.sampled_from([None, 3, [], {}, b"x", ["a"], np.array(["a", "b"])])
odd_text = no_text | st.text(max_size=5)
unknown = st.text(max_size=5).filter(lambda t: t not in ("f",)).map(lambda t: {t: (0.1, 0.2)})
whole_0 = no_scalar | fractions | negative
whole_1 = whole_0 | zero
not_positive = no_scalar | zero | negative
not_nonnegative = no_scalar | negative
observation = {"name": "theta", "kind": "value", "times": [0.5, 1.0], "values": [0.2, NAN], "error": 0.1}


def in_order(first: Any) -> Any:
    return first.filter(lambda v: v is not None)


bad_error = st.one_of(no_number.filter(lambda v: not isinstance(v, (bool, list, torch.Tensor, np.ndarray))), st.sampled_from([0.0, -1.0, NAN, INF, [0.1, 0.0], [0.1, NAN], [0.1] * 3, [[0.1]] * 2 + [[0.2, 0.1]], [[[0.1]]], []]))  # fmt: skip
bad_values = st.one_of(no_number.filter(lambda v: not isinstance(v, (bool, list, torch.Tensor, np.ndarray))), st.sampled_from([0.1, [], [0.1], [0.1] * 3, [0.1, INF], [[0.1, 0.2], [0.1, -INF]], [[]], np.zeros((0, 2)), np.zeros((1, 2, 2))]))  # fmt: skip
bad_windows = st.sampled_from([[1.0, 2.0], [(1.0, 1.0)], [(2.0, 1.0)], [(0.0, NAN)], [(0.0, INF)], [(-INF, INF)], [(0.0, 1.0, 2.0)], [], None, "ab", [("a", "b")], 3, [(0.0,), (1.0, 2.0)], [(0, 1j)]])  # fmt: skip

# Class -> how it is made, field -> values that are wrong in it. The message must hold the field.
FIELDS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "observation": (lambda **k: Observation(**observation | k), {
        "name": no_text, "kind": odd_text, "error": bad_error, "values": bad_values, "relative_error": not_nonnegative,
        "times": st.sampled_from([None, "ab", [], [[0.5, 1.0]], [0.5, NAN], [0.5, INF], ["a", "b"], 3, [0.5, None], [0.5, 1j]]),
        "depth": in_order(no_pair).filter(lambda v: not isinstance(v, (float, np.ndarray)) or (isinstance(v, float) and not math.isfinite(v))), "cell": in_order(whole_0.filter(lambda v: not isinstance(v, int) or isinstance(v, bool) or v != -1)),
        "interpolate": st.sampled_from([None, 1, "no"])}),
    "window": (lambda **k: Observation(**observation | {"kind": "flux_mean", "values": [1.0]} | k), {"times": bad_windows}),
    "prior": (lambda **k: Prior(**{"mean": 1.0, "spread": 0.5} | k), {"mean": no_scalar, "spread": not_positive, "log": st.sampled_from([None, 1, "no"])}),
    "logarithmic prior": (lambda **k: Prior(**{"mean": 1.0, "spread": 0.5, "log": True} | k), {"mean": not_positive}),
    "strategy": (Strategy, {
        **dict.fromkeys(("candidates", "starts", "window_steps", "finalists", "steps", "patience"), whole_1), "seed": whole_0,
        "method": odd_text, "window": not_nonnegative, "tolerance": not_nonnegative, "learning_rate": not_positive}),
    "training": (Training, {
        **dict.fromkeys(("steps", "batch", "window", "check_every", "patience"), whole_1), "warmup": whole_0, "tuning": whole_0,
        "seed": whole_0, "learning_rate": not_positive, "clip": not_positive, "weight_decay": not_nonnegative, "noise": not_nonnegative,
        "average": not_nonnegative | st.sampled_from([1.0, 1, 2.5]), "measure": odd_text, "settings": no_mapping}),
    "site": (site, {
        "name": no_text, "model": st.sampled_from([None, "x", dg.models.ExpHydro]), "times": bad_times(), "forcing": no_mapping, "fixed": no_mapping,
        "initial": no_mapping, "priors": st.sampled_from([3, {"f": 1.0}, {"f": (0.1, 0.2)}, {"f": None}]), "settings": no_mapping,
        "observations": st.sampled_from([OBSERVED, None, "x", 3, [1.0], (OBSERVED, None)]), "tuning": st.sampled_from([OBSERVED, None, "x", (1.0,)]),
        "bounds": st.one_of(no_mapping, unknown, no_range.map(lambda r: {"f": r}), no_range.map(lambda r: {"water_storage": r})),
        "loss": odd_text, "warmup": not_nonnegative}),
    "network": (network, {
        "inputs": no_names | st.just([]), "weather": no_names, "varying": no_names, "hidden": st.sampled_from(["12", 3, [0], [2.5], [-1], [None], ["3"], [True]]),
        "memory": whole_1, "seed": whole_0,
        **{k: st.one_of(no_mapping, unknown, no_range.map(lambda r: {"f": r})) for k in ("bounds",)},
        "initial": st.one_of(no_mapping, unknown, no_range.map(lambda r: {"water_storage": r}), st.just({"water_storage": (-1.0, 9.0)})),
        "fixed": st.one_of(no_mapping, no_scalar.map(lambda v: {"f": v}), st.sampled_from([{"f": -1.0}, {"x": 1.0}])),
        "start": st.one_of(no_mapping, no_scalar.map(lambda v: {"f": v}), st.sampled_from([{"f": -1.0}, {"x": 1.0}]))}),
    "bounds": (lambda **k: Bounded(**{"name": "k", "low": 1.0, "high": 2.0} | k), {
        "low": no_scalar | st.sampled_from([2.0, 3]), "high": no_scalar | st.sampled_from([1.0, 0])}),
    "basin": (basin, {
        "dates": st.sampled_from([DAYS[::-1], DAYS[:0], np.append(DAYS[:4], DAYS[3]), DAYS + np.arange(5), "x", ["a"] * 5, np.full(5, "NaT", "M8[D]"), DAYS[0]]),
        **{k: st.sampled_from([np.ones(4), np.ones((1, 5)), [-200.0] * 5, ["a"] * 5, [1.0, 2.0, 3.0, 4.0, 1e9], [INF] * 5, None, [1j] * 5, [None] * 5 if k != "runoff" else 1.0, [[1.0]] * 4 + [[]]]) for k in ("precipitation", "temperature", "daylength", "runoff")}}),
}  # fmt: skip
# What else a message may call the field.
ALSO = {"relative_error": ("error",), "name": ("name", "observation"), "times": ("window", "times"), "low": ("'k'",), "high": ("'k'",), "prior": ("prior",), "mean": ("prior",), "spread": ("prior",), "bounds": ("'f'", "'water_storage'", "calibrated"), "initial": ("'water_storage'",), "fixed": ("'f'", "'x'"), "start": ("'f'", "'x'"), "dates": ("day", "entry"), "priors": ("'f'",)}  # fmt: skip


@given(st.sampled_from([(c, f) for c, (_, fields) in FIELDS.items() for f in fields]), st.data())
def test_a_wrong_field_is_refused_and_named(at: tuple[str, str], data: Any) -> None:
    kind, field = at
    make, fields = FIELDS[kind]
    value = data.draw(fields[field])
    with pytest.raises((InputError, DataError)) as caught:
        make(**{field: value})
    assert any(word in str(caught.value) for word in (field, *ALSO.get(field, ())))


@given(increasing, st.sampled_from([list, tuple, np.array, torch.tensor]), st.sampled_from([0.1, [0.1], np.float32(0.1), torch.tensor(0.1)]),
       st.sampled_from([None, 0.5, (0.1, 0.4), np.float64(0.2), 1]), st.booleans())  # fmt: skip
def test_good_objects_are_made(times: Any, wrap: Any, error: Any, depth: Any, missing: bool) -> None:
    values = [NAN if missing and i % 2 else float(i) for i in range(len(times))]
    made = Observation("theta", "value", wrap(times), wrap(values), error, depth=depth)
    np.testing.assert_array_equal(made.values, values)
    windows = np.stack([times[:-1], times[1:]], axis=1)
    seen = Observation("runoff", "flux_mean", wrap(windows.tolist()), wrap([values[1:]] * 2), error)
    assert seen.values.shape == (2, len(times) - 1)
    good = site(times=wrap(times), observations=[seen], bounds={"f": np.array([0.01, 0.1]), "S_max": [100, 200.0], "Q_max": None}, priors={"f": Prior(0.05, 1)})  # fmt: skip
    assert good.transforms.names == ("f", "S_max", "Q_max")
    Strategy(candidates=np.int64(5), starts=5, finalists=1, window=np.float32(3.5), tolerance=0)
    Training(steps=np.int32(3), noise=0, average=np.float64(0.9))


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


@given(
    st.one_of(
        no_range.filter(lambda v: not isinstance(v, np.ndarray)),
        st.sampled_from([(), [], (0.0, -1.0), (-5.0, 1.0), np.ones(2)]),
    )
)
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
    values = torch.arange(float(count)).reshape(count, 1, 1)
    return dg.Solution(BASES["network"].model, np.arange(2.0), {"storage": values}, {"discharge": values[..., 0]}, {"k": values[..., 0]}, report, True, trace_model(BASES["network"].model))  # fmt: skip


@given(st.integers(2, 6), st.data())
def test_members_are_chosen_or_refused(count: int, data: Any) -> None:
    whole = solution(count)
    numbers = data.draw(st.lists(st.integers(-count, count - 1), max_size=4))
    mask = data.draw(st.lists(st.booleans(), min_size=count, max_size=count))
    for chosen, wanted in ((numbers, [n % count for n in numbers]), (mask, np.flatnonzero(mask).tolist()), (torch.tensor(mask), np.flatnonzero(mask).tolist())):  # fmt: skip
        part = whole.select(chosen)
        assert part.states["storage"][:, 0, 0].tolist() == wanted
        assert part.fluxes["discharge"][:, 0].tolist() == wanted
        assert part.status == [whole.status[i] for i in wanted]
        assert part.reasons == {k: "late" for k, i in enumerate(wanted) if i == 1}
        others = {k: "another" for k, i in enumerate(wanted) if i == 0}
        assert {k: part.stats[k] for k in ("engine", "steps", "fallbacks")} == {
            "engine": "none",
            "steps": wanted,
            "fallbacks": others,
        }
    bad = data.draw(
        st.sampled_from([[*mask, True], mask[:-1], [count], [-count - 1], [0.5], None, "x", 0, [[0]], [1j], [None], {}])
    )
    with pytest.raises(InputError, match="member"):
        whole.select(bad)


@given(st.sampled_from([None, [[1.0]], np.ones((2, 1)), torch.ones(2), torch.ones(2, 2), torch.tensor([[INF]]), torch.tensor([[-INF], [1.0]]), torch.ones(1, 1) * 1j, "x"]))  # fmt: skip
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


@given(st.one_of(no_scalar.filter(lambda v: not isinstance(v, np.datetime64)), st.sampled_from(["2000-99-01", "NaT", "1999-01-01", "2001-01-01", np.datetime64("NaT")])))  # fmt: skip
def test_days_that_are_none(value: Any) -> None:
    data = SiteData(("a",), DAYS, {}, torch.ones(1, 5), torch.ones(1, 1), ("x",), "runoff")
    for part in (data, basin()):
        with pytest.raises(DataError):
            part.between(value, DAYS[-1])
        with pytest.raises(PydiffgeoError):
            part.between(DAYS[0], value)
