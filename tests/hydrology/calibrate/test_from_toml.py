"""Calibration end to end: it finds what is known, survives interruption, and refuses what does not fit."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from calibration import DAYS, TRUE, numbers, write_config

from pydiffgeo import Status
from pydiffgeo.calibration import multistart, resting
from pydiffgeo.commands import cli
from pydiffgeo.errors import DataError, SolverError
from pydiffgeo.hydrology import calibrate_file as calibrate
from pydiffgeo.hydrology.calibrate import basins
from pydiffgeo.hydrology.calibrate.settings import read_settings

LONGER = ("\nsteps = 6", "\nsteps = 30")
ONE = ('["01000001", "01000002"]', '["01000001"]')


# --- what it finds -------------------------------------------------------------------------------


def test_known_parameters_are_found_again(folder, capsys):
    path = calibrate(write_config(folder, LONGER, ONE, ("result.nc", "known.nc")))
    with xr.open_dataset(path) as result:
        for name in ("f", "S_max", "D_f"):
            assert result[name].item() == pytest.approx(TRUE[name], rel=0.02), name
        assert result.T_max.item() == 1.0
        assert result.initial_water_storage.item() == pytest.approx(150.0, abs=3.0)
        assert (result.nse > 0.999).all()
        assert (result.kge > 0.99).all()
        assert (abs(result.bias) < 0.01).all()
    shown = capsys.readouterr().err
    assert "site 01000001 (1/1)  exploring 1/3" in shown
    assert "site 01000001 (1/1)  refining 1/30" in shown
    assert "evaluation NSE 1.000" in shown
    assert not (folder / "known.nc.checkpoint.npz").exists()


def test_values_on_their_bounds_are_told(folder, capsys):
    # The decline of the basin is 0.05 per millimetre.
    far = ("f = [0.01, 0.1]\nS_max = [100.0, 400.0]", "f = [0.07, 0.1]\nS_max = [195.0, 205.0]")
    calibrate(write_config(folder, LONGER, ONE, far, ("result.nc", "far.nc")))
    line = next(line for line in capsys.readouterr().err.splitlines() if "on a bound" in line)
    assert line.startswith("basin 01000001: on a bound, which decides then, not the data: ")
    assert re.search(r"f 0\.07\d* \(lower bound 0\.07\)", line)


def test_the_result_says_what_it_is(folder, undisturbed):
    with xr.open_dataset(folder / "undisturbed.nc") as result:
        assert result.sizes == {"basin": 2, "time": 152, "period": 2, "baseline": 3, "finalist": 3, "step": 6}
        assert [*result.basin.values] == ["01000001", "01000002"]
        assert result.time.values[0] == np.datetime64("2000-01-31")
        assert [*result.period.values] == ["train", "evaluation"]
        assert [*result.period_end.values] == ["2000-05-15", "2000-06-30"]
        assert [*result.status.values] == ["ok", "ok"]
        for name, variable in result.data_vars.items():
            assert name == "status" or variable.attrs["units"], name
            assert variable.attrs["long_name"], name
        assert "(fixed)" in result.T_min.attrs["long_name"]
        assert "(calibrated)" in result.S_max.attrs["long_name"]
        about = result.attrs
        assert about["engine"] == "sundials"
        assert about["seed"] == 1
        assert about["data_source"].endswith("basins.nc")
        assert "[optimiser]" in about["configuration"]
        assert "casadi" in about["packages"]

        # Metrics are those of the series in the file, and the water balance closes day by day.
        o, s = result.runoff_observed.values, result.runoff_simulated.values
        valid = np.isfinite(o)
        for b in range(2):
            days = valid[b] & (result.time.values > np.datetime64("2000-05-15"))
            efficiency = 1 - ((s - o)[b, days] ** 2).sum() / ((o[b, days] - o[b, days].mean()) ** 2).sum()
            assert result.nse.values[b, 1] == pytest.approx(efficiency, rel=1e-10)
        stored = (result.snow_storage + result.water_storage).diff("time")
        net = (result.precipitation - result.evapotranspiration - result.runoff_simulated)[:, 1:]
        np.testing.assert_allclose(stored, net, atol=1e-7)
        assert (result.balance_error < 1e-7).all()
        np.testing.assert_array_equal(
            result.nse.values[:, 0] - 1 + np.nanmin(result.finalist_loss, axis=1) < 1e-6, True
        )
        # What does nearly as well as the best predicts together with it.
        near = (result.finalist_loss <= 1.1 * result.finalist_loss.min("finalist")).sum("finalist")
        assert ((result.ensemble_size >= 1) & (result.ensemble_size <= near)).all()
        best = result.finalist_loss.argmin("finalist")
        np.testing.assert_array_equal(result.finalist_S_max.isel(finalist=best), result.S_max)
        o, s = result.runoff_observed.values, result.runoff_ensemble.values
        for b in range(2):
            days = valid[b] & (result.time.values > np.datetime64("2000-05-15"))
            efficiency = 1 - ((o - s)[b, days] ** 2).sum() / ((o[b, days] - o[b, days].mean()) ** 2).sum()
            assert result.ensemble_nse.values[b, 1] == pytest.approx(efficiency, rel=1e-10)


@pytest.mark.parametrize(
    "choice",
    ['loss = "kge"', 'loss = "mse"', 'loss = "rmse"', 'method = "adam"', 'method = "lbfgs"', 'method = "gauss_newton"'],
)
def test_other_losses_and_methods_improve_too(folder, choice):
    name = f"{choice.split(chr(34))[1]}.nc"
    history = []
    given = ('method = "bfgs"', choice) if choice.startswith("method") else ("[optimiser]", f"[optimiser]\n{choice}")
    calibrate(
        write_config(
            folder, ONE, given, ("\nsteps = 6", "\nsteps = 5"), ("window = 40", "window = 0"), ("result.nc", name)
        ),
        progress=False,
        callback=lambda step: history.append(min(step.best)),
    )
    assert len(history) == 5
    assert history == sorted(history, reverse=True)
    assert history[-1] < history[0]


def test_evaluation_is_not_looked_at_in_training(folder, undisturbed):
    with xr.open_dataset(folder / "basins.nc") as data:
        other = data.load().copy(deep=True)
    later = other.time.values > np.datetime64("2000-05-15")
    other.q_obs[:, later] += 1.0
    other.to_netcdf(folder / "later.nc", engine="h5netcdf")
    result = numbers(calibrate(write_config(folder, ("basins.nc", "later.nc"), ("result.nc", "l.nc")), progress=False))
    for name in ("f", "S_max", "D_f", "initial_water_storage"):
        np.testing.assert_array_equal(result[name], undisturbed[name])
    assert (result["nse"][:, 1] < undisturbed["nse"][:, 1]).all()


def test_the_window_is_where_runoff_varies_most_and_has_its_own_warm_up(folder):
    def basin(*changes):
        return basins.prepare(read_settings(write_config(folder, ONE, *changes)), "01000001")

    prepared = basin()
    windows = [slice(start, start + 40) for start in range(0, 67, 8)]  # a fifth of the length apart
    spread = [
        float(((o := prepared.observed[w][~prepared.observed[w].isnan()]) - o.mean()).square().sum()) for w in windows
    ]
    best = int(np.argmax(spread))
    part = multistart.window(prepared.site, 40)
    assert part.times[[0, -1]].tolist() == [8.0 * best, 8.0 * best + 70]
    np.testing.assert_array_equal(part.observations[0].values, prepared.observed[windows[best]])
    x = multistart.candidates(prepared.site, multistart.Strategy(candidates=1, starts=1, finalists=1))
    late = basin(("train = [2000-01-31", "train = [2000-03-11")).site.between(0, 70)
    assert prepared.site.between(40, 110).evaluate(x).loss[0] == pytest.approx(late.evaluate(x).loss[0], rel=1e-12)
    for length in (0, 60):
        assert multistart.window(prepared.site, length) is None


def test_warm_up_may_repeat_the_first_days(folder):
    config = write_config(
        folder,
        ONE,
        ("train = [2000-01-31", "train = [2000-01-01"),
        ("result.nc", "repeat.nc"),
        ("warmup = 30", 'warmup = 20\nwarmup_from = "repeat"'),
    )
    prepared = basins.prepare(read_settings(config), "01000001")
    rain = prepared.whole.forcing["precipitation"]
    torch.testing.assert_close(rain[:20], rain[20:40])
    assert prepared.train == slice(0, 136)
    assert len(rain) == 20 + len(DAYS)
    with pytest.raises(DataError, match=r'\[periods\] warmup cannot be used: .* or set warmup_from = "repeat"'):
        calibrate(write_config(folder, ("train = [2000-01-31", "train = [2000-01-01"), ("warmup = 30", "warmup = 20")))


# --- interruption --------------------------------------------------------------------------------


def test_the_command_line_runs_it(folder, capsys):
    assert cli.main(["calibrate", str(write_config(folder, ONE, ("result.nc", "command.nc")))]) == 0
    assert "command.nc" in capsys.readouterr().out
    assert cli.main(["calibrate", str(folder / "absent.toml")]) == 1
    assert "absent.toml" in capsys.readouterr().err


# --- checkpoints ---------------------------------------------------------------------------------


# --- failures ------------------------------------------------------------------------------------


def failing(members, solve):
    """`solve` that fails for some members of a batch, whatever they are."""

    def wrapped(*args, **kwargs):
        solution = solve(*args, **kwargs)
        if not solution.batched or len(solution.status) != 3:
            return solution
        broken = torch.zeros(3, 1, dtype=torch.bool)
        for m in members:
            broken[m] = True
            solution.report.status[m] = Status.CONVERGENCE
        return replace(solution, fluxes={k: torch.where(broken, torch.nan, v) for k, v in solution.fluxes.items()})

    return wrapped


def test_an_ensemble_of_one_is_the_best(folder):
    choice = ('file = "result.nc"', 'file = "alone.nc"\nwithin = 0.0')
    result = numbers(calibrate(write_config(folder, ONE, choice), progress=False))
    assert result["ensemble_size"] == 1
    np.testing.assert_allclose(result["runoff_ensemble"], result["runoff_simulated"], rtol=1e-9)
    wide = ('file = "result.nc"', 'file = "wide.nc"\nwithin = 1e6')
    result = numbers(calibrate(write_config(folder, ONE, wide), progress=False))
    assert result["ensemble_size"] > 1
    assert not np.allclose(result["runoff_ensemble"], result["runoff_simulated"], rtol=1e-3)


def test_a_failed_start_does_not_disturb_the_others(folder, undisturbed, monkeypatch):
    monkeypatch.setattr(resting, "solve", failing([1], resting.solve))
    result = numbers(calibrate(write_config(folder, ONE, ("result.nc", "failed.nc")), progress=False))
    assert np.isinf(result["finalist_loss"][0, 1])
    for start in (0, 2):
        assert result["finalist_loss"][0, start] == undisturbed["finalist_loss"][0, start]


def test_nothing_that_can_be_solved_is_an_error(folder, monkeypatch):
    config = write_config(folder, ONE, ("result.nc", "none.nc"))
    monkeypatch.setattr(resting, "solve", failing([0, 1, 2], resting.solve))
    with pytest.raises(SolverError, match=r"site 01000001: no start could be .* Newton"):
        calibrate(config, resume=False, progress=False)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("2000-06-30]", "2001-06-30]", r"config.toml: \[periods\] evaluation cannot be used: .*2000-06-30"),
        ("train = [2000-01-31", "train = [1999-01-31", r"config.toml: \[periods\] train cannot be used"),
        ("warmup = 30", "warmup = 31", r"config.toml: \[periods\] warmup cannot be used: .*shorten it"),
        ('"01000002"', '"01000003"', "basins.nc: no basin '01000003'"),
        ('"basins.nc"', '"absent.nc"', "absent.nc: cannot be opened"),
        ('"result.nc"', '"absent/result.nc"', r"\[output\] file: there is no folder"),
    ],
)
def test_what_does_not_fit_the_data_is_named_before_anything_is_solved(folder, monkeypatch, old, new, message):
    monkeypatch.setattr(resting, "solve", None)
    with pytest.raises(DataError, match=message):
        calibrate(write_config(folder, (old, new)), progress=False)


def test_periods_without_observations_are_named(folder, undisturbed):
    with xr.open_dataset(folder / "basins.nc") as data:
        data = data.load()
    data.q_obs[0, data.time.values > np.datetime64("2000-05-15")] = np.nan
    data.to_netcdf(folder / "ungauged.nc", engine="h5netcdf")
    changes = ("basins.nc", "ungauged.nc"), ("result.nc", "gauged.nc")
    message = r"basin 01000001: runoff in \[periods\] evaluation: at least 2 valid"
    with pytest.raises(DataError, match=message):
        calibrate(write_config(folder, ONE, *changes), progress=False)
    # Among others it is left out, and the result says why.
    with xr.open_dataset(calibrate(write_config(folder, *changes), progress=False)) as result:
        assert re.search(message, str(result.status.values[0]))
        assert result.status.values[1] == "ok"
        assert np.isnan(result.nse.values[0]).all()
        np.testing.assert_array_equal(result.nse.values[1], undisturbed["nse"][1])


# --- real basins ---------------------------------------------------------------------------------


def test_a_real_basin(folder, shared_data):
    """Three years of a rainy basin: evaluation must be far better than the mean of the observations."""
    config = write_config(
        folder,
        ('"basins.nc"', f'"{shared_data / "camels_us_60.nc"}"'),
        ('["01000001", "01000002"]', '["12010000"]'),
        ("train = [2000-01-31, 2000-05-15]", "train = [1985-10-01, 1987-09-30]"),
        ("result.nc", "real.nc"),
        ("evaluation = [2000-05-16, 2000-06-30]", "evaluation = [1987-10-01, 1988-09-30]"),
        ("f = [0.01, 0.1]\nS_max = [100.0, 400.0]", "S_max = [50.0, 1500.0]"),
        ("Q_max = 15.0\nT_max = 1.0\n", ""),
        ("[50.0, 300.0]", "200.0"),
        ("\nsteps = 6", "\nsteps = 12"),
        ("rtol = 1e-6", "rtol = 1e-5"),
        ("candidates = 8", "candidates = 16"),
        ("window = 40", "window = 0"),
        ("finalists = 3", "finalists = 2"),
    )
    with xr.open_dataset(calibrate(config, progress=False)) as result:
        assert result.nse.values[0, 0] > 0.75
        assert result.nse.values[0, 1] > 0.7
