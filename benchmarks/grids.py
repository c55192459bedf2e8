"""Processor time and memory of large systems, loss and gradient to a field of each parameter.

    python benchmarks/grids.py aquifer 50 100 --engine julia --unconfined
    python benchmarks/grids.py aquifer 40 --engine sundials --counted
    python benchmarks/grids.py river 2000 --days 365
    python benchmarks/grids.py columns 500 --days 10

Each size is solved three times in one process: once to build and compile, which is not counted, then twice. Printed are
the shorter times, their ratio to the size before, its exponent, and the peak memory of the process. One size to a process
tells its own peak.
"""

from __future__ import annotations

import argparse
import math
import resource
import time
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import torch

import pydiffgeo as dg

Values = dict[str, torch.Tensor]
Run = Callable[[], tuple[dg.Solution, torch.Tensor]]


def aquifer_model(side: int, unconfined: bool, counted: bool) -> dg.Model:
    """An aquifer of square cells of 100 m: a river across it, a given head along one side, four wells."""
    cells = np.arange(side * side).reshape(side, side)
    wells = [int(cells[int(side * y), int(side * x)]) for y, x in ((0.3, 0.3), (0.7, 0.4), (0.5, 0.7), (0.2, 0.8))]

    def closure(cell: SimpleNamespace) -> Values:
        return {"head": cell.water / cell.S, "K": torch.exp(cell.log_K)}

    def thickness(cell: SimpleNamespace, head: torch.Tensor) -> torch.Tensor:
        return 0.5 * (cell.head + head) if unconfined else cell.thickness

    def flux(left: SimpleNamespace, right: SimpleNamespace, face: SimpleNamespace) -> Values:
        k = 2 / (1 / left.K + 1 / right.K)
        return {"water": k * thickness(left, right.head) * (left.head - right.head) / face.distance}

    def source(cell: SimpleNamespace, forcing: SimpleNamespace) -> Values:
        if not counted:
            return {"water": forcing.recharge, "recharge": forcing.recharge}
        lost = 0.001 * torch.clamp((cell.head - 20.0) / 2.0, 0.0, 1.0)
        return {"water": forcing.recharge - lost, "recharge": forcing.recharge, "evapotranspiration": lost}

    def river(cell: SimpleNamespace, forcing: SimpleNamespace, face: SimpleNamespace) -> Values:
        into = forcing.stage - cell.head
        return {"water": into, "river": into}

    def edge(cell: SimpleNamespace, forcing: SimpleNamespace, face: SimpleNamespace) -> Values:
        into = cell.K * thickness(cell, torch.tensor(21.0)) * (21.0 - cell.head) / 50.0
        return {"water": into, "edge": into}

    def well(cell: SimpleNamespace, forcing: SimpleNamespace, face: SimpleNamespace) -> Values:
        return {"water": -forcing.pumping, "pumped": forcing.pumping}

    names = {"recharge": 1, "river": 1, "edge": 1, "pumped": -1} | ({"evapotranspiration": -1} if counted else {})
    return dg.Model(
        "Aquifer",
        dg.raster((side, side), (100.0, 100.0)),
        states=(dg.State("water", "m", "water per area", low=0.0),),
        parameters=(
            dg.Parameter("log_K", "1", "logarithm of the conductivity in m/d"),
            dg.Parameter("S", "1", "storage coefficient", 0.1, low=0.0, open_low=True),
            dg.Parameter("thickness", "m", "thickness of the confined aquifer", 20.0, low=0.0),
        ),
        forcings=(
            dg.ForcingVariable("recharge", "m d-1", "recharge", on="cell"),
            dg.ForcingVariable("stage", "m", "stage of the river"),
            dg.ForcingVariable("pumping", "m3 d-1", "pumping from each well"),
        ),
        fluxes=tuple(dg.IntegratedFlux(name, "m3", name, sign) for name, sign in names.items()),
        outputs=(dg.Output("head", "m", "head"),),
        closure=closure,
        source=source,
        flux=flux,
        output=lambda cell: {"head": cell.head},
        boundaries=(
            dg.Boundary("river", tuple(cells[:, side // 2].tolist()), river, {"area": 100.0}),
            dg.Boundary("edge", tuple(cells[:, 0].tolist()), edge, {"area": 100.0}),
            dg.Boundary("wells", tuple(wells), well, {"area": 1.0}),
        ),
    )


def aquifer(side: int, asked: argparse.Namespace) -> Run:
    model, count = aquifer_model(side, asked.unconfined, asked.counted), side * side
    times = np.append(np.arange(0.0, asked.days, asked.period), float(asked.days))
    middle = 0.5 * (times[1:] + times[:-1])
    y, x = np.divmod(np.arange(count), side)
    log_k = math.log(10.0) + 0.8 * np.sin(7 * x / side + 2 * np.cos(5 * y / side))
    storage = (0.15 if asked.unconfined else 0.01) * np.exp(0.2 * np.cos(11 * x / side - 9 * y / side))
    rain = np.outer(0.001 * (1 + np.cos(2 * np.pi * middle / 365)), 1 + 0.3 * np.sin(np.arange(count) / 50))
    leaves = [torch.tensor(v, requires_grad=True) for v in (log_k, storage, rain)]
    forcing = {
        "stage": torch.tensor(20.0 + 0.5 * np.sin(2 * np.pi * middle / 90)),
        "pumping": torch.tensor(500.0 * ((np.arange(len(middle)) // 3) % 2)),
    }

    def run() -> tuple[dg.Solution, torch.Tensor]:
        sol = dg.solve(
            model,
            {"log_K": leaves[0], "S": leaves[1]},
            forcing={"recharge": leaves[2], **forcing},
            times=times,
            initial={"water": 20.0 * leaves[1]},
            **tolerances(asked, 1e-4, 1e-6),
        )
        return sol, (sol.outputs["head"][1:, :: max(1, count // 30)] - 20.0).square().mean()

    return run


def river(reaches: int, asked: argparse.Namespace) -> Run:
    """A kinematic wave on a tree of reaches, Manning's equation in a wide rectangle, and lateral inflow to each reach."""
    rng = np.random.default_rng(0)
    to, inflows = np.full(reaches, -1), np.zeros(reaches, int)
    for i in range(1, reaches):
        free = np.flatnonzero(inflows[:i] < 3)
        to[i] = rng.choice(free[-40:])
        inflows[to[i]] += 1
    drained = np.ones(reaches)
    for i in range(reaches - 1, 0, -1):
        drained[to[i]] += drained[i]
    network = dg.network(reaches, [(i, int(to[i])) for i in range(1, reaches)])
    shape = {"volume": 1.0, "length": rng.uniform(2e3, 8e3, reaches), "width": 5 * np.sqrt(drained)}
    graph = dg.Graph(reaches, network.faces, shape | {"slope": rng.uniform(5e-4, 5e-3, reaches)}, network.face)

    def closure(cell: SimpleNamespace) -> Values:
        depth = torch.clamp(cell.storage, min=1e-9) / (cell.length * cell.width) * 1e3
        return {"q": 86.4 * cell.width * depth ** (5 / 3) * torch.sqrt(cell.slope) / cell.manning}

    model = dg.Model(
        "River",
        graph,
        states=(dg.State("storage", "1000 m3", "water in the reach", 10.0, low=0.0),),
        parameters=(dg.Parameter("manning", "s m-1/3", "Manning's n", 0.035, 0.005, 0.5),),
        forcings=(dg.ForcingVariable("lateral", "m3 s-1", "lateral inflow", on="cell"),),
        fluxes=(dg.IntegratedFlux("lateral", "1000 m3", "", 1), dg.IntegratedFlux("outlet", "1000 m3", "", -1)),
        closure=closure,
        source=lambda cell, forcing: {"storage": 86.4 * forcing.lateral, "lateral": 86.4 * forcing.lateral},
        flux=lambda left, right, face: {"storage": left.q},
        boundaries=(dg.Boundary("outlet", (0,), lambda cell, forcing, face: {"storage": -cell.q, "outlet": cell.q}),),
    )
    rain = rng.gamma(0.3, 1.0, (asked.days, 1)) * rng.uniform(0.2, 1.0, (1, reaches)) + 0.02
    leaves = [torch.tensor(v, requires_grad=True) for v in (rng.uniform(0.02, 0.06, reaches), rain)]

    def run() -> tuple[dg.Solution, torch.Tensor]:
        given = {"forcing": {"lateral": leaves[1]}, "times": range(asked.days + 1), **tolerances(asked, 1e-4, 1e-3)}
        sol = dg.solve(model, {"manning": leaves[0]}, **given)
        return sol, (sol.fluxes["outlet"] / 86.4 / reaches).square().mean()

    return run


def columns(members: int, asked: argparse.Namespace) -> Run:
    """Soil columns of thirty cells under showers, each with its own soil, as one batch."""
    model, rng = (
        dg.models.RichardsColumn(depth=1.0, cells=30, top="atmosphere", root_depth=None),
        np.random.default_rng(0),
    )
    soil = np.exp(rng.normal(-1.5, 0.7, (members, 1))), rng.uniform(1.3, 2.2, (members, 1))
    leaves = [torch.tensor(v, requires_grad=True) for v in soil]
    rain = torch.tensor(rng.gamma(0.3, 0.01, (members, asked.days)))

    def run() -> tuple[dg.Solution, torch.Tensor]:
        sol = dg.solve(
            model,
            {"K_s": leaves[0], "n": leaves[1]},
            forcing={"precipitation": rain, "potential_evaporation": 0.003},
            times=range(asked.days + 1),
            initial={"head": -2.0},
            threads=1,
            **tolerances(asked, 1e-4, 1e-5),
        )
        return sol, sol.states["theta"][:, -1].mean()

    return run


CASES = {"aquifer": aquifer, "river": river, "columns": columns}


def tolerances(asked: argparse.Namespace, rtol: float, atol: float) -> dict[str, object]:
    scale = asked.rtol / rtol if asked.rtol else 1.0
    return {"engine": asked.engine, "rtol": scale * rtol, "atol": scale * atol}


def measured(run: Run) -> tuple[float, float, dg.Solution]:
    """Processor seconds of the solve with its loss, and of the gradient."""
    started = time.process_time()
    sol, loss = run()
    between = time.process_time()
    loss.backward()
    return between - started, time.process_time() - between, sol


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=CASES)
    parser.add_argument("sizes", type=int, nargs="+", help="cells along a side, reaches, or members")
    parser.add_argument("--engine", default="julia")
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--period", type=float, default=10.0, help="days between changes of the aquifer's forcing")
    parser.add_argument("--unconfined", action="store_true")
    parser.add_argument("--counted", action="store_true", help="evapotranspiration counted over all cells")
    parser.add_argument("--rtol", type=float)
    parser.add_argument("--once", action="store_true", help="time the first run, with what is built and compiled in it")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    before: tuple[int, float] | None = None
    for size in asked.sizes:
        run = CASES[asked.case](size, asked)
        forward, backward, sol = measured(run)
        if not asked.once:
            trials = [measured(run) for _ in range(2)]
            forward, backward = (min(t[k] for t in trials) for k in (0, 1))
        total, stats = forward + backward, sol.stats
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{asked.case} {size}, {stats['engine']} ({stats['solver']}, {stats['linear_solver']}): forward {forward:.3f} s, "
            f"gradient {backward:.3f} s, both {total:.3f} s, kept {stats['kept_bytes'] / 1e6:.0f} MB, peak {peak:.0f} MB",
            flush=True,
        )
        if before is not None:
            ratio, cells = total / before[1], (size / before[0]) ** (2 if asked.case == "aquifer" else 1)
            print(f"  {ratio:.2f} times the size before, exponent {math.log(ratio) / math.log(cells):.2f}")
        before = size, total


if __name__ == "__main__":
    main()
