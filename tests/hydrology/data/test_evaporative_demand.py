"""Potential evaporation by formulas: published examples, and formulas written out from other published numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

import pydiffgeo as dg
from pydiffgeo.errors import DataError, InputError, MissingPackageError, UnitError

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")
needs_pyet = pytest.mark.usefixtures("pyet")


@pytest.fixture
def pyet() -> Any:
    return pytest.importorskip("pyet", reason="pyet is not installed: pip install 'pydiffgeo[pet]'")


def weather(day: str = "2015-07-06", days: int = 1, **series: tuple[float, str]) -> xr.Dataset:
    """Days alike at one place: Uccle, Brussels, 50 deg 48 min N, 100 m (FAO 56, example 18)."""
    times = np.datetime64(day, "ns") + np.arange(days) * np.timedelta64(1, "D").astype("timedelta64[ns]")
    content: dict[str, Any] = {
        name: (("basin", "time"), np.full((1, days), value), {"units": unit}) for name, (value, unit) in series.items()
    }
    content |= {
        "gauge_lat": ("basin", [50.8], {"units": "degrees_north"}),
        "elev_mean": ("basin", [100.0], {"units": "m"}),
    }
    return xr.Dataset(content, {"basin": ["Uccle"], "time": times})


BRUSSELS = {
    "temperature_max": (21.5, "degC"),
    "temperature_min": (12.3, "degC"),
    "relative_humidity_max": (84.0, "%"),
    "relative_humidity_min": (63.0, "%"),
    "wind_speed": (10.0, "km/h"),
    "sunshine_duration": (9.25, "h"),
}
# What the example has on its way: slope of the vapour pressure curve and psychrometric constant (kPa/degC), net radiation.
SLOPE, PSYCHROMETRIC, NET = 0.122, 0.0666, 13.28


@needs_pyet
def test_penman_monteith_of_fao_56_example_18() -> None:
    found = dg.hydrology.potential_evaporation(weather(**BRUSSELS), "penman-monteith", wind_height=10.0)
    assert found.dims == ("basin", "time")
    assert found.attrs["units"] == "mm d-1"
    assert round(found.item(), 1) == 3.9
    # The same by its radiation, by its net radiation, and by its vapour pressure, 1.409 kPa.
    radiation = 22.07 / 0.0864
    for change in (
        {"shortwave_radiation": (radiation, "W m-2")},
        {"net_radiation": (NET / 0.0864, "W m-2")},
        {"shortwave_radiation": (radiation, "W m-2"), "vapour_pressure": (1409.0, "Pa")},
    ):
        some = {k: v for k, v in BRUSSELS.items() if not ("vapour_pressure" in change and k.startswith("relative"))}
        some.pop("sunshine_duration")
        other = dg.hydrology.potential_evaporation(weather(**some, **change), "penman-monteith", wind_height=10.0)
        assert round(other.item(), 1) == 3.9
    # Radiation of the hours of daylight, sixteen of twenty-four.
    by_day = weather(
        **{k: v for k, v in BRUSSELS.items() if k != "sunshine_duration"},
        shortwave_radiation=(radiation * 24 / 16, "W m-2"),
        daylength=(16.0, "h"),
    )
    day = dg.hydrology.potential_evaporation(by_day, "penman-monteith", wind_height=10.0, radiation_by_day=True)
    assert round(day.item(), 1) == 3.9


@needs_pyet
def test_priestley_taylor_by_the_numbers_of_that_example() -> None:
    some = {k: v for k, v in BRUSSELS.items() if k not in ("sunshine_duration", "wind_speed")}
    data = weather(**some, net_radiation=(NET / 0.0864, "W m-2"))
    found = dg.hydrology.potential_evaporation(data, "priestley-taylor").item()
    # The latent heat of water at 16.9 degC is 2.46 MJ/kg.
    np.testing.assert_allclose(found, 1.26 * SLOPE / (SLOPE + PSYCHROMETRIC) * NET / 2.46, rtol=0.01)


@needs_pyet
def test_oudin_by_the_radiation_of_fao_56_example_8() -> None:
    # 32.2 MJ m-2 d-1 come from outside on 3 September at 20 degrees south; latent heat at 20 degC is 2.454 MJ/kg.
    data = weather("2015-09-03", temperature=(20.0, "degC"))
    found = dg.hydrology.potential_evaporation(data, "oudin", latitude=-20.0).item()
    np.testing.assert_allclose(found, 32.2 * (20.0 + 5.0) / (2.454 * 100), rtol=0.005)
    cold = dg.hydrology.potential_evaporation(weather(temperature=(-6.0, "degC")), "oudin")
    assert cold.item() == 0.0


def test_hamon_is_that_of_basin_models() -> None:
    data = weather(temperature=(290.0, "K"), daylength=(12.0, "h"), precipitation=(1.0, "mm d-1"))
    found = dg.hydrology.potential_evaporation(data).item()
    # Saturation vapour pressure at 16.85 degC is 1.920 kPa (FAO 56, table 2.3: 1.878 at 16.5, 1.938 at 17).
    np.testing.assert_allclose(found, 29.8 * 12.0 * 1.920 / (16.85 + 273.2), rtol=0.003)
    # Without a length of days it follows from the latitude: sixteen hours in July at Brussels.
    longer = dg.hydrology.potential_evaporation(weather(temperature=(16.85, "degC"))).item()
    np.testing.assert_allclose(longer / found, 16.3 / 12.0, rtol=0.02)


@needs_pyet
def test_what_is_not_known_stays_so_and_basins_stay_apart() -> None:
    data = weather(days=3, **BRUSSELS)
    warm = data.copy(deep=True).assign_coords(basin=["warm"])
    warm["temperature_max"] += 5.0
    both = xr.concat([data, warm], "basin")
    both["wind_speed"][0, 1] = np.nan
    found = dg.hydrology.potential_evaporation(both, "penman-monteith", wind_height=10.0)
    assert np.isnan(found.values).tolist() == [[False, True, False], [False] * 3]
    assert found.values[1, 0] > found.values[0, 0]
    joined = both.assign(potential_evaporation=found)
    assert joined["potential_evaporation"].sel(basin="warm", time="2015-07-08").item() == found.values[1, 2]


def test_what_cannot_be_used_is_named(monkeypatch: Any) -> None:
    data = weather(**BRUSSELS)

    def refused(kind: type[Exception], what: str, changed: xr.Dataset, method: str = "hamon", **choices: Any) -> None:
        with pytest.raises(kind, match=what):
            dg.hydrology.potential_evaporation(changed, method, **choices)

    refused(DataError, "method must be", data, "thornthwaite")
    refused(InputError, "wind_height", data, wind_height=0.0)
    refused(InputError, "latitude", data, latitude=95.0)
    refused(DataError, "no temperature, which the formula needs", weather())
    refused(DataError, "no latitude of the basins", data.drop_vars("gauge_lat"))
    hours = data.assign_coords(time=data["time"])
    hours = xr.concat(
        [hours, hours.assign_coords(time=hours["time"] + np.timedelta64(1, "h"))], "time", data_vars="minimal"
    )
    refused(DataError, "the times are not daily", hours)
    pytest.importorskip("pyet", reason="pyet is not installed: pip install 'pydiffgeo[pet]'")
    refused(DataError, "no wind_speed", data.drop_vars("wind_speed"), "penman-monteith")
    refused(DataError, "no elevation of the basins", data.drop_vars("elev_mean"), "penman-monteith")
    wet = weather(**{**BRUSSELS, "relative_humidity_max": (120.0, "%")})
    refused(DataError, r"relative_humidity_max of basin Uccle is 120 % on 2015-07-06", wet, "penman-monteith")
    refused(UnitError, "wind_speed", weather(**{**BRUSSELS, "wind_speed": (2.0, "mm")}), "penman-monteith")
    monkeypatch.setattr("pydiffgeo.hydrology.data.evaporative_demand.find_spec", lambda name: None)
    refused(MissingPackageError, r"pip install 'pydiffgeo\[pet\]'", data, "oudin")
