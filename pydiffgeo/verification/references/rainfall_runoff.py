"""HBV and GR4J by SciPy's Radau method, day by day: written from the equations, nothing of pydiffgeo but its types."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.integrate import solve_ivp

from ...arrays import Array

# The ten-day case: a pack that melts, refreezes and is snowed on, over soil that is half full.
TEN_DAYS: dict[str, dict[str, float]] = {
    "parameters": {
        "BETA": 2.0,
        "FC": 250.0,
        "K0": 0.2,
        "K1": 0.1,
        "K2": 0.02,
        "LP": 0.7,
        "PERC": 1.5,
        "UZL": 20.0,
        "TT": 0.0,
        "CFMAX": 3.0,
        "CFR": 0.05,
        "CWH": 0.1,
        "BETAET": 1.0,
        "C": 0.3,
    },
    "initial": {
        "snow_storage": 30.0,
        "snow_water": 2.0,
        "soil_moisture": 150.0,
        "upper_zone": 15.0,
        "lower_zone": 40.0,
    },
}
TEN_DAYS_WEATHER: dict[str, Sequence[float]] = {
    "precipitation": (12.0, 8.0, 0.0, 20.0, 0.0, 35.0, 15.0, 0.0, 0.0, 5.0),
    "temperature": (-3.0, -1.0, 2.5, 4.0, -2.0, 6.0, 8.0, 10.0, -0.5, 1.5),
    "potential_evapotranspiration": (0.3, 0.4, 0.8, 1.2, 0.5, 1.0, 2.0, 3.5, 0.6, 1.0),
}


def hamon(temperature: Array, hours: Array) -> Array:
    """Potential evapotranspiration (mm/d): Patil and Stieglitz 2014, eq 5."""
    pressure = 0.611 * np.exp(17.3 * temperature / (temperature + 237.3))
    return np.asarray(29.8 * hours * pressure / (temperature + 273.2))


def _by_day(
    rate: Callable[..., list[float]], start: Sequence[float], summed: int, weather: Array, rtol: float
) -> Array:
    """Stores at the end of each day, and the last `summed` entries as integrals over it, `(days, entries)`."""
    y, rows = np.array([*start, *[0.0] * summed]), []
    for day in weather:
        y[len(start) :] = 0.0
        done = solve_ivp(rate, (0.0, 1.0), y, "Radau", rtol=rtol, atol=rtol, args=tuple(day))
        y = done.y[:, -1].copy()
        rows.append(y.copy())
    return np.array(rows)


def hbv(
    p: Mapping[str, float], start: Sequence[float], weather: Mapping[str, Array], rtol: float = 1e-10
) -> dict[str, Array]:
    """Stores, daily runoff and evapotranspiration (mm); snow passes to rain over one degree around TT, by 3 s^2 - 2 s^3."""

    def rate(t: float, y: Array, P: float, T: float, PET: float) -> list[float]:
        S, W, SM, UZ, LZ = (float(v) for v in y[:5])
        s = min(max(T - p["TT"] + 0.5, 0.0), 1.0)
        rain = P * (3 * s**2 - 2 * s**3)
        melt = min(p["CFMAX"] * max(T - p["TT"], 0.0), S)
        refreeze = min(p["CFR"] * p["CFMAX"] * max(p["TT"] - T, 0.0), W)
        leaving = max(W - p["CWH"] * S, 0.0)
        wet = min(max(SM, 0.0) / p["FC"], 1.0)
        et = min(PET * min(max(SM, 0.0) / (p["LP"] * p["FC"]), 1.0) ** p["BETAET"], SM)
        recharge = (rain + leaving) * wet ** p["BETA"] + max(SM - p["FC"], 0.0)
        rise = p["C"] * LZ * (1 - wet)
        seeping = min(p["PERC"], UZ)
        q0, q1, q2 = p["K0"] * max(UZ - p["UZL"], 0.0), p["K1"] * UZ, p["K2"] * LZ
        return [
            P - rain + refreeze - melt,
            melt - refreeze - leaving,
            rain + leaving - recharge - et + rise,
            recharge - seeping - q0 - q1,
            seeping - rise - q2,
            q0 + q1 + q2,
            et,
        ]

    names = ("precipitation", "temperature", "potential_evapotranspiration")
    table = _by_day(rate, start, 2, np.stack([np.asarray(weather[k]) for k in names], axis=1), rtol)
    keys = ("snow_storage", "snow_water", "soil_moisture", "upper_zone", "lower_zone", "runoff", "evapotranspiration")
    return dict(zip(keys, table.T, strict=True))


def ten_days() -> dict[str, object]:
    """Stores and runoff of each of the ten days, and the derivatives of their whole runoff in the order of the parameters, by extrapolated differences."""
    p, start = TEN_DAYS["parameters"], [*TEN_DAYS["initial"].values()]
    weather = {k: np.array(v) for k, v in TEN_DAYS_WEATHER.items()}

    def total(**changed: float) -> float:
        return float(hbv({**p, **changed}, start, weather, 1e-12)["runoff"].sum())

    def slope(name: str, h: float) -> float:
        return (total(**{name: p[name] + h}) - total(**{name: p[name] - h})) / (2 * h)

    steps = {name: 1e-3 * max(abs(value), 0.1) for name, value in p.items()}
    gradient = [(4 * slope(name, h / 2) - slope(name, h)) / 3 for name, h in steps.items()]
    return {**hbv(p, start, weather, 1e-12), "gradient": gradient}


def gr4j(
    X1: float, X2: float, X3: float, X4: float, start: tuple[float, float], rain: Array, demand: Array
) -> dict[str, Array]:
    """Stores, daily runoff, evapotranspiration and exchange of both branches (mm) of the state-space form, eleven reservoirs."""

    def rate(t: float, y: Array, P: float, E: float) -> list[float]:
        S, R, h = float(y[0]), float(y[12]), y[1:12]
        Pn, En = max(P - E, 0.0), max(E - P, 0.0)
        Ps, Es = Pn * (1 - (S / X1) ** 2), En * (2 * S / X1 - (S / X1) ** 2)
        perc = (4 / 9) ** 4 / 4 * S**5 / X1**4
        moved = h * 10 / X4
        F = X2 * max(R / X3, 0.0) ** 3.5
        Qr, q = R**5 / (4 * X3**4), float(moved[-1])
        Qd = max(0.0, 0.1 * q + F)
        along = np.concatenate([[Pn - Ps + perc], moved[:-1]]) - moved
        return [Ps - Es - perc, *along, 0.9 * q + F - Qr, Qr + Qd, Es + min(P, E), F + Qd - 0.1 * q]

    table = _by_day(rate, [start[0], *[0.0] * 11, start[1]], 3, np.stack([rain, demand], axis=1), 1e-10)
    keys = {"production_store": 0, "routing_store": 12, "runoff": 13, "evapotranspiration": 14, "exchange": 15}
    return {name: table[:, column] for name, column in keys.items()}
