"""The figures: what is drawn is what was given, on axes that say what they show."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from matplotlib.dates import date2num
from reports import made_up

import pydiffgeo as dg
from pydiffgeo.errors import InputError, ShapeError, UnknownNameError
from pydiffgeo.plots.style import svg


@pytest.mark.parametrize("text", ["a$b$c", "$", "\\frac{", "a\x00b\x07\n<b>", "$\\undefined$", "流域"])
@pytest.mark.filterwarnings("ignore:Glyph")
def test_any_text_can_be_drawn(text):
    figure = dg.plots.hydrograph([0.0, 1.0], [1.0, 2.0], [1.0, 1.5], name=text, unit=text, title=text, time_unit=text)
    assert b"<svg" in svg(figure)
    svg(dg.plots.parameter_ranges({text: [1.0]}, units={text: text}))
    svg(dg.plots.score_cdf({text: [0.1, 0.2]}, name=text))


def lines_of(axis) -> dict[str, np.ndarray]:
    return {line.get_label(): line.get_ydata() for line in axis.lines}


def test_hydrograph():
    data = made_up().isel(basin=0)
    figure = dg.plots.hydrograph(
        data.time,
        data.runoff_observed,
        data.runoff_simulated,
        prior=data.runoff_prior,
        rain=data.precipitation,
        window=("2003-01-01", "2003-12-31"),
        periods={"train": ("2000-10-01", "2002-09-30")},
    )
    rain, flow, whole = figure.axes
    year = data.sel(time="2003")
    np.testing.assert_array_equal(lines_of(flow)["observed"], year.runoff_observed)
    np.testing.assert_array_equal(lines_of(flow)["simulated"], year.runoff_simulated)
    assert {k: line.get_color() for k, line in zip(lines_of(flow), flow.lines, strict=True)}["observed"] == "#000000"
    assert rain.get_ylim()[0] > rain.get_ylim()[1] == 0
    assert flow.get_ylabel() == "runoff (mm d-1)"
    np.testing.assert_allclose(whole.get_xlim(), date2num(data.time.values[[0, -1]]))
    assert [t.get_text() for t in whole.texts] == ["train"]
    with pytest.raises(ShapeError, match="at least one time"):
        dg.plots.hydrograph([], [], [])
    with pytest.raises(ShapeError, match="rain has 3 values for 2 times"):
        dg.plots.hydrograph([0, 1], [1, 2], torch.ones(2, requires_grad=True), rain=[1, 2, 3])


def test_distribution_counts_what_lies_below_the_axis():
    (axis,) = dg.plots.score_cdf({"evaluation": [0.5, -3.0, np.nan, 0.9]}, baselines={"climatology": [0.1, 0.2]}).axes
    assert axis.get_xlim() == (-1.0, 1.0)
    texts = [t.get_text() for t in axis.get_legend().get_texts()]
    assert texts == ["evaluation: median 0.50; 1 below -1", "climatology: median 0.15"]
    line = axis.lines[0]
    assert [line.get_ydata()[np.searchsorted(line.get_xdata(), x, "right") - 1] for x in (-1, 0.4, 0.6, 0.95)] == (
        pytest.approx([1 / 3, 1 / 3, 2 / 3, 1])
    )


def test_map():
    axis, bar = dg.plots.score_map([1.0, 2.0, 3.0], [50.0, 51.0, 52.0], [0.2, np.nan, -4.0]).axes
    dots, crosses = axis.collections
    # The worst is drawn last.
    np.testing.assert_array_equal(dots.get_offsets(), [[1, 50], [3, 52]])
    np.testing.assert_array_equal(dots.get_array(), [0.2, -4.0])
    np.testing.assert_array_equal(crosses.get_offsets(), [[2, 51]])
    assert bar.get_ylabel() == "NSE (-)"
    with pytest.raises(ShapeError, match="1 longitudes, 2 latitudes"):
        dg.plots.score_map([1.0], [1.0, 2.0], [1.0, 2.0])
    with pytest.raises(InputError, match="at least one site"):
        dg.plots.score_map([np.nan], [1.0], [1.0])


def test_losses_and_parameters():
    many = np.geomspace(10.0, 0.01, 20) * np.ones((8, 1))
    one, crowd = dg.plots.loss_curves(
        {"training": [3.0, 2.0, np.nan], "tuning": many}, unit="mm2 d-2", what="basins"
    ).axes
    np.testing.assert_array_equal(one.lines[0].get_ydata(), [3.0, 2.0, np.nan])
    assert (one.get_yscale(), crowd.get_yscale()) == ("linear", "log")
    assert len(crowd.lines) == 9
    assert one.get_ylabel() == "loss (mm2 d-2)"
    (axis,) = dg.plots.parameter_ranges({"a": [1.0, 3.0], "b": 5.0}, prior={"a": 2.0}, bounds={"a": (0.0, 4.0)}).axes
    assert [line.get_xdata().tolist() for line in axis.lines if line.get_marker() == "o"] == [
        [0.5, 0.5],
        [0.25, 0.75],
        [0.5],
    ]
    with pytest.raises(UnknownNameError, match="'c' is not among the parameters"):
        dg.plots.parameter_ranges({"a": 1.0}, bounds={"c": (0.0, 1.0)})


def test_moisture_profile():
    field = np.arange(12.0).reshape(3, 4)
    axis, bar = dg.plots.moisture_profile(
        [0, 1, 2], [0.7, 0.5, 0.3, 0.1], field, probe_depth=[0.2], probe_time=[1.0], probe_values=[[4.5]]
    ).axes
    mesh, dots = axis.collections
    # Depth grows downwards, whatever the order of the cells.
    assert axis.get_ylim() == pytest.approx((0.8, 0.0))
    np.testing.assert_array_equal(np.asarray(mesh.get_array()).reshape(4, 3), field[:, ::-1].T)
    np.testing.assert_array_equal(dots.get_offsets(), [[1.0, 0.2]])
    assert bar.get_ylabel() == "water content (-)"
    # A column of one cell is drawn from top to bottom.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        alone = dg.plots.moisture_profile([0, 1], [0.5], [[0.2], [0.3]])
        alone.canvas.draw()
    assert alone.axes[0].get_ylim() == pytest.approx((1.0, 0.0))
    np.testing.assert_allclose(alone.axes[0].collections[0].get_coordinates()[:, 0, 1], [0.0, 0.5, 1.0])
    with pytest.raises(ShapeError, match=r"values must have the shape \(3, 4\)"):
        dg.plots.moisture_profile([0, 1, 2], [0.1, 0.3, 0.5, 0.7], field.T)
    with pytest.raises(ShapeError, match="probe_values"):
        dg.plots.moisture_profile([0, 1, 2], [0.1, 0.3, 0.5, 0.7], field, probe_values=[[1.0]] * 3)
