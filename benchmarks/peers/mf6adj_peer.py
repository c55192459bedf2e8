"""mf6adj: the adjoint of MODFLOW 6, by its library.

It needs the package (`python -m pip install mf6adj`) and MODFLOW 6 as a shared library, which no package of the index has:
build it from its source by meson and a Fortran compiler (target `srcbmi/libmf6.so`), and name it in `MF6_LIBRARY`. Inputs and steps
are those of `modflow_peer`. The loss is one of its own, a sum of squares of heads (its adjoint, in 1.4.0, is that of squares
times weights; the value it has by its own account squares the weights as well). Storage is given as `ss`; with
`storagecoefficient` in the input its sensitivities were 1e39, and nothing was said. It has none to initial heads.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from cases import AQUIFER, Case, Values
from clock import seconds
from mf6adj import Mf6Adj
from mf6adj.utils.utils_pm_write import write_performance_measures
from modflow_peer import Simulation

LIBRARY = "MF6_LIBRARY"


def prepare(case: Case, rtol: float) -> Callable[[], tuple[float, Values]]:
    """The call's `seconds` are those from the start of MODFLOW to its sensitivities; inputs are written before."""
    steps = round(1 / rtol)
    simulation, side = Simulation(case, steps), AQUIFER.side
    simulation.write(*case.numbers())
    weight = float(np.asarray(case.square)) * simulation.storage**2
    rows, columns = np.divmod(np.arange(side * side), side)
    # Every head at the end of every period; a head of zero is what the loss wants.
    measure = {
        "layer": np.zeros(side * side, int),
        "row": rows,
        "column": columns,
        "times": (np.arange(case.intervals), steps - 1),
        "pm_type": "head",
        "pm_form": "residual",
        "weight": weight,
        "obsval": 0.0,
    }
    write_performance_measures(simulation.folder / "a.adj", {"loss": measure}, format="hdf5")

    def gradient() -> tuple[float, Values]:
        began = seconds()
        adjoint = Mf6Adj(
            "a.adj",
            os.environ[LIBRARY],
            logging_level="ERROR",
            logging_filename=False,
            working_directory=simulation.folder,
        )
        adjoint.solve_forward_model(verbose=False, hdf5_name="forward.h5")
        adjoint.solve_adjoint(hdf5_adjoint_solution_fname=Path("adjoint.h5"))
        adjoint.finalize()
        with h5py.File(simulation.folder / "adjoint.h5") as file:
            values = _by_name(file, case)
        gradient.seconds = seconds() - began  # type: ignore[attr-defined]
        loss = case.loss(simulation.read(), np.zeros((case.intervals, 0)))
        return float(loss), values

    def forward() -> np.ndarray:
        return simulation.states(*case.numbers())

    gradient.note = "none to the initial heads"  # type: ignore[attr-defined]
    gradient.forward = forward  # type: ignore[attr-defined]
    gradient.steps = case.intervals * steps  # type: ignore[attr-defined]
    return gradient


def _by_name(file: h5py.File, case: Case) -> Values:
    """Of conductivities, and of what is the same in all places of a period: sums over its steps and places."""
    wells = tuple(np.array(AQUIFER.wells).T)
    recharge, pumping = np.zeros(case.intervals), np.zeros(case.intervals)
    for name in file:
        if name.startswith("solution"):
            period = int(name.split("kper:")[1].split("_")[0])
            recharge[period] += np.nansum(file[name]["rch6_recharge"][:])
            pumping[period] += np.reshape(file[name]["wel6_q"][:], (AQUIFER.side, AQUIFER.side))[wells].sum()
    unknown = np.full(case.system.states["water"].size, np.nan)
    return {
        "K": np.ravel(file["composite"]["k11"][:]),
        "initial water": unknown,
        "recharge_rate": recharge,
        "well_rate": pumping,
    }
