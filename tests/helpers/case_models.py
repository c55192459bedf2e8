"""Models written out for `cases.py`, as a user would write them."""

from __future__ import annotations

import numpy as np
import torch

import pydiffgeo as dg
from pydiffgeo.groundwater import Drain, Evapotranspiration, GeneralHead, GivenHead, Recharge, River, Well
from pydiffgeo.processes.smoothing import smooth_ramp


def aquifer() -> dg.Model:
    """Unconfined 2-D groundwater with recharge per cell, a river on one side, and face parameters."""
    graph = dg.raster((3, 4), (50.0, 60.0))
    river = tuple(range(0, 12, 4))

    def flux(left, right, face):
        thickness = 0.5 * (left.water_table + right.water_table)
        return {"water": face.K_face * thickness * (left.water_table - right.water_table) / face.distance}

    def recharge(cell, forcing):
        return {"water": forcing.recharge, "recharge": forcing.recharge}

    def drain(cell, forcing, face):
        out = face.conductance * smooth_ramp(cell.water_table - forcing.stage, 0.01)
        return {"water": -out, "base_flow": out}

    return dg.Model(
        name="Aquifer",
        graph=graph,
        states=(dg.State("water", "m", "water stored", default=2.0),),
        parameters=(
            dg.Parameter("porosity", "1", "specific yield", 0.2, 0.0, 1.0, open_low=True),
            dg.Parameter("K_face", "m d-1", "hydraulic conductivity", 10.0, 0.0, open_low=True, on="face"),
        ),
        forcings=(
            dg.ForcingVariable("recharge", "m d-1", "recharge", on="cell"),
            dg.ForcingVariable("stage", "m", "stage of the river"),
        ),
        fluxes=(
            dg.IntegratedFlux("recharge", "m3", "recharge", +1),
            dg.IntegratedFlux("base_flow", "m3", "flow to the river", -1),
        ),
        closure=lambda cell: {"water_table": cell.water / cell.porosity},
        source=recharge,
        flux=flux,
        boundaries=(dg.Boundary("river", river, drain, {"area": 50.0 * 60.0, "conductance": 0.01}),),
    )


# Three layers of unequal thickness: the one in the middle has a window, and none is a rectangle.
OUTLINE = np.array(
    [
        [[1, 1, 1, 0], [1, 1, 1, 1], [0, 1, 1, 1]],
        [[1, 1, 1, 0], [1, 0, 1, 1], [0, 0, 1, 1]],
        [[1, 1, 0, 0], [1, 1, 1, 1], [0, 1, 1, 1]],
    ],
    dtype=bool,
)
LAYERS = np.array([4.0, 1.5, 6.0])[:, None, None] * (1 + 0.3 * np.sin(np.arange(36.0).reshape(3, 3, 4)))


