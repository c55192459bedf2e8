"""Reports of columns, aquifers and rivers: what they show, and that the numbers are those of the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from places import KINDS, aquifer, column, river
from reports import assert_inert, figures, report

from pydiffgeo.errors import ShapeError
from pydiffgeo.plots import balance_picture, field_map, long_profile, profile_lines
from pydiffgeo.report.content import Content
from pydiffgeo.report.instruments import instruments
from pydiffgeo.report.maps import grid_of
from pydiffgeo.report.river_figures import longest_way

SECTIONS = {
    "column": ["Observations", "Profiles", "Simulated", "Water balance", "Provenance"],
    "aquifer": ["Observations", "Maps", "Simulated", "Water balance", "Provenance"],
    "river": ["River", "Simulated", "Water balance", "Provenance"],
}
SHOWN = {
    "column": [
        "theta: observed (dots) and simulated (lines).",
        "Volumetric water content with elastic storage over time and depth; dots are measured.",
        "Volumetric water content with elastic storage over depth, at some times.",
        "What came in (left) and went out (right) over the whole run",
    ],
    "aquifer": [
        "Hydraulic head at the end, 50 d.",
        "Drawdown: how far hydraulic head has fallen since the start",
        "Drawdown at wells, below hydraulic head at the start.",
        "Hydraulic conductivity along rows.",
        "Mean residual of head at each place, simulated less observed.",
    ],
    "river": ["The longest way to the outlet: the bed, and discharge", "Discharge at the outlet."],
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_what_is_of_use(kind: str, tmp_path: Path) -> None:
    page = report(tmp_path, KINDS[kind]())
    assert [*page.sections][1:] == SECTIONS[kind]
    assert_inert(page)
    for text in SHOWN[kind]:
        assert [caption for caption in figures(page) if caption.startswith(text)], text


def test_residuals_are_those_of_the_file(tmp_path: Path) -> None:
    rows = {row[0]: row[1:] for row in report(tmp_path, column()).rows if row}
    assert rows["theta at 0.45 m"][:4] == ["train", "5", "0.01", "0.01"]
    assert rows["theta at 0.15 m"][1:4] == ["5", "0", "0"]
    rows = {row[0]: row[1:] for row in report(tmp_path, aquifer()).rows if row}
    assert rows["head at P1 (m)"][:4] == ["train", "3", "0.5", "0.5"]
    (one,) = instruments(Content("a", aquifer()))
    assert (one.cell, one.quantity, one.time_unit) == (5, "head", "d")


def test_the_grid_is_that_of_the_model() -> None:
    grid = grid_of(Content("a", aquifer()))
    assert grid is not None
    np.testing.assert_allclose(grid.x, [0.0, 50.0, 150.0, 250.0, 400.0])
    np.testing.assert_allclose(grid.y, [0.0, 100.0, 200.0, 300.0])
    field = grid.on_map(np.arange(11.0), 0)
    np.testing.assert_array_equal(field, [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, np.nan]])


def test_the_longest_way_of_a_river() -> None:
    data = river()
    assert data["downstream"].values.tolist() == [2, 2, 3, -1]
    assert longest_way(data["downstream"].values, data["reach_length"].values).tolist() == [1, 2, 3]
    # Of two outlets the one that is further from its sources; a way of many short reaches may be the longer one.
    below = np.array([1, 2, 5, 5, -1, -1])
    assert longest_way(below, np.array([1.0, 1.0, 1.0, 2.5, 3.0, 1.0])).tolist() == [0, 1, 2, 5]


def test_what_came_in_and_went_out_is_told_apart() -> None:
    data = column()
    assert {
        k: data[k].attrs.get("direction") for k in ("precipitation", "evaporation", "drainage", "infiltration")
    } == {
        "precipitation": "in",
        "evaporation": "out",
        "drainage": "out",
        "infiltration": None,
    }
    figure = balance_picture({"rain": 30.0, "snow": 10.0}, {"runoff": 25.0}, unit="mm")
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["rain\n30 mm, 75 %", "snow\n10 mm, 25 %", "runoff\n25 mm, 62 %", "stored\n15 mm, 38 %"]
    assert balance_picture({}, {}, unit="mm").axes


def test_figures_refuse_what_does_not_fit() -> None:
    with pytest.raises(ShapeError, match="field must have the shape"):
        field_map([0, 1, 2], [0, 1], [[1.0]])
    with pytest.raises(ShapeError, match="first must have the shape"):
        profile_lines([0.1, 0.2], {"first": [1.0]})
    with pytest.raises(ShapeError, match="peak must have the shape"):
        long_profile([1.0, 2.0], [0.2, 0.1], {"peak": [1.0]})
