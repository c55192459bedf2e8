"""Calibration end to end: it finds what is known, survives interruption, and refuses what does not fit."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr
from calibration import DAYS, TRUE, numbers, write_basins, write_config

from pydiffgeo import Status
from pydiffgeo.calibration import multistart, site
from pydiffgeo.calibration.checkpoint import Checkpoint, load, save
from pydiffgeo.commands import cli
from pydiffgeo.errors import DataError, SolverError
from pydiffgeo.hydrology import calibrate_file as calibrate
from pydiffgeo.hydrology.calibrate import basins
from pydiffgeo.hydrology.calibrate.settings import read_settings
from pydiffgeo.io import read_archive, write_archive

LONGER = ("\nsteps = 6", "\nsteps = 30")
ONE = ('["01000001", "01000002"]', '["01000001"]')


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("basins")
    write_basins(path)
    return path


@pytest.fixture(scope="module")
def undisturbed(folder):
    """The result of the configuration, run without interruption."""
    return numbers(calibrate(write_config(folder, ("result.nc", "undisturbed.nc")), progress=False))


def stop_after(steps):
    def callback(step):
        callback.seen += 1
        if callback.seen == steps:
            raise KeyboardInterrupt

    callback.seen = 0
    return callback


def same(a, b):
    assert a.keys() == b.keys()
    for name in a.keys() - {"cost_seconds"}:
        value = a[name]
        np.testing.assert_array_equal(value, b[name], err_msg=name)


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
    calibrate(write_config(folder, ONE, given, ("\nsteps = 6", "\nsteps = 5"), ("window = 40", "window = 0"), ("result.nc", name)),
              progress=False, callback=lambda step: history.append(min(step.best)))  # fmt: skip
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
    config = write_config(folder, ONE, ("train = [2000-01-31", "train = [2000-01-01"), ("result.nc", "repeat.nc"),
                          ("warmup = 30", 'warmup = 20\nwarmup_from = "repeat"'))  # fmt: skip
    prepared = basins.prepare(read_settings(config), "01000001")
    rain = prepared.whole.forcing["precipitation"]
    torch.testing.assert_close(rain[:20], rain[20:40])
    assert prepared.train == slice(0, 136)
    assert len(rain) == 20 + len(DAYS)
    with pytest.raises(DataError, match=r'\[periods\] warmup cannot be used: .* or set warmup_from = "repeat"'):
        calibrate(write_config(folder, ("train = [2000-01-31", "train = [2000-01-01"), ("warmup = 30", "warmup = 20")))


# --- interruption --------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 3, 5, 9, 11, 13])
def test_an_interrupted_run_goes_on_to_the_last_bit(folder, undisturbed, steps):
    config = write_config(folder, ("result.nc", f"interrupted{steps}.nc"))
    checkpoint = folder / f"interrupted{steps}.nc.checkpoint.npz"
    with pytest.raises(KeyboardInterrupt, match="the same command goes on from"):
        calibrate(config, progress=False, callback=stop_after(steps))
    assert checkpoint.exists()
    assert not (folder / f"interrupted{steps}.nc").exists()
    # Interrupted once more, then left alone.
    with pytest.raises(KeyboardInterrupt):
        calibrate(config, progress=False, callback=stop_after(2))
    rest = stop_after(1000)
    same(numbers(calibrate(config, progress=False, callback=rest)), undisturbed)
    assert rest.seen <= 18 - steps - 2
    assert not checkpoint.exists()


def test_a_restart_ignores_the_checkpoint(folder, undisturbed):
    config = write_config(folder, ("result.nc", "restarted.nc"))
    with pytest.raises(KeyboardInterrupt):
        calibrate(config, progress=False, callback=stop_after(3))
    again = stop_after(1000)
    same(numbers(calibrate(config, resume=False, progress=False, callback=again)), undisturbed)
    assert again.seen == 18


def test_an_interrupt_amid_a_solve_loses_only_that_step(folder, undisturbed, monkeypatch):
    config = write_config(folder, ("result.nc", "amid.nc"))
    calls = []

    def interrupted(*args, **kwargs):
        calls.append(1)
        # Candidates, three steps of exploring, the choice of finalists, two steps of refining.
        if len(calls) == 8:
            raise KeyboardInterrupt
        return solve(*args, **kwargs)

    solve = site.solve
    monkeypatch.setattr(site, "solve", interrupted)
    with pytest.raises(KeyboardInterrupt, match="after step 2 of refining site 01000001"):
        calibrate(config, progress=False)
    monkeypatch.undo()
    same(numbers(calibrate(config, progress=False)), undisturbed)


def test_the_checkpoint_of_another_configuration_is_refused(folder):
    config = write_config(folder, ("result.nc", "other.nc"))
    with pytest.raises(KeyboardInterrupt):
        calibrate(config, progress=False, callback=stop_after(2))
    changed = write_config(folder, ("result.nc", "other.nc"), ("seed = 1", "seed = 2"))
    with pytest.raises(DataError, match=r"belongs to another configuration .*optimiser.seed was 1, is 2"):
        calibrate(changed, progress=False)
    with xr.open_dataset(folder / "basins.nc") as data:
        data = data.load()
    data.prcp[:] *= 1.01
    data.to_netcdf(folder / "wetter.nc", engine="h5netcdf")
    wetter = write_config(folder, ("result.nc", "other.nc"), ("basins.nc", "wetter.nc"))
    with pytest.raises(DataError, match=r"belongs to another configuration .*data.01000001"):
        calibrate(wetter, progress=False)


def test_ctrl_c_on_the_command_line(folder, undisturbed):
    config = write_config(folder, ("result.nc", "signal.nc"))
    command = [sys.executable, "-m", "pydiffgeo", "calibrate", str(config)]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, cwd=os.getcwd(),
        # A test run in the background of a shell has Ctrl-C ignored, and would pass that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    seen = []
    for line in process.stderr:
        seen.append(line)
        if "refining 2/6" in line:
            process.send_signal(signal.SIGINT)
            break
    rest = process.stderr.read()
    assert process.wait(60) == 130, "".join(seen) + rest
    assert "interrupted after step" in rest
    assert "the same command goes on from" in rest
    assert "Traceback" not in rest
    same(numbers(calibrate(config, progress=False)), undisturbed)


def test_the_command_line_runs_it(folder, capsys):
    assert cli.main(["calibrate", str(write_config(folder, ONE, ("result.nc", "command.nc")))]) == 0
    assert "command.nc" in capsys.readouterr().out
    assert cli.main(["calibrate", str(folder / "absent.toml")]) == 1
    assert "absent.toml" in capsys.readouterr().err


# --- checkpoints ---------------------------------------------------------------------------------


def test_basins_may_be_added_and_taken_out(folder, undisturbed):
    both = write_config(folder, ("result.nc", "added.nc"))
    with pytest.raises(KeyboardInterrupt, match="site 01000002"):
        calibrate(both, progress=False, callback=stop_after(11))
    one = write_config(folder, ONE, ("result.nc", "added.nc"), name="one.toml")
    steps = stop_after(1000)
    first = numbers(calibrate(one, progress=False, callback=steps))
    assert steps.seen == 0
    # A basin is calibrated the same with others before it or without.
    second = write_config(folder, ('"01000001", ', ""), ("result.nc", "second.nc"))
    second = numbers(calibrate(second, progress=False))
    for name in ("f", "S_max", "D_f", "nse"):
        np.testing.assert_array_equal(first[name][0], undisturbed[name][0])
        np.testing.assert_array_equal(second[name][0], undisturbed[name][1])


def test_a_checkpoint_comes_back_as_it_was(tmp_path):
    state = {"x": np.array([[1.5, np.inf]]), "done": np.array([True]), "step": np.array(3)}
    data = {"01": "x", "02": "y"}
    save(tmp_path / "c.npz", {"a": {"b": 1}, "data": data}, Checkpoint({"01": state}, {"03": "why"}, "02", state))
    back = load(tmp_path / "c.npz", {"a": {"b": 1}, "data": data})
    assert (back.site, back.failed) == ("02", {})
    for found in (back.finished["01"], back.state):
        for name, value in state.items():
            np.testing.assert_array_equal(found[name], value)
            assert found[name].dtype == value.dtype
    with pytest.raises(DataError, match=r"a.b was 1, is 2"):
        load(tmp_path / "c.npz", {"a": {"b": 2}, "data": data})
    with pytest.raises(DataError, match=r"data.02 was y, is z"):
        load(tmp_path / "c.npz", {"a": {"b": 1}, "data": {**data, "02": "z"}})
    other = load(tmp_path / "c.npz", {"a": {"b": 1}, "data": {"02": "y", "03": "w"}})
    assert ([*other.finished], other.site) == ([], "02")


def test_damaged_checkpoints_are_named(tmp_path):
    path = tmp_path / "c.npz"
    path.write_bytes(b"PK half")
    with pytest.raises(DataError, match=r"c.npz: the checkpoint cannot be read"):
        load(path, {})
    # Objects that would have to be unpickled, and could run code, are refused.
    np.savez(path, about=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match="cannot be read"):
        load(path, {})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("trial", np.zeros((0, 2))),
        ("trial", np.zeros(3)),
        ("step", np.zeros(2)),
        ("done", np.array(["no"])),
        ("x", None),
    ],
)
def test_a_checkpoint_with_other_arrays_is_refused(folder, name, value):
    config = write_config(folder, ("result.nc", "arrays.nc"))
    with pytest.raises(KeyboardInterrupt):
        calibrate(config, resume=False, progress=False, callback=stop_after(2))
    path = folder / "arrays.nc.checkpoint.npz"
    about, arrays = read_archive(path)
    arrays = {k: v for k, v in arrays.items() if k != f"01000001/{name}"}
    write_archive(path, about, arrays if value is None else {**arrays, f"01000001/{name}": value})
    with pytest.raises(DataError, match=rf"arrays.nc.checkpoint.npz: '{name}' of site 01000001 is not what"):
        calibrate(config, progress=False)


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
    monkeypatch.setattr(site, "solve", failing([1], site.solve))
    result = numbers(calibrate(write_config(folder, ONE, ("result.nc", "failed.nc")), progress=False))
    assert np.isinf(result["finalist_loss"][0, 1])
    for start in (0, 2):
        assert result["finalist_loss"][0, start] == undisturbed["finalist_loss"][0, start]


def test_nothing_that_can_be_solved_is_an_error(folder, monkeypatch):
    config = write_config(folder, ONE, ("result.nc", "none.nc"))
    monkeypatch.setattr(site, "solve", failing([0, 1, 2], site.solve))
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
    monkeypatch.setattr(site, "solve", None)
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
        folder, ('"basins.nc"', f'"{shared_data / "camels_us_60.nc"}"'), ('["01000001", "01000002"]', '["12010000"]'),
        ("train = [2000-01-31, 2000-05-15]", "train = [1985-10-01, 1987-09-30]"), ("result.nc", "real.nc"),
        ("evaluation = [2000-05-16, 2000-06-30]", "evaluation = [1987-10-01, 1988-09-30]"),
        ("f = [0.01, 0.1]\nS_max = [100.0, 400.0]", "S_max = [50.0, 1500.0]"),
        ("Q_max = 15.0\nT_max = 1.0\n", ""), ("[50.0, 300.0]", "200.0"), ("\nsteps = 6", "\nsteps = 12"),
        ("rtol = 1e-6", "rtol = 1e-5"), ("candidates = 8", "candidates = 16"),
        ("window = 40", "window = 0"), ("finalists = 3", "finalists = 2"),
    )  # fmt: skip
    with xr.open_dataset(calibrate(config, progress=False)) as result:
        assert result.nse.values[0, 0] > 0.75
        assert result.nse.values[0, 1] > 0.7