def layered_aquifer() -> dg.Model:
    """Confined groundwater in layers of any outline, with rows and columns of unequal size, and a river."""
    graph = dg.raster(
        OUTLINE.shape,
        ([40.0, 70.0, 50.0], [90.0, 30.0, 60.0, 45.0]),
        active=OUTLINE,
        layers=np.where(OUTLINE, LAYERS, np.nan),
    )
    river = np.flatnonzero((graph.cell["layer"] == 0) & (graph.cell["column"] == 1))
    width = graph.cell["volume"] / graph.cell["thickness"]

    def darcy(left, right, face):
        across = left.anisotropy * left.K, right.anisotropy * right.K
        near, far = (torch.where(face.direction > 1, a, side.K) for a, side in zip(across, (left, right), strict=True))
        # Conductivities in series: their harmonic mean, weighted by half distances.
        return {"water": (left.head - right.head) / (face.left_distance / near + face.right_distance / far)}

    def recharge(cell, forcing):
        rate = torch.where(cell.layer < 1, forcing.recharge / cell.thickness, 0.0)
        return {"water": rate, "recharge": rate}

    def exchange(cell, forcing, face):
        into = face.leakance * (forcing.stage - cell.head)
        return {"water": into, "exchange": into}

    return dg.Model(
        name="LayeredAquifer",
        graph=graph,
        states=(dg.State("water", "1", "water stored elastically", default=0.02),),
        parameters=(
            dg.Parameter("K", "m d-1", "hydraulic conductivity", 5.0, 0.0, open_low=True),
            dg.Parameter("anisotropy", "1", "vertical by horizontal conductivity", 0.1, 0.0, open_low=True),
            dg.Parameter("S_s", "m-1", "specific storage", 1e-3, 0.0, open_low=True),
        ),
        forcings=(
            dg.ForcingVariable("recharge", "m d-1", "recharge", on="cell"),
            dg.ForcingVariable("stage", "m", "stage of the river"),
        ),
        fluxes=(
            dg.IntegratedFlux("recharge", "m3", "recharge", +1),
            dg.IntegratedFlux("exchange", "m3", "flow from the river", +1),
        ),
        closure=lambda cell: {"head": cell.water / cell.S_s},
        output=lambda cell: {"head": cell.water / cell.S_s},
        outputs=(dg.Output("head", "m", "hydraulic head"),),
        source=recharge,
        flux=darcy,
        boundaries=(dg.Boundary("river", tuple(river.tolist()), exchange, {"area": width[river], "leakance": 0.02}),),
    )


def water_table() -> dg.Model:
    """A convertible layer over a confined one, with every kind of boundary, and flow through every face."""
    conditions = (
        GivenHead([(1, 0, 0)]),
        GeneralHead([(1, 1, 2)]),
        River([(0, 0, 2), (0, 1, 2)]),
        Drain([(0, 1, 1)]),
        Well([(1, 0, 1), (0, 1, 0)]),
        Recharge(each=True, highest_wet=True),
        Evapotranspiration(segments=((0.3, 0.4),)),
    )
    grid = dg.raster((2, 2, 3), (40.0, [50.0, 70.0, 60.0]), layers=[6.0, 10.0])
    kinds = ["convertible", "confined"]
    return dg.models.Aquifer(grid, kinds, top=16.0, boundaries=conditions, vertical="saturated", face_flows=True)


def solute_aquifer() -> dg.Model:
    """A convertible layer over a confined one, with what brings and takes a solute that is sorbed and decays."""
    grid = dg.raster((2, 1, 3), (40.0, [50.0, 70.0, 60.0]), layers=[6.0, 10.0])
    conditions = (GivenHead([(1, 0, 0)]), Well([(1, 0, 1), (0, 0, 2)]))
    kinds = ["convertible", "confined"]
    return dg.models.SoluteAquifer(grid, kinds, top=16.0, boundaries=conditions, sorption="langmuir", decay="dissolved")


def river_network() -> dg.Model:
    """Reaches that join: nonlinear reservoirs on a directed network."""
    return dg.Model(
        name="River",
        graph=dg.network(5, [(0, 2), (1, 2), (2, 4), (3, 4)]),
        states=(dg.State("storage", "m3", "water in the reach", default=1.0),),
        parameters=(dg.Parameter("k", "d", "storage coefficient", 0.5, 0.0, open_low=True),),
        forcings=(dg.ForcingVariable("inflow", "m3 d-1", "lateral inflow", on="cell"),),
        fluxes=(
            dg.IntegratedFlux("lateral", "m3", "lateral inflow", +1),
            dg.IntegratedFlux("discharge", "m3", "flow at the outlet", -1),
        ),
        source=lambda cell, forcing: {"storage": forcing.inflow, "lateral": forcing.inflow},
        flux=lambda left, right, face: {"storage": left.storage**1.5 / left.k},
        boundaries=(
            dg.Boundary(
                "outlet",
                (4,),
                lambda cell, forcing, face: {
                    "storage": -(cell.storage**1.5) / cell.k,
                    "discharge": cell.storage**1.5 / cell.k,
                },
            ),
        ),
    )
