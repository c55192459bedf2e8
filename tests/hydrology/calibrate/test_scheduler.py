"""Basins of a configuration over a Dask scheduler: the file of results is that of one process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from calibration import numbers, write_basins, write_config

from pydiffgeo.commands.cli import main
from pydiffgeo.errors import SchedulerError
from pydiffgeo.hydrology import calibrate_file
from pydiffgeo.hydrology.calibrate import from_toml

distributed = pytest.importorskip("distributed", reason="Dask is not installed: pip install 'pydiffgeo[dask]'")


def test_results_are_those_of_one_process_and_a_run_goes_on(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    write_basins(tmp_path)
    brief = ("candidates = 8", "candidates = 4"), ("starts = 4", "starts = 2"), ("finalists = 3", "finalists = 2")
    config = write_config(tmp_path, *brief, ("steps = 6\nseed", "steps = 2\nseed"))
    here = numbers(calibrate_file(config, progress=False))
    # Workers in threads of this process: what is sent is the same.
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0"
    ) as cluster:
        # Stopped between the search and the result, it goes on from the files of the basins.
        with monkeypatch.context() as patch:
            patch.setattr(from_toml, "_finish", _stopped)
            with pytest.raises(
                KeyboardInterrupt, match=r"after the search; the same command goes on from .*result.nc.checkpoint"
            ):
                calibrate_file(config, progress=False, scheduler=cluster)
        folder = tmp_path / "result.nc.checkpoint"
        assert sorted(p.name for p in folder.iterdir()) == ["01000001.npz", "01000002.npz"]
        told: list[str] = []
        result = calibrate_file(config, progress=False, scheduler=cluster, callback=lambda step: told.append(step.site))
    assert told == []
    assert not folder.exists()
    over = numbers(result)
    assert {*over} == {*here}
    for name, value in here.items():
        if name != "cost_seconds":
            np.testing.assert_array_equal(over[name], value, err_msg=name)
    monkeypatch.setattr("pydiffgeo.scheduling.PATIENCE", 1.0)
    assert main(["calibrate", str(config), "--scheduler", "tcp://127.0.0.1:9"]) == 1
    assert "the Dask scheduler 'tcp://127.0.0.1:9' cannot be used" in capsys.readouterr().err
    with pytest.raises(SchedulerError):
        calibrate_file(config, scheduler="tcp://127.0.0.1:9")


def _stopped(*_: object) -> None:
    raise KeyboardInterrupt
