"""A cascade of linear reservoirs."""

from __future__ import annotations

from ..model import Boundary, IntegratedFlux, Model, Parameter, Place, State, Values, network
from ..model.remember import remembered
from ..processes import reservoir


@remembered
def NashCascade(n: int) -> Model:
    """n linear reservoirs in a row (Nash 1957)."""

    def outlet(cell: Place, forcing: Place, face: Place) -> Values:
        out = reservoir.linear(cell.storage, cell.k)
        return {"storage": -out, "discharge": out}

    return Model(
        name="NashCascade",
        graph=network(n, [(i, i + 1) for i in range(n - 1)]),
        states=(State("storage", "mm", "water in the reservoir", default=0.0),),
        parameters=(Parameter("k", "d", "residence time", 2.0, 0.0, open_low=True),),
        fluxes=(IntegratedFlux("discharge", "mm", "flow out of the last reservoir", -1),),
        flux=lambda left, right, face: {"storage": reservoir.linear(left.storage, left.k)},
        boundaries=(Boundary("outlet", (n - 1,), outlet),),
        reference="Nash 1957, IASH Publication 45",
    )
