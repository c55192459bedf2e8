"""Bad input, searched for: whatever is wrong is refused before anything is solved, by an error that names it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("hypothesis")

from hypothesis import example, given
from hypothesis import strategies as st
from properties import (
    BASES,
    ROWS,
    SCALARS,
    TIMES,
    Base,
    Entered,
    bad_combination,
    bad_entry,
    bad_setting,
    bases,
    enter,
    increasing,
    plain,
)

import pydiffgeo as dg
from pydiffgeo.engines.sundials.engine import SundialsEngine
from pydiffgeo.errors import DtypeError, PydiffgeoError, ShapeError
from pydiffgeo.inputs import check_inputs


@pytest.fixture(autouse=True, scope="module")
def nothing_is_solved() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SundialsEngine, "forward", enter)
        yield


def start(way: str, base: Base, call: dict[str, Any]) -> Any:
    model = call.get("model", base.model)
    rest = {k: v for k, v in call.items() if k not in ("model", "parameters")}
    if way == "solve":
        return dg.solve(model, call["parameters"], **rest)
    if way == "layer":
        settings = {k: rest.pop(k) for k in ("engine", "rtol") if k in rest}
        return dg.Layer(model, **settings)(call["parameters"], **rest)
    # Whatever else is wrong is found inside the function that is differentiated.
    return dg.jacobian(lambda x: dg.solve(model, call["parameters"], **rest).states["x"] + x, torch.ones(1, 2))


ways = st.sampled_from(["solve", "layer", "jacobian"])
wrong = st.one_of(bad_entry(), bad_setting(), bad_combination())


@given(wrong, ways)
def test_one_wrong_thing_is_refused_and_named(wrong: Any, way: str) -> None:
    base, call, errors, culprit = wrong
    with pytest.raises(PydiffgeoError) as caught:
        start(way, base, call)
    assert type(caught.value) in errors
    assert culprit in str(caught.value)


@given(bad_entry(), bad_setting(), ways)
def test_two_wrong_things_are_refused_as_well(first: Any, second: Any, way: str) -> None:
    base, call, *_ = first
    setting = second[-1]
    with pytest.raises(PydiffgeoError):
        start(way, base, call | {setting: second[1][setting]})


@given(st.data(), bases, ways, increasing, st.integers(0, 3))
def test_the_same_numbers_reach_the_engine(data: Any, base: Base, way: str, times: Any, turn: int) -> None:
    model, n = base.model, len(times) - 1
    wanted: dict[str, dict[str, list[float]]] = {"parameters": {}, "forcing": {}, "initial": {}}
    call: dict[str, Any] = {"engine": "sundials", "parameters": {}, "forcing": {}, "initial": {}}
    for group, numbers in (("parameters", base.parameters), ("forcing", base.forcing), ("initial", base.initial)):
        for name in [*numbers][turn:] + [*numbers][:turn]:
            # Values that every type of float holds.
            value = float(torch.tensor(numbers[name], dtype=torch.bfloat16)) if group != "forcing" else data.draw(plain)
            size = n if group == "forcing" else model.graph.cells
            single = group == "forcing" or data.draw(st.booleans())
            if single and group != "forcing":
                call[group][name] = data.draw(st.sampled_from(SCALARS))(value)
            else:
                call[group][name] = data.draw(st.sampled_from(ROWS))([value] * size)
            wanted[group][name] = [value] * size
    call["times"] = data.draw(st.sampled_from(TIMES))(times)
    with pytest.raises(Entered) as caught:
        start(way, base, call)
    problem = caught.value.problem
    np.testing.assert_array_equal(problem.breaks, times)
    assert problem.y0.shape[0] == problem.p.shape[0] == problem.f.shape[0] == 1
    inputs = check_inputs(model, call["parameters"], call["forcing"], call["times"], call["initial"])
    for name, values in wanted["parameters"].items():
        np.testing.assert_array_equal(inputs.parameters[name].detach().expand(1, len(values))[0], values)
    for name, values in wanted["initial"].items():
        np.testing.assert_array_equal(inputs.states[name].detach()[0], values)
    widths = [model.graph.cells if f.on == "cell" else 1 for f in model.forcings]
    # Behind them lie values that follow from forcings, held for each interval.
    forcing = np.split(problem.f[0, :, 0, : sum(widths)], np.cumsum(widths)[:-1], axis=1)
    for variable, columns in zip(model.forcings, forcing, strict=True):
        np.testing.assert_array_equal(columns, np.array(wanted["forcing"][variable.name])[:, None] + 0 * columns)


@given(
    st.lists(st.floats(-1e300, 1e300), min_size=2, max_size=6, unique=True),
    st.sampled_from(["constant", "linear"]),
    st.data(),
)
@example([1e308, 1.1e308, 1.2e308], "constant", None)
@example([0.0, 5e-324, 1e-323], "linear", None)
@example([1.0, 1.0000000000000002], "constant", None)
def test_a_series_has_its_values_at_its_own_times(times: Any, kind: str, data: Any) -> None:
    """Of any times, however close or far, each interval gets the value of the one it lies in."""
    times = sorted(times)
    values = np.arange(len(times) - (kind == "constant")) + 1.0
    ends = (0, len(times) - 1) if data is None else sorted(data.draw(st.permutations(range(len(times))))[:2])
    base = BASES["column"]
    call = base.call() | {
        "times": [times[ends[0]], times[ends[1]]],
        "forcing": {"flux": dg.TimeSeries(times, values, kind)},
    }
    with pytest.raises(Entered) as caught:
        start("solve", base, call)
    problem = caught.value.problem
    np.testing.assert_array_equal(problem.breaks, times[ends[0] : ends[1] + 1])
    for side in range(problem.f.shape[2]):
        np.testing.assert_allclose(problem.f[0, :, side, 0], values[ends[0] : ends[1]] + side, rtol=1e-12)


@given(
    st.sampled_from(
        [
            None,
            1.0,
            "x",
            [[1.0]],
            np.ones((2, 2)),
            torch.ones(2, 2, dtype=torch.int64),
            torch.ones(3),
            torch.ones(2, 0),
            torch.ones(1, 2, 2),
            torch.tensor(1.0),
        ]
    )
)
def test_jacobians_of_nothing(x: Any) -> None:
    with pytest.raises((DtypeError, ShapeError), match=r"^x must be"):
        dg.jacobian(lambda x: x, x)


@given(st.sampled_from([None, 1.0, "x", torch.ones(3), torch.ones(2), torch.ones(3, 1, 1), {}]))
def test_functions_that_return_no_table(value: Any) -> None:
    with pytest.raises((DtypeError, ShapeError), match=r"^function must return"):
        dg.jacobian(lambda x: value, torch.ones(2, 2))
