"""What trained networks predict, beside baselines."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from learning import DAYS, SETTINGS, network

import pydiffgeo as dg
from pydiffgeo.errors import InputError


def test_predictions_hold_scores_over_seeds_beside_baselines(sites, tmp_path):
    part = sites.take(sites.names[:3])
    networks = [network(seed=s, initial={"water_storage": (50.0, 300.0)}).normalise(sites.attributes) for s in (0, 1)]
    settings = {k: v for k, v in SETTINGS.items() if k != "initial"}
    seen = [dg.nn.TrainingHistory(loss=[0.5, 0.4]), dg.nn.TrainingHistory(loss=[0.6])]
    train, evaluation = ("2000-01-01", "2000-04-30"), ("2000-05-01", "2000-06-30")
    found = dg.hydrology.predictions(networks, part, train, evaluation, seen=seen, warmup=20, **settings)
    path = dg.io.write_dataset(tmp_path / "learnt.nc", found)
    with xr.open_dataset(path) as data:
        assert data.sizes == {"seed": 2, "basin": 3, "time": len(DAYS), "period": 2, "baseline": 3, "step": 2}
        late = data.time.values >= np.datetime64("2000-05-01")
        simulated, observed = data.runoff_simulated.values[1, 2, late], data.runoff_observed.values[2, late]
        own = dg.losses.nse(torch.from_numpy(simulated), observed).item()
        assert data.nse.values[1, 2, 1] == pytest.approx(own, rel=1e-9)
        # Half a year says nothing about the climate of the other half.
        assert np.isnan(data.baseline_nse.sel(baseline="climatology").values[:, 1]).all()
        assert np.isfinite(data.baseline_nse.values[1:]).all()
        assert (data.baseline_nse.values[1:, 0, 0] != data.baseline_nse.values[1:, 1, 0]).all()
        assert data.f.attrs["valid_max"] == 0.1
        assert data.initial_water_storage.attrs["units"] == "mm"
        assert np.isnan(data.loss.values[1, 1])
        assert (data.balance_error < 1e-6).all()
        assert data.cost_solves.dims == ("seed",)
        assert (data.attrs["engine"], data.attrs["rtol"], data.attrs["warmup"]) == ("sundials", SETTINGS["rtol"], 20)
        assert '"hidden": [8]' in data.attrs["network"]
    page = dg.report.write_report(path, tmp_path / "learnt.html").read_text()
    assert "standard deviation over 2 seeds" in page
    assert "climatology" in page
    assert "decline of base flow with storage" in page
    with pytest.raises(InputError, match="2 networks and what 1 trainings"):
        dg.hydrology.predictions(networks, part, train, evaluation, seen=seen[:1], **settings)
