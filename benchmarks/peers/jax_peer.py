"""diffrax: as shipped, and with a tridiagonal linear solver patched in by hand."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import optimistix as optx
from arrays import jax_rates
from cases import Case, Values

jax.config.update("jax_enable_x64", True)
root_find = optx.root_find


class Tridiagonal(lx.AbstractLinearSolver):
    """Finds the three diagonals of any operator by three products, and solves by elimination."""

    def init(self, operator: Any, options: Any) -> Any:
        n = operator.in_size()
        colours = jnp.stack([jnp.arange(n) % 3 == k for k in range(3)]).astype(jnp.float64)
        products = jax.vmap(operator.mv)(colours)
        i = jnp.arange(n)
        diagonal = products[i % 3, i]
        lower, upper = products[i[:-1] % 3, i[1:]], products[i[1:] % 3, i[:-1]]
        return lx.Tridiagonal().init(lx.TridiagonalLinearOperator(diagonal, lower, upper), {})

    def compute(self, state: Any, vector: Any, options: Any) -> Any:
        return lx.Tridiagonal().compute(state, vector, {})

    def transpose(self, state: Any, options: Any) -> Any:
        return lx.Tridiagonal().transpose(state, options)

    def conj(self, state: Any, options: Any) -> Any:
        return lx.Tridiagonal().conj(state, options)

    def assume_full_rank(self) -> bool:
        return True


SOLVERS = {"kvaerno3": diffrax.Kvaerno3, "kvaerno5": diffrax.Kvaerno5}
EXPLICIT = {"tsit5": diffrax.Tsit5, "dopri8": diffrax.Dopri8}


def _solver(name: str, banded: bool) -> Any:
    if name in EXPLICIT:
        return EXPLICIT[name]()
    if not banded:
        optx.root_find = root_find
        return SOLVERS[name]()
    # The implicit function theorem needs the same solver as Newton's method does.
    optx.root_find = functools.partial(root_find, adjoint=optx.ImplicitAdjoint(linear_solver=Tridiagonal()))
    chord = diffrax.with_stepsize_controller_tols(diffrax.VeryChord)(linear_solver=Tridiagonal())
    return SOLVERS[name](root_finder=chord)


@functools.lru_cache(1)
def _compiled(key: tuple[Any, ...]) -> Any:
    """One compiled function serves all tolerances."""
    case, name, banded, max_steps, first_step = key
    rates, n, fluxes = jax_rates(case.system, case.fluxes), case.system.n_states, case.fluxes
    solver = _solver(name, banded)

    def field(t: Any, y: Any, args: Any) -> Any:
        length, p, f = args
        return length * rates(y, p, f)

    def loss(given: Any, tolerances: Any) -> Any:
        y0, p, f = given
        rtol, atol = tolerances

        def interval(y: Any, inputs: Any) -> Any:
            length, forcing = inputs
            solution = diffrax.diffeqsolve(
                diffrax.ODETerm(field),
                solver,
                0.0,
                1.0,
                first_step,
                jnp.concatenate([y, jnp.zeros(len(fluxes))]),
                (length, p, forcing),
                stepsize_controller=diffrax.PIDController(rtol=rtol, atol=atol),
                saveat=diffrax.SaveAt(t1=True),
                max_steps=max_steps,
                throw=False,
                adjoint=diffrax.RecursiveCheckpointAdjoint(),
            )
            end = solution.ys[0]
            good = solution.result == diffrax.RESULTS.successful
            return end[:n], (end[:n], end[n:], solution.stats["num_steps"], good)

        _, (y, q, steps, good) = jax.lax.scan(interval, y0, (jnp.asarray(case.lengths), f))
        return case.loss(y, q, jnp.asarray, jnp.sum), (steps.sum(), good.all())

    given = tuple(jnp.asarray(v) for v in case.numbers())
    function = eqx.filter_jit(jax.value_and_grad(loss, has_aux=True))
    return function.lower(given, (jnp.asarray(1e-3), jnp.asarray(1e-3))).compile(), given


def prepare(
    case: Case, rtol: float, solver: str, banded: bool = False, max_steps: int = 4096, first_step: float = 0.01
) -> Callable[[], tuple[float, Values]]:
    """The gradient as one compiled function.

    `first_step` is a part of the interval. Where diffrax chooses it, it differentiates the choice, which costs
    gradients of this kind their accuracy.
    """
    function, given = _compiled((case, solver, banded, max_steps, first_step))
    tolerances = jnp.asarray(rtol), jnp.asarray(rtol * case.absolute)

    def gradient() -> tuple[float, Values]:
        (loss, (steps, good)), bars = jax.block_until_ready(function(given, tolerances))
        if not bool(good):
            raise RuntimeError(f"a solve failed after {int(steps)} steps")
        gradient.steps = int(steps)  # type: ignore[attr-defined]
        return float(loss), case.groups(*(np.asarray(b) for b in bars))

    return gradient
