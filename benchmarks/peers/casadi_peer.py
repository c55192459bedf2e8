"""CasADi's CVODES as a CasADi user would write it: intervals chained in one graph, gradient of all inputs at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import casadi as ca
import numpy as np
from cases import Case, Values

from pydiffgeo.engines.sundials.cvodes import closed_values, rates


def prepare(
    case: Case, rtol: float, checkpoint: int = 20, jit: bool = False, quadrature_control: bool = False
) -> Callable[[], tuple[float, Values]]:
    """The gradient as one CasADi function.

    `checkpoint` is the number of steps between checkpoints of CVODES' adjoint, 20 as shipped; integrals, and with
    them gradients to parameters, are under error control only with `quadrature_control`.
    """
    s, n = case.system, case.system.n_states
    y, p, f = ca.SX.sym("y", n), ca.SX.sym("p", s.n_parameters), ca.SX.sym("f", s.n_forcings)
    length = ca.SX.sym("length")  # time is scaled, so that one integrator serves intervals of any length
    total = length * rates(s, closed_values(s, y, p, f))
    ode: dict[str, Any] = {"x": y, "p": ca.vertcat(p, f, length), "ode": total[:n]}
    if case.fluxes:
        ode["quad"] = ca.vertcat(*(total[n + i] for i in case.fluxes))
    options: dict[str, Any] = {
        "reltol": rtol,
        "abstol": rtol * case.absolute,
        "steps_per_checkpoint": checkpoint,
        "max_num_steps": 100_000,
        "disable_internal_warnings": True,
    }
    if quadrature_control:
        options["quad_err_con"] = True
    if jit:
        options |= {"jit": True, "compiler": "shell", "jit_options": {"compiler": "cc", "flags": ["-O2"]}}
    solver = ca.integrator("interval", "cvodes", ode, 0.0, 1.0, options)
    state, given = ca.MX.sym("y", n), ca.MX.sym("p", s.n_parameters)
    inputs = ca.MX.sym("f", s.n_forcings + 1)
    result = solver(x0=state, p=ca.vertcat(given, inputs))
    step = ca.Function("step", [state, inputs, given], [result["xf"], result["qf"]])
    y0, p0, f0 = case.numbers()
    by_interval = np.column_stack([f0, case.lengths]).T
    start, series = ca.MX.sym("y", n), ca.MX.sym("f", *by_interval.shape)
    states, fluxes = [], []
    x = start
    if case.intervals <= 100:
        for j in range(case.intervals):
            x, q = step(x, series[:, j], given)
            states.append(x)
            fluxes.append(q)
        y_all, q_all = ca.horzcat(*states).T, ca.horzcat(*fluxes).T
    else:
        repeated = ca.MX(ca.repmat(given, 1, case.intervals))
        y_all, q_all = (m.T for m in step.mapaccum(case.intervals)(start, series, repeated))
    loss = case.loss(y_all, q_all, ca.DM, lambda m: ca.sum1(ca.sum2(m)))
    arguments = [start, given, series]
    reverse = ca.Function("loss", arguments, [loss]).reverse(1)
    gradient = ca.Function("gradient", arguments, [loss, *reverse(*arguments, loss, 1)])

    def call() -> tuple[float, Values]:
        value, y_bar, p_bar, f_bar = (v.full() for v in gradient(y0, p0, by_interval))
        return float(value[0, 0]), case.groups(y_bar.ravel(), p_bar.ravel(), f_bar[:-1].T)

    return call
