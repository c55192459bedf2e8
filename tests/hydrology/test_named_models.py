"""Basin models by name: in scripts, in configurations, and with networks over basins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from calibration import DAYS, write_basins, write_config

import pydiffgeo as dg
from pydiffgeo.errors import InputError, UnknownNameError
from pydiffgeo.hydrology.named_models import MODELS

NAMED = {
    "hbv": '[model]\nname = "hbv"\noptions = { routing = 1 }\n[model.bounds]\nK1 = [0.05, 0.4]\n[model.fixed]\nBETAET = 1.0\nC = 0.0\n',
    "gr4j": '[model]\nname = "gr4j"\n[model.bounds]\nX1 = [50.0, 600.0]\n[model.fixed]\nX2 = 0.0\n',
}
STARTS = {"hbv": "soil_moisture = [10.0, 200.0]", "gr4j": "production_store = [5.0, 45.0]"}


def test_names_in_capitals_or_not() -> None:
    assert dg.hydrology.basin_model("hbv", routing=2) is dg.models.HBV(routing=2)
    assert dg.hydrology.basin_model("ExpHydro") is dg.models.ExpHydro()
    with pytest.raises(UnknownNameError, match="no basin model 'hvb'; there are ExpHydro, HBV, GR4J"):
        dg.hydrology.basin_model("hvb")
    with pytest.raises(InputError, match="GR4J has no option 'routing'; it has none"):
        dg.hydrology.basin_model("gr4j", routing=2)
    with pytest.raises(InputError, match="HBV has no option 'delay'; it has routing, release"):
        dg.hydrology.basin_model("hbv", delay=2)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_described_with_units_bounds_and_sources(name: str) -> None:
    model = dg.hydrology.basin_model(name)
    text = model.describe()
    assert model.reference in text
    for p in model.parameters:
        assert f" {p.name} " in text
        assert p.source
        assert p.typical is not None
        assert p.low <= p.typical[0] < p.typical[1] <= p.high
        assert p.default is not None
        assert p.inside(torch.tensor(p.default))
    assert {"precipitation", "evapotranspiration", "runoff"} <= {f.name for f in model.fluxes if f.balance}


@pytest.mark.parametrize("name", NAMED)
def test_a_configuration_calibrates_it(name: str, tmp_path: Path) -> None:
    write_basins(tmp_path)
    text = write_config(tmp_path).read_text()
    before, after = text.index("[model.bounds]"), text.index("[model.initial]")
    text = text[:before] + NAMED[name] + text[after:].replace("water_storage = [50.0, 300.0]", STARTS[name])
    text = text.replace('"01000001", "01000002"', '"01000001"').replace("starts = 4", "starts = 2")
    path = tmp_path / "named.toml"
    path.write_text(text.replace("finalists = 3", "finalists = 1"))
    with xr.open_dataset(dg.hydrology.calibrate_file(path, progress=False)) as found:
        assert found.attrs["title"].startswith(name.upper())
        assert float(found.nse[0, 0]) > 0.3
        # The forcing that this model needs is there as well, beside what others have.
        assert "potential_evapotranspiration" not in found or (found.potential_evapotranspiration >= 0).all()
        assert float(found.balance_error.max()) < 1e-6


def test_a_network_over_basins_learns_it(tmp_path: Path) -> None:
    data = dg.hydrology.open_cf(
        write_basins(tmp_path),
        variables={"precipitation": "prcp", "temperature": "tmean", "daylength": "dayl", "runoff": "q_obs"},
    ).assign(slope=("basin", [0.1, 0.7]))
    model = dg.models.HBV()
    sites = dg.hydrology.site_data(data, ["slope"], model=model)
    assert {*sites.forcing} == {"precipitation", "temperature", "daylength", "potential_evapotranspiration"}
    # Hamon's formula at 10 degC and 12 h: 0.611 exp(173 / 247.3) = 1.2298 kPa; 29.8 * 12 * 1.2298 / 283.2.
    near = np.abs(sites.forcing["temperature"].numpy() - 10.0).argmin()
    assert sites.forcing["potential_evapotranspiration"].flatten()[near].item() == pytest.approx(1.553, rel=0.05)
    network = dg.nn.ParameterNetwork(model, ["slope"], hidden=(4,), varying=["BETA"], weather=["precipitation"], seed=0)
    settings = {"engine": "sundials", "rtol": 1e-4}
    training = dg.nn.Training(steps=3, batch=2, window=60, warmup=20, learning_rate=0.03, settings=settings)
    seen = dg.nn.train(network, sites, training)
    assert len(seen.loss) == 3
    assert np.isfinite(seen.loss).all()
    late = (str(DAYS[100]), str(DAYS[-1]))
    found = dg.hydrology.predictions([network], sites, (str(DAYS[20]), str(DAYS[99])), late, warmup=30, **settings)
    assert np.isfinite(found.runoff_simulated).all()


def test_a_model_with_other_forcings_is_refused(tmp_path: Path) -> None:
    windy = dg.Model(
        "Windy",
        dg.single_cell(),
        states=(dg.State("water", "mm", "water", default=0.0),),
        forcings=(dg.ForcingVariable("wind", "m s-1", "wind"),),
        source=lambda cell, forcing: {"water": forcing.wind},
    )
    data = dg.hydrology.open_cf(
        write_basins(tmp_path),
        variables={"precipitation": "prcp", "temperature": "tmean", "daylength": "dayl", "runoff": "q_obs"},
    ).assign(slope=("basin", [0.1, 0.7]))
    with pytest.raises(InputError, match="Windy is forced with 'wind'; basins have precipitation, temperature, dayl"):
        dg.hydrology.site_data(data, ["slope"], model=windy)
