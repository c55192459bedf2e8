"""Calibrations of a configuration that are interrupted go on to the last bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
from calibration import numbers, write_config

from pydiffgeo.calibration import resting
from pydiffgeo.errors import DataError
from pydiffgeo.hydrology import calibrate_file as calibrate
from pydiffgeo.io import read_archive, write_archive

LONGER = ("\nsteps = 6", "\nsteps = 30")
ONE = ('["01000001", "01000002"]', '["01000001"]')


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

    solve = resting.solve
    monkeypatch.setattr(resting, "solve", interrupted)
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
        command,
        stderr=subprocess.PIPE,
        text=True,
        cwd=os.getcwd(),
        # A test run in the background of a shell has Ctrl-C ignored, and would pass that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
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
