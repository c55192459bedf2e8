"""A river: its statement, and the same written out in NumPy for `radau.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from radau import System
from statement import Input, Problem

DAY = 86400.0
STEP = 7200.0  # seconds between times
REACHES = 6
DOWNSTREAM = [3, 3, 5, 5, 6, 0]  # of reaches 1 to 6; 0 is out


def river() -> Problem:
    hours = np.arange(12)
    inflow = 0.3 + 3.0 * np.maximum(0, np.sin(0.35 * hours + 0.3)) ** 3
    return Problem(
        title="A flood wave on six reaches of a river, kinematic, of power-law channels",
        source="Manning 1891; Lighthill and Whitham 1955, Proc. R. Soc. A 229; channels: Bindas et al. 2024, Water Resour. Res. 60",
        equations=(
            "reaches i = 1, ..., 6 hold S_i (m3); those that flow into i are U(i): U(3) = {1, 2}, U(5) = {3, 4}, U(6) = {5}",
            "A_i = S_i/L_i; depth y_i = (A_i (p + 1)/w_i)^(1/(p + 1)); p is the width exponent",
            "Q_i = A_i y_i^(2/3) s_i^(1/2)/n_i (m3/s), with slopes s_i",
            "S_i' = 86400 (u(t) + sum of Q_j over j in U(i) - Q_i)",
            "u(t) is constant in each two hours: entry d of the lateral inflow holds, for every reach, for d - 1 < 12 t < d",
            "V_d = integral of 86400 Q_6 over the two hours d",
        ),
        times=(np.arange(13.0) / 12).tolist(),
        time_unit="d",
        inputs={
            "parameters.manning_n": Input(
                [0.045, 0.06, 0.04, 0.05, 0.035, 0.03], "s/m^(1/3)", "roughness of each reach"
            ),
            "parameters.width": Input([6.0, 4.0, 9.0, 5.0, 14.0, 18.0], "m", "top width at a depth of one metre"),
            "parameters.width_exponent": Input(0.35, "1", "how the top width grows with depth"),
            "initial.storage": Input([4e3, 2e3, 9e3, 3e3, 2e4, 3e4], "m3", "water in each reach at the start"),
            "forcing.lateral_inflow": Input(inflow.round(4).tolist(), "m3/s", "inflow along each reach"),
        },
        outputs={
            "misfit": "mean over d = 1, ..., 12 of (V_d/7200 - 5)^2",
            "volume": "sum over d = 1, ..., 12 of (1 + d/10) V_d/7200",
            "stored": "sum over the reaches of (S_i/10000)^2 at t = 1",
        },
        constants={
            "length": [3000.0, 2500.0, 4000.0, 3500.0, 5000.0, 6000.0],
            "slope": [4e-3, 6e-3, 2e-3, 5e-3, 1e-3, 5e-4],
            "downstream": DOWNSTREAM,
        },
    )


def river_system(problem: Problem, local: Callable[[int], Any]) -> System:
    at = problem.layout()["initial.storage"]
    length, slope = (np.array(problem.constants[name])[:, None] for name in ("length", "slope"))
    into = np.zeros((REACHES, REACHES))
    for reach, below in enumerate(DOWNSTREAM):
        if below:
            into[below - 1, reach] = 1.0

    def rates(y: Any, q: Any, j: int, branch: Any) -> Any:
        n, width, power, lateral = q[:REACHES], q[REACHES : 2 * REACHES], q[2 * REACHES], q[2 * REACHES + 1]
        shape = (REACHES,) + (1,) * (y.ndim - 1)
        area = y[:REACHES] / length.reshape(shape)
        depth = (area * (power + 1) / width) ** (1 / (power + 1))
        flow = area * depth ** (2 / 3) * np.sqrt(slope.reshape(shape)) / n
        change = lateral + np.einsum("ij,j...->i...", into, flow) - flow
        return DAY * np.concatenate([change, flow[-1:]])

    def outputs(y: Any, z: Any) -> dict[str, Any]:
        mean = (y[1:, REACHES] - y[:-1, REACHES]) / STEP
        days = np.arange(1.0, len(mean) + 1)
        return {
            "misfit": ((mean - 5) ** 2).mean(0),
            "volume": np.einsum("d,d...->...", 1 + days / 10, mean),
            "stored": ((y[-1, :REACHES] / 1e4) ** 2).sum(0),
        }

    sizes = np.array([1e4] * REACHES + [1e5])
    return System(lambda z: np.concatenate([z[at], 0 * z[:1]]), rates, local, problem.times, outputs, sizes)
