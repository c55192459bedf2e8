"""SIMHYD as a list of stores and fluxes (Chiew et al. 2002), continuous: seven parameters, two stores."""

from __future__ import annotations

import torch

import pydiffgeo as dg
from pydiffgeo.models import Flux, Store, buckets
from pydiffgeo.processes.smoothing import smooth_ramp, withdrawal

# Rates (mm/d) and the full store (mm) are rounded over so much; what plants take from full soil (mm/d); days of overflow.
RATE, FULL, UPTAKE, RELEASE = 0.01, 0.1, 10.0, 0.1
PARAMETERS = (
    dg.Parameter("INSC", "mm d-1", "interception, at most", 2.0, 0.0, typical=(0.5, 5.0)),
    dg.Parameter("COEFF", "mm d-1", "infiltration into dry soil, at most", 200.0, 0.0, typical=(50.0, 400.0)),
    dg.Parameter("SQ", "1", "decline of it with the filling of the soil", 1.5, 0.0, typical=(0.0, 6.0)),
    dg.Parameter("SMSC", "mm", "capacity of the soil", 250.0, 0.0, open_low=True, typical=(50.0, 500.0)),
    dg.Parameter("SUB", "1", "interflow, share of what enters full soil", 0.3, 0.0, 1.0, typical=(0.0, 1.0)),
    dg.Parameter("CRAK", "1", "recharge, share of the rest in full soil", 0.3, 0.0, 1.0, typical=(0.0, 1.0)),
    dg.Parameter("K", "d-1", "recession of groundwater", 0.05, 0.0, typical=(0.003, 0.3)),
)


def wet(c):
    return torch.clamp(c.soil / c.SMSC, 0.0, 1.0)


def entering(c, f):
    return withdrawal(f.precipitation - c.interception, c.COEFF * torch.exp(-c.SQ * wet(c)), RATE)


FLUXES = (
    Flux(
        "interception",
        lambda c, f: withdrawal(f.precipitation, withdrawal(f.potential_evapotranspiration, c.INSC, RATE), RATE),
        "precipitation",
        "evapotranspiration",
    ),
    Flux("excess", lambda c, f: f.precipitation - c.interception - entering(c, f), "precipitation", "runoff"),
    Flux("interflow", lambda c, f: c.SUB * wet(c) * entering(c, f), "precipitation", "runoff"),
    Flux("recharge", lambda c, f: c.CRAK * wet(c) * (entering(c, f) - c.interflow), "precipitation", "ground"),
    Flux("wetting", lambda c, f: entering(c, f) - c.interflow - c.recharge, "precipitation", "soil"),
    Flux(
        "transpiration",
        lambda c, f: withdrawal(f.potential_evapotranspiration - c.interception, UPTAKE * wet(c), RATE),
        "soil",
        "evapotranspiration",
    ),
    Flux("overflow", lambda c, f: smooth_ramp(c.soil - c.SMSC, FULL) / RELEASE, "soil", "ground"),
    Flux("base_flow", lambda c, f: c.K * c.ground, "ground", "runoff"),
)
STORES = (Store("soil", "water in the soil", 50.0), Store("ground", "groundwater", 10.0))
SIMHYD = buckets("SIMHYD", STORES, FLUXES, PARAMETERS, reference="Chiew et al. 2002")

if __name__ == "__main__":
    sol = dg.solve(
        SIMHYD, forcing={"precipitation": [30.0, 0.0, 5.0], "potential_evapotranspiration": 3.0}, times=range(4)
    )
    print(SIMHYD.describe(), sol.fluxes["runoff"], sol.balance, sep="\n")
