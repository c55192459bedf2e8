"""Wrong fields of what users make, searched for: observations, priors, sites, strategies, networks, basins."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("hypothesis")

from hypothesis import given
from hypothesis import strategies as st
from properties import (
    INF,
    NAN,
    bad_times,
    fractions,
    increasing,
    negative,
    no_number,
    no_pair,
    no_range,
    no_scalar,
    not_nonnegative,
    not_positive,
    values,
    zero,
)

import pydiffgeo as dg
from pydiffgeo.calibration import Prior, Site, Strategy
from pydiffgeo.errors import DataError, InputError
from pydiffgeo.nn import ParameterNetwork, Training
from pydiffgeo.observe import Observation
from pydiffgeo.transforms import Bounded

MODEL = dg.models.ExpHydro()
OBSERVED = Observation("runoff", "flux_sum", [(0.0, 1.0), (1.0, 2.0)], [1.0, 2.0], 0.1)
DAYS = np.arange("2000-01-01", "2000-01-06", dtype="datetime64[D]")


def site(**changes: Any) -> Site:
    good: dict[str, Any] = {
        "name": "plot",
        "model": MODEL,
        "times": [0.0, 1.0, 2.0],
        "forcing": {"precipitation": [1.0, 2.0]},
        "observations": (OBSERVED,),
        "bounds": {"f": (0.01, 0.1), "water_storage": (1.0, 9.0)},
    }
    return Site(**good | changes)


def network(**changes: Any) -> ParameterNetwork:
    return ParameterNetwork(**{"model": MODEL, "inputs": ["aridity"]} | changes)


def basin(**changes: Any) -> dg.hydrology.BasinData:
    series = {k: np.full(5, 5.0) for k in ("precipitation", "temperature", "daylength", "runoff")}
    return dg.hydrology.BasinData(**{"basin": "a", "dates": DAYS, "source": "here", **series} | changes)


no_mapping = values(3, "text", [1, 2], ("a", 1), {"a"})
no_names = values("text", 3, None, [1], ["a", "a"], ["a", None], b"ab")
no_text = values(None, 3, [], {}, b"x", ["a"], np.array(["a", "b"]))
odd_text = no_text | st.text(max_size=5)
unknown = st.text(max_size=5).filter(lambda t: t not in ("f",)).map(lambda t: {t: (0.1, 0.2)})
whole_0 = no_scalar | fractions | negative
whole_1 = whole_0 | zero
observation = {"name": "theta", "kind": "value", "times": [0.5, 1.0], "values": [0.2, NAN], "error": 0.1}
no_entry = no_number.filter(lambda v: not isinstance(v, (bool, list, torch.Tensor, np.ndarray)))
bad_error = no_entry | values(
    0.0, -1.0, NAN, INF, [0.1, 0.0], [0.1, NAN], [0.1] * 3, [[0.1]] * 2 + [[0.2, 0.1]], [[[0.1]]], []
)
bad_values = (
    no_entry
    | values(0.1, [], [0.1], [0.1] * 3, [0.1, INF], [[0.1, 0.2], [0.1, -INF]], [[]])
    | values(np.zeros((0, 2)), np.zeros((1, 2, 2)))
)
bad_instants = values(None, "ab", [], [[0.5, 1.0]], [0.5, NAN], [0.5, INF], ["a", "b"], 3, [0.5, None], [0.5, 1j])
bad_windows = values(
    [1.0, 2.0], [(1.0, 1.0)], [(2.0, 1.0)], [(0.0, NAN)], [(0.0, INF)], [(-INF, INF)], [(0.0, 1.0, 2.0)], []
) | values(None, "ab", [("a", "b")], 3, [(0.0,), (1.0, 2.0)], [(0, 1j)])
bad_depth = no_pair.filter(lambda v: v is not None).filter(
    lambda v: not isinstance(v, np.ndarray) and not (isinstance(v, float) and math.isfinite(v))
)
bad_cell = whole_0.filter(lambda v: v is not None and (not isinstance(v, int) or isinstance(v, bool) or v != -1))
bad_series = values(
    np.ones(4), np.ones((1, 5)), [-200.0] * 5, ["a"] * 5, [1.0, 2.0, 3.0, 4.0, 1e9], [INF] * 5, None
) | values([1j] * 5, [[1.0]] * 4 + [[]])
bad_days = values(
    DAYS[::-1], DAYS[:0], np.append(DAYS[:4], DAYS[3]), DAYS + np.arange(5), "x", ["a"] * 5, DAYS[0]
) | st.just(np.full(5, "NaT", "M8[D]"))
bad_fixed = no_mapping | no_scalar.map(lambda v: {"f": v}) | values({"f": -1.0}, {"x": 1.0})


def each(wrong: Any, fields: str) -> dict[str, Any]:
    """The same wrong values for several fields."""
    return dict.fromkeys(fields.split(), wrong)


def bad_bounds(name: str) -> Any:
    return no_mapping | unknown | no_range.map(lambda r: {name: r})


# Class -> how it is made, field -> values that are wrong in it. The message must hold the field.
FIELDS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "observation": (
        lambda **k: Observation(**observation | k),
        {
            **{"name": no_text, "kind": odd_text, "error": bad_error, "values": bad_values, "times": bad_instants},
            **{"relative_error": not_nonnegative, "depth": bad_depth, "cell": bad_cell},
            "interpolate": values(None, 1, "no"),
        },
    ),
    "window": (
        lambda **k: Observation(**observation | {"kind": "flux_mean", "values": [1.0]} | k),
        {"times": bad_windows},
    ),
    "prior": (
        lambda **k: Prior(**{"mean": 1.0, "spread": 0.5} | k),
        {"mean": no_scalar, "spread": not_positive, "log": values(None, 1, "no")},
    ),
    "logarithmic prior": (lambda **k: Prior(**{"mean": 1.0, "spread": 0.5, "log": True} | k), {"mean": not_positive}),
    "strategy": (
        Strategy,
        {
            **each(whole_1, "candidates starts window_steps finalists steps patience"),
            **each(not_nonnegative, "window tolerance"),
            **{"seed": whole_0, "method": odd_text, "learning_rate": not_positive},
        },
    ),
    "training": (
        Training,
        {
            **each(whole_1, "steps batch window check_every patience"),
            **each(whole_0, "warmup tuning seed"),
            **each(not_positive, "learning_rate clip"),
            **each(not_nonnegative, "weight_decay noise"),
            **{"average": not_nonnegative | values(1.0, 1, 2.5), "measure": odd_text, "settings": no_mapping},
        },
    ),
    "site": (
        site,
        {
            **each(no_mapping, "forcing fixed initial settings"),
            **{"name": no_text, "loss": odd_text, "warmup": not_nonnegative, "times": bad_times()},
            "model": values(None, "x", dg.models.ExpHydro),
            "priors": values(3, {"f": 1.0}, {"f": (0.1, 0.2)}, {"f": None}),
            "observations": values(OBSERVED, None, "x", 3, [1.0], (OBSERVED, None)),
            "tuning": values(OBSERVED, None, "x", (1.0,)),
            "bounds": bad_bounds("f") | bad_bounds("water_storage"),
        },
    ),
    "network": (
        network,
        {
            **each(no_names, "weather varying"),
            **each(bad_fixed, "fixed start"),
            **{"inputs": no_names | st.just([]), "memory": whole_1, "seed": whole_0},
            "hidden": values("12", 3, [0], [2.5], [-1], [None], ["3"], [True]),
            "bounds": bad_bounds("f"),
            "initial": bad_bounds("water_storage") | st.just({"water_storage": (-1.0, 9.0)}),
        },
    ),
    "bounds": (
        lambda **k: Bounded(**{"name": "k", "low": 1.0, "high": 2.0} | k),
        {"low": no_scalar | values(2.0, 3), "high": no_scalar | values(1.0, 0)},
    ),
    "basin": (
        basin,
        {
            "dates": bad_days,
            **each(bad_series | st.just([None] * 5), "precipitation temperature daylength"),
            "runoff": bad_series | st.just(1.0),
        },
    ),
}
# What else a message may call the field.
ALSO = {
    **dict.fromkeys(("low", "high"), ("'k'",)),
    **dict.fromkeys(("mean", "spread"), ("prior",)),
    **dict.fromkeys(("fixed", "start"), ("'f'", "'x'")),
    **{"relative_error": ("error",), "name": ("observation",), "times": ("window",), "dates": ("day", "entry")},
    **{"bounds": ("'f'", "'water_storage'", "calibrated"), "initial": ("'water_storage'",), "priors": ("'f'",)},
}


@given(st.sampled_from([(c, f) for c, (_, fields) in FIELDS.items() for f in fields]), st.data())
def test_a_wrong_field_is_refused_and_named(at: tuple[str, str], data: Any) -> None:
    kind, field = at
    make, fields = FIELDS[kind]
    value = data.draw(fields[field])
    with pytest.raises((InputError, DataError)) as caught:
        make(**{field: value})
    assert any(word in str(caught.value) for word in (field, *ALSO.get(field, ())))


@given(
    increasing,
    st.sampled_from([list, tuple, np.array, torch.tensor]),
    st.sampled_from([0.1, [0.1], np.float32(0.1), torch.tensor(0.1)]),
    st.sampled_from([None, 0.5, (0.1, 0.4), np.float64(0.2), 1]),
    st.booleans(),
)
def test_good_objects_are_made(times: Any, wrap: Any, error: Any, depth: Any, missing: bool) -> None:
    series = [NAN if missing and i % 2 else float(i) for i in range(len(times))]
    made = Observation("theta", "value", wrap(times), wrap(series), error, depth=depth)
    np.testing.assert_array_equal(made.values, series)
    windows = np.stack([times[:-1], times[1:]], axis=1)
    seen = Observation("runoff", "flux_mean", wrap(windows.tolist()), wrap([series[1:]] * 2), error)
    assert seen.values.shape == (2, len(times) - 1)
    good = site(
        times=wrap(times),
        observations=[seen],
        bounds={"f": np.array([0.01, 0.1]), "S_max": [100, 200.0], "Q_max": None},
        priors={"f": Prior(0.05, 1)},
    )
    assert good.transforms.names == ("f", "S_max", "Q_max")
    Strategy(candidates=np.int64(5), starts=5, finalists=1, window=np.float32(3.5), tolerance=0)
    Training(steps=np.int32(3), noise=0, average=np.float64(0.9))
