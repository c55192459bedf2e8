"""What a search for steady states computes with: CasADi functions of a system."""

from __future__ import annotations

import casadi as ca

from ..ir.kernels import Guard, Kernel, System
from .symbols import RULES, as_column, closed_values, inputs_of, rates


class Functions:
    """Rates of a system, the matrix of a step, and products with their derivatives, at states `y`; threads share them."""

    def __init__(self, system: System) -> None:
        n, sizes = system.n_states, (system.n_states, system.n_parameters, system.n_forcings)
        arguments = [ca.SX.sym(name, size) for name, size in zip("ypf", sizes, strict=True)]
        y, p, f = arguments
        v = closed_values(system, *arguments)
        total = ca.densify(rates(system, v))
        seeds, shift = ca.SX.sym("w", total.numel()), ca.SX.sym("shift")
        # With its whole diagonal, whatever depends on itself.
        matrix = shift * ca.SX.eye(n) - ca.jacobian(total[:n], y)
        self.pattern = matrix.sparsity()
        self.rates = ca.Function("rates", arguments, [total])
        self.matrix = ca.Function("matrix", [*arguments, shift], [matrix])
        along = ca.jtimes(total, ca.vertcat(y, p, f), seeds, True)
        self.pull = ca.Function("pull", [*arguments, seeds], [ca.densify(along)])
        dots = ca.SX.sym("dot", sum(sizes))
        moved = ca.jtimes(total, ca.vertcat(y, p, f), dots)
        self.push = ca.Function("push", [*arguments, dots], [ca.densify(moved)])
        self.sizes, self.n_fluxes = sizes, system.n_fluxes
        self.guards: tuple[Guard, ...] = system.guards

        def limits(kernel: Kernel) -> ca.SX:
            results = kernel.program.run(inputs_of(kernel, v), RULES)
            items = kernel.gather.shape[1]
            return ca.horzcat(*(as_column(results[k], items) for k in ("low", "value", "high")))

        rows = [limits(guard.kernel) for guard in system.guards]
        self.limits = ca.Function("limits", arguments, [ca.densify(ca.vertcat(*rows))]) if rows else None
