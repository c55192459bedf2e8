"""Sites from datasets of basins."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from learning import DAYS, SETTINGS, make_sites, network

import pydiffgeo as dg
from pydiffgeo.errors import DataError, InputError, UnknownNameError, UnknownSiteError


def test_sites_come_from_a_dataset():
    n = 40
    days = DAYS[:n].astype("datetime64[ns]")
    daily = {"precipitation": "mm d-1", "temperature": "degC", "daylength": "h", "runoff": "mm d-1"}
    random = np.random.default_rng(0)
    data = xr.Dataset(
        {k: (("basin", "time"), random.random((3, n)), {"units": u}) for k, u in daily.items()}
        | {"slope": ("basin", [1.0, 2.0, 3.0]), "rock": ("basin", np.array(["a", "b", "c"], dtype=object))},
        {"basin": ["x", "y", "z"], "time": days},
    )
    found = dg.hydrology.site_data(data, ["slope"], basins=["z", "x"], start="2000-01-11", end="2000-01-30")
    assert found.names == ("z", "x")
    assert found.attributes[:, 0].tolist() == [3.0, 1.0]
    np.testing.assert_array_equal(found.forcing["precipitation"][1], data.precipitation.values[0, 10:30])
    assert found.between("2000-01-12", "2000-01-13").observed.shape == (2, 2)
    with pytest.raises(UnknownNameError, match=r"no attribute 'rock' .* there are \['slope'\]"):
        dg.hydrology.site_data(data, ["rock"])
    with pytest.raises(UnknownSiteError, match="no basin 'w'"):
        dg.hydrology.site_data(data, ["slope"], basins=["w"])
    with pytest.raises(DataError, match="does not cover"):
        found.between("2000-01-01", "2000-01-13")
    with pytest.raises(UnknownNameError, match="no site 'w'"):
        found.take(["w"])
    for name in ("precipitation", "temperature", "daylength"):
        data[name][1, :5] = np.nan
    with pytest.raises(
        DataError, match=r"basin y has forcing from 2000-01-06 .*, basin x from 2000-01-01 to .*choose start"
    ):
        dg.hydrology.site_data(data, ["slope"])
    assert len(dg.hydrology.site_data(data, ["slope"], start="2000-01-06").dates) == n - 5


def test_basins_without_gauges_can_be_predicted_but_not_trained_on():
    made = make_sites().take(["site 0", "site 4"]).days(slice(0, 40))
    units = {"precipitation": "mm d-1", "temperature": "degC", "daylength": "h"}
    data = xr.Dataset(
        {k: (("basin", "time"), made.forcing[k].numpy(), {"units": u}) for k, u in units.items()}
        | {k: ("basin", made.attributes[:, i].numpy()) for i, k in enumerate(made.inputs)},
        {"basin": list(made.names), "time": made.dates.astype("datetime64[ns]")},
    )
    sites, net = dg.hydrology.site_data(data, made.inputs), network()
    assert sites.observed.shape == (2, 40)
    assert sites.observed.isnan().all()
    with pytest.raises(InputError, match=r"\['site 0', 'site 4'\] have no observations"):
        dg.nn.train(net, sites, dg.nn.Training(steps=1, warmup=5, window=10, settings=SETTINGS))
    net.normalise(made.attributes)
    ungauged, gauged = (dg.nn.predict(net, s, warmup=10, **SETTINGS).fluxes["runoff"] for s in (sites, made))
    assert torch.equal(ungauged, gauged)
