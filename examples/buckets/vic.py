"""Two layers like those of VIC (Liang et al. 1994) as a list of stores and fluxes: variable infiltration, ARNO base flow."""

from __future__ import annotations

import torch

import pydiffgeo as dg
from pydiffgeo.models import Flux, Store, buckets
from pydiffgeo.processes.smoothing import smooth_ramp, withdrawal
from pydiffgeo.processes.variable_infiltration import arno_base_flow, saturated_share

# Evapotranspiration (mm/d) and full stores (mm) are rounded over so much; days within which what is above leaves.
RATE, FULL, RELEASE = 0.01, 0.1, 0.1
PARAMETERS = (
    dg.Parameter("b", "1", "shape of the infiltration capacities", 0.2, 0.0, typical=(0.0, 0.4)),
    dg.Parameter("upper_max", "mm", "capacity of the upper layer", 120.0, 0.0, open_low=True, typical=(50.0, 300.0)),
    dg.Parameter("lower_max", "mm", "capacity of the lower layer", 300.0, 0.0, open_low=True, typical=(100.0, 1000.0)),
    dg.Parameter("K_s", "mm d-1", "conductivity between the layers", 50.0, 0.0, typical=(1.0, 1000.0)),
    dg.Parameter("n", "1", "power of the filling in it (Brooks and Corey)", 10.0, 1.0, typical=(8.0, 30.0)),
    dg.Parameter("Ds", "1", "share of Dm reached at Ws", 0.1, 0.0, 1.0, typical=(0.0, 1.0)),
    dg.Parameter("Dm", "mm d-1", "largest base flow", 10.0, 0.0, typical=(0.0, 30.0)),
    dg.Parameter("Ws", "1", "filling above which base flow is not linear", 0.8, 0.0, 1.0, True, True, (0.1, 0.99)),
)


def saturated(c):
    return saturated_share(c.upper, c.upper_max, c.b)


def filled(c):
    return torch.clamp(c.upper / c.upper_max, 0.0, 1.0)


def drying(c, f):
    """All that air takes where it is saturated, by the filling elsewhere."""
    wanted = f.potential_evapotranspiration * (saturated(c) + (1.0 - saturated(c)) * filled(c))
    return withdrawal(wanted, filled(c) * c.upper_max / RELEASE, RATE)


FLUXES = (
    Flux("surface_flow", lambda c, f: f.precipitation * saturated(c), "precipitation", "runoff"),
    Flux("wetting", lambda c, f: f.precipitation - c.surface_flow, "precipitation", "upper"),
    Flux("drying", drying, "upper", "evapotranspiration"),
    Flux("drainage", lambda c, f: c.K_s * filled(c) ** c.n, "upper", "lower"),
    Flux("base_flow", lambda c, f: arno_base_flow(c.lower, c.lower_max, c.Ds, c.Dm, c.Ws), "lower", "runoff"),
    Flux("overflow", lambda c, f: smooth_ramp(c.lower - c.lower_max, FULL) / RELEASE, "lower", "runoff"),
)
STORES = (Store("upper", "water in the upper layer", 60.0), Store("lower", "water in the lower layer", 150.0))
BEND = dg.Constraint("Ds <= Ws", ("Ds", "Ws"), lambda place: place.Ds <= place.Ws)
SOURCE = "Liang et al. 1994, J. Geophys. Res. 99; Todini 1996, J. Hydrol. 175"
VIC = buckets("VIC", STORES, FLUXES, PARAMETERS, constraints=[BEND], reference=SOURCE)

if __name__ == "__main__":
    weather = {"precipitation": [30.0, 0.0, 5.0], "potential_evapotranspiration": 3.0}
    sol = dg.solve(VIC, forcing=weather, times=range(4))
    print(VIC.describe(), sol.fluxes["runoff"], sol.balance, sep="\n")
