"""What a calibration tells: baselines, bounds of all that was sought, CF attributes, ensembles, time left, mistakes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from calibration import fail_from_eleven, write_basins, write_config
from reports import Reader, figures, made_up, report
from reservoirs import QUICK, observations, site

import pydiffgeo as dg
from pydiffgeo.calibration import calibrate, multistart
from pydiffgeo.calibration import resting as module
from pydiffgeo.errors import InputError, ShapeError, SolverError
from pydiffgeo.hydrology import calibrate_file
from pydiffgeo.hydrology.calibrate import from_toml as files

SHORT = (("\nsteps = 6", "\nsteps = 1"), ("window = 40", "window = 0"), ("candidates = 8", "candidates = 4"))


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """The result of two basins, and what was printed; the second basin took another method than the first choice."""
    folder, lines, whole = tmp_path_factory.mktemp("results"), [], files._whole
    write_basins(folder)

    def rescued(basin, found):
        solution = whole(basin, found)
        if basin.site.name == "01000002":
            solution.stats["fallbacks"] = {0: "cvodes-adams"}
        return solution

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "_whole", rescued)
        patch.setattr(files.Progress, "say", lambda self, line: lines.append(line))
        path = calibrate_file(write_config(folder, *SHORT), progress=False)
    return path, lines


# --- the result and the summary ------------------------------------------------------------------


def test_the_summary_says_what_is_to_be_beaten(told):
    path, lines = told
    with xr.open_dataset(path) as data:
        against = data.baseline_nse.sel(period="evaluation").load()
    shown = [line for line in lines if "baselines" in line]
    medians = [np.median(row[np.isfinite(row)]) if np.isfinite(row).any() else np.nan for row in against.values]
    for line, values in zip(shown, [*against.values.T, medians], strict=True):
        climatology, persistence, regression = (f"{v:.3f}" for v in values)
        assert line.endswith(
            f": baselines, evaluation NSE: climatology {climatology}, persistence {persistence}, "
            f"linear regression on the weather {regression}"
        )
    assert [line.split(":")[0] for line in shown] == ["basin 01000001", "basin 01000002", "median of 2 basins"]


def test_calibrated_initial_states_are_as_complete_as_parameters(told, undrawn):
    path, _ = told
    with xr.open_dataset(path) as data:
        start = data.initial_water_storage
        assert start.attrs["long_name"].endswith("(calibrated)")
        assert (start.attrs["valid_min"], start.attrs["valid_max"]) == (50.0, 300.0)
        assert ((start >= 50) & (start <= 300)).all()
        np.testing.assert_allclose(data.initial_water_storage_prior, 175.0)
        assert data.initial_water_storage_prior.attrs["units"] == "mm"
        assert data.initial_snow_storage.attrs["long_name"].endswith("(fixed)")
        assert "initial_snow_storage_prior" not in data
        values = [f"{v:.4g}" for v in start.values]
    page = Reader(dg.report.write_report(path, path.with_suffix(".html")).read_text(encoding="utf-8"))
    (row,) = [row for row in page.rows if row[0] == "initial_water_storage (mm)"]
    assert row[2:] == ["50 to 300", "175", *values]


def test_what_solved_which_basin_is_kept_of_all(told):
    path, _ = told
    with xr.open_dataset(path) as data:
        assert data.attrs["fallbacks"] == "basin 01000002: cvodes-adams"
        assert data.time.attrs["standard_name"] == "time"
        assert data.basin.attrs["cf_role"] == "timeseries_id"
        daily = ("runoff_observed", "runoff_simulated", "runoff_prior", "runoff_ensemble", "evapotranspiration")
        assert {data[name].attrs["cell_methods"] for name in daily} == {"time: mean"}
        assert "cell_methods" not in data.water_storage.attrs


# --- the report ----------------------------------------------------------------------------------


def with_ensemble():
    data = made_up()
    data["runoff_ensemble"] = 0.9 * data.runoff_simulated
    data.runoff_ensemble.attrs = {"units": "mm d-1", "long_name": "mean runoff of three"}
    data["ensemble_nse"] = data.nse + 0.01
    data["ensemble_nse"].attrs["units"] = "1"
    return data


def test_the_ensemble_is_drawn_and_scored_beside_the_best(tmp_path, undrawn, monkeypatch):
    data, drawn = with_ensemble(), []
    monkeypatch.setattr(
        "pydiffgeo.report.series_figures.hydrograph",
        lambda *args, **given: drawn.append(given) or dg.plots.hydrograph(*args, **given),
    )
    page = report(tmp_path, data)
    np.testing.assert_array_equal(drawn[0]["ensemble"], data.runoff_ensemble.values[0])
    first = next(s for s in figures(page) if s.startswith("Runoff of 01"))
    assert "NSE 0.812 in evaluation, 0.822 of the ensemble." in first
    assert first.endswith("Ensemble: mean runoff of three.")
    head = next(row for row in page.rows if row[:2] == ["site", "NSE"])
    assert head[1:4] == ["NSE", "NSE of the ensemble", "KGE"]
    # A score of an ensemble alone does not become the first measure.
    page = report(tmp_path, data.drop_vars(["nse", "baseline_nse"]))
    assert next(row for row in page.rows if row[0] == "site")[1:3] == ["KGE", "NSE of the ensemble"]


def test_an_ensemble_of_other_dimensions_is_not_drawn(tmp_path, undrawn):
    data = with_ensemble()
    data["runoff_ensemble"] = ("basin", np.ones(4), {"units": "mm d-1"})
    assert not [s for s in figures(report(tmp_path, data)) if "Ensemble:" in s]


def test_hydrograph_of_an_ensemble():
    (flow,) = dg.plots.hydrograph([0, 1], [1.0, 2.0], [1.5, 1.0], ensemble=[1.25, 1.5]).axes
    lines = {line.get_label(): line for line in flow.lines}
    np.testing.assert_array_equal(lines["mean of the ensemble"].get_ydata(), [1.25, 1.5])
    assert len({line.get_color() for line in lines.values()}) == 3
    with pytest.raises(ShapeError, match="mean of the ensemble has 1 values for 2 times"):
        dg.plots.hydrograph([0, 1], [1.0, 2.0], [1.5, 1.0], ensemble=[1.0])


# --- mistakes ------------------------------------------------------------------------------------


def dry(name):
    """A site whose observations are all zero, for which no efficiency is defined."""
    seen = tuple(replace(o, values=torch.zeros_like(o.values)) for o in observations())
    return site(name, seen=seen, loss="nse")


def test_a_site_with_a_mistake_does_not_stop_the_others(tmp_path, capsys):
    quick, checkpoint = replace(QUICK, steps=2), tmp_path / "c.npz"
    good, other = site("good", loss="nse"), site("other", loss="nse")
    found = calibrate([good, dry("dry"), other], quick, checkpoint=checkpoint)
    assert [*found.searches] == ["good", "other"]
    assert [*found.failures] == ["dry"]
    assert found.failures["dry"].startswith("site dry: ")
    assert "site dry failed: " in capsys.readouterr().err
    # Once it is mended, the checkpoint is of use for the others, and the site is calibrated.
    steps = []
    mended = calibrate(
        [good, site("dry", loss="nse"), other], quick, checkpoint=checkpoint, progress=False, callback=steps.append
    )
    assert ([*mended.searches], mended.failures) == (["good", "dry", "other"], {})
    assert {step.site for step in steps} == {"dry"}


def test_a_mistake_of_all_sites_is_an_error():
    for sites in ([dry("a")], [dry("a"), dry("b")]):
        with pytest.raises(InputError, match="no site could be calibrated; site a: "):
            calibrate(sites, QUICK, progress=False)
    with pytest.raises(InputError, match=r"site a: .*; site b: "):
        calibrate([dry("a"), dry("b")], QUICK, progress=False)


def test_mistakes_and_failures_together_name_both(monkeypatch):
    fail_from_eleven(monkeypatch)
    with pytest.raises(SolverError, match=r"site bad: none of 8 .*; site dry: "):
        calibrate([site("bad", initial={"storage": 11.0}), dry("dry")], QUICK, progress=False)


def test_a_method_that_fits_no_site_is_found_before_anything_is_solved(monkeypatch):
    monkeypatch.setattr(module, "solve", None)
    squares = replace(QUICK, method="gauss_newton")
    with pytest.raises(
        InputError, match=r"gauss_newton needs a loss that is a sum of squares.*not \['kge', 'log_nse'\]"
    ):
        calibrate([site("a", loss="kge"), site("b", loss="log_nse")], squares, progress=False)


# --- the time left -------------------------------------------------------------------------------


def test_after_a_resume_only_what_is_left_is_counted(tmp_path, monkeypatch):
    seen = []

    class Watched(multistart.Progress):
        def step(self, step, work):
            seen.append((step.site, step.phase, step.step, self.left))
            super().step(step, work)

    monkeypatch.setattr(multistart, "Progress", Watched)
    strategy = replace(QUICK, method="bfgs", window=15.0, window_steps=3, steps=4, tolerance=0.0)
    sites = [site(name, loss="mean_square") for name in ("first", "second")]
    calibrate(sites, strategy, progress=False)
    whole = {key: left for *key, left in seen for key in [tuple(key)]}
    length = float(sites[0].times[-1])
    assert whole["first", "exploring", 1] == 2 * (3 * 3 * 15.0 + 4 * 2 * length)
    for stop in (2, 5, 9):
        checkpoint, count = tmp_path / f"{stop}.npz", iter(range(1, 99))

        def interrupt(_, count=count, stop=stop):
            if next(count) == stop:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            calibrate(sites, strategy, checkpoint=checkpoint, progress=False, callback=interrupt)
        seen.clear()
        calibrate(sites, strategy, checkpoint=checkpoint, progress=False)
        *key, left = seen[0]
        assert 0 < left <= whole[tuple(key)], key
        assert left < whole["first", "exploring", 1], key
    seen.clear()
    calibrate(sites, strategy, checkpoint=checkpoint, progress=False)
    assert not seen
