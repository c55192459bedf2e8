"""A model of one's own, in the fewest lines: an unconfined hillslope of unit width that drains to a stream (Boussinesq 1877)."""

from __future__ import annotations

import pydiffgeo as dg


def Hillslope(length: float = 100.0, cells: int = 20, level: float = 0.5) -> dg.Model:
    """Unconfined aquifer of unit width between a divide and a stream that stands at `level` above its base; metres, days."""

    def closure(cell):
        return {"head": cell.water / cell.specific_yield}

    def flux(left, right, face):
        # Dupuit: conductivity times saturated thickness times the slope of the water table.
        return {"water": left.K * 0.5 * (left.head + right.head) * (left.head - right.head) / face.distance}

    def stream(cell, forcing, face):
        out = cell.K * 0.5 * (cell.head + level) * (cell.head - level) / face.distance
        return {"water": -out, "baseflow": out}

    positive = {"low": 0.0, "open_low": True}
    return dg.Model(
        name="Hillslope",
        graph=dg.column(length, cells),
        states=(dg.State("water", "m", "drainable water above the base", default=0.2, low=0.0),),
        parameters=(
            dg.Parameter("K", "m d-1", "hydraulic conductivity", 10.0, typical=(0.5, 100.0), log=True, **positive),
            dg.Parameter("specific_yield", "1", "drainable porosity", 0.1, high=1.0, typical=(0.02, 0.4), **positive),
        ),
        forcings=(dg.ForcingVariable("recharge", "m d-1", "recharge of the aquifer", low=0.0),),
        fluxes=(
            dg.IntegratedFlux("recharge", "m2", "recharge, per unit width", balance=+1),
            dg.IntegratedFlux("baseflow", "m2", "flow to the stream, per unit width", balance=-1),
        ),
        outputs=(dg.Output("head", "m", "water table above the base"),),
        closure=closure,
        source=lambda cell, forcing: {"water": forcing.recharge, "recharge": forcing.recharge},
        flux=flux,
        output=lambda cell: {"head": cell.head},
        boundaries=(dg.Boundary("stream", (cells - 1,), stream, geometry={"distance": length / cells / 2}),),
        reference="Boussinesq 1877, Essai sur la theorie des eaux courantes",
    )


def absolute(simulated, observed, observation):
    """A loss of one's own: absolute residuals in units of the error, of which few large ones do not decide."""
    return ((simulated - observed) / observation.error).abs().mean(-1)
