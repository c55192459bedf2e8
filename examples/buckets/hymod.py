"""HyMOD as a list of stores and fluxes (Boyle 2001; Moore 1985), continuous: soil of many capacities, quick and slow reservoirs."""

from __future__ import annotations

import pydiffgeo as dg
from pydiffgeo.models import Flux, Store, buckets
from pydiffgeo.processes.smoothing import withdrawal
from pydiffgeo.processes.variable_infiltration import saturated_share

# Evapotranspiration is rounded over a hundredth of a millimetre a day; a store is emptied within a day at most.
RATE, DAY = 0.01, 1.0
PARAMETERS = (
    dg.Parameter("Cmax", "mm", "largest capacity of the soil", 300.0, 0.0, open_low=True, typical=(1.0, 500.0)),
    dg.Parameter("b", "1", "shape of the distribution of capacities", 0.4, 0.0, typical=(0.1, 2.0)),
    dg.Parameter("alpha", "1", "share of the effective rain that runs off quickly", 0.5, 0.0, 1.0, typical=(0.1, 0.99)),
    dg.Parameter("Kq", "d-1", "recession of each quick reservoir", 0.5, 0.0, typical=(0.1, 0.99)),
    dg.Parameter("Ks", "d-1", "recession of the slow reservoir", 0.02, 0.0, typical=(0.0, 0.1)),
)


def capacity(c):
    return c.Cmax / (1.0 + c.b)


def effective(c, f):
    return f.precipitation * saturated_share(c.soil, capacity(c), c.b)


FLUXES = (
    Flux("wetting", lambda c, f: f.precipitation - effective(c, f), "precipitation", "soil"),
    Flux("to_quick", lambda c, f: c.alpha * effective(c, f), "precipitation", "quick_1"),
    Flux("to_slow", lambda c, f: (1.0 - c.alpha) * effective(c, f), "precipitation", "slow"),
    Flux(
        "drying",
        lambda c, f: withdrawal(f.potential_evapotranspiration * c.soil / capacity(c), c.soil / DAY, RATE),
        "soil",
        "evapotranspiration",
    ),
    Flux("quick_12", lambda c, f: c.Kq * c.quick_1, "quick_1", "quick_2"),
    Flux("quick_23", lambda c, f: c.Kq * c.quick_2, "quick_2", "quick_3"),
    Flux("quick_flow", lambda c, f: c.Kq * c.quick_3, "quick_3", "runoff"),
    Flux("slow_flow", lambda c, f: c.Ks * c.slow, "slow", "runoff"),
)
STORES = (Store("soil", "water in the soil", 50.0), *(Store(f"quick_{i}") for i in (1, 2, 3)), Store("slow", "", 10.0))
HYMOD = buckets("HyMOD", STORES, FLUXES, PARAMETERS, reference="Boyle 2001; Moore 1985, Hydrol. Sci. J. 30")

if __name__ == "__main__":
    sol = dg.solve(
        HYMOD, forcing={"precipitation": [30.0, 0.0, 5.0], "potential_evapotranspiration": 3.0}, times=range(4)
    )
    print(HYMOD.describe(), sol.fluxes["runoff"], sol.balance, sep="\n")
