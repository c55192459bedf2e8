"""The rates of a system on arrays of NumPy, JAX or PyTorch: the same traced local functions in each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pydiffgeo.engines.ir.kernels import Kernel, System

NAMES = ("exp", "log", "sqrt", "tanh", "sin", "cos", "minimum", "maximum", "where")


def rules(library: Any) -> dict[str, Callable[..., Any]]:
    """What each operation of a program is in an array library with NumPy's names."""
    return {
        "add": lambda a, b: a + b,
        "sub": lambda a, b: a - b,
        "mul": lambda a, b: a * b,
        "div": lambda a, b: a / b,
        "pow": lambda a, b: a**b,
        "neg": lambda a: -a,
        "abs": abs,
        "lt": lambda a, b: a < b,
        "le": lambda a, b: a <= b,
        "and": lambda a, b: a & b,
        "or": lambda a, b: a | b,
        "not": lambda a: ~a,
        **{name: getattr(library, name) for name in NAMES},
    }


def torch_rules() -> dict[str, Callable[..., Any]]:
    """The same for PyTorch, whose `minimum` and `maximum` want tensors."""
    import torch

    def tensor(a: Any) -> Any:
        return a if isinstance(a, torch.Tensor) else torch.tensor(a, dtype=torch.float64)

    table = rules(torch)
    table["minimum"] = lambda a, b: torch.minimum(tensor(a), tensor(b))
    table["maximum"] = lambda a, b: torch.maximum(tensor(a), tensor(b))
    return table


def positions(where: np.ndarray) -> Any:
    """Positions as what is fastest to index with: a slice where they are consecutive or all the same."""
    where = np.asarray(where)
    if len(where) == 1 or (np.diff(where) == 0).all():
        return slice(int(where[0]), int(where[0]) + 1)
    if (np.diff(where) == 1).all():
        return slice(int(where[0]), int(where[-1]) + 1)
    return where


class Rates:
    """`rates(y, p, f)`: rates of the states and of the chosen fluxes, one vector.

    Args:
        table: the rules of the array library; `join` its concatenation, `constant` its conversion.
        scatter: `scatter(size, positions, values)`, a vector of zeros with values added at positions;
            None where the vector is written in place, as NumPy can.
    """

    def __init__(
        self,
        system: System,
        fluxes: list[int],
        table: dict[str, Callable[..., Any]],
        join: Callable[[list[Any]], Any],
        constant: Callable[[np.ndarray], Any],
        scatter: Callable[[int, Any, Any], Any],
    ) -> None:
        self.system, self.table, self.join, self.scatter = system, table, join, scatter
        n = system.n_states
        kept = {i: i for i in range(n)} | {n + j: n + k for k, j in enumerate(fluxes)}
        self.size = n + len(fluxes)
        self.constants = constant(system.constants)
        self.closures = [self._plan(k, None, constant) for k in system.stages]
        self.kernels = [self._plan(k, kept, constant) for k in system.kernels]

    def _plan(self, kernel: Kernel, kept: dict[int, int] | None, constant: Callable[[np.ndarray], Any]) -> Any:
        gather = [(name, positions(row)) for name, row in zip(kernel.program.inputs, kernel.gather, strict=True)]
        out = []
        for s in kernel.scatter:
            if kept is None:
                out.append((s.output, None, None, len(s.target)))
            elif all(int(t) in kept for t in s.target):
                target = np.array([kept[int(t)] for t in s.target])
                single = len(set(target)) == 1 and len(target) > 1
                out.append((s.output, target if single else positions(target), constant(s.weight), len(s.target)))
        return kernel.program, gather, out

    def _run(self, program: Any, gather: Any, v: Any) -> dict[str, Any]:
        return program.run({name: v[where] for name, where in gather}, self.table)

    def __call__(self, y: Any, p: Any, f: Any) -> Any:
        v = self.join([y[: self.system.n_states], p, f, self.constants])
        for program, gather, out in self.closures:
            results = self._run(program, gather, v)
            v = self.join([v, *(self._full(results[name], count, v) for name, _, _, count in out)])
        total = None
        for program, gather, out in self.kernels:
            results = self._run(program, gather, v)
            for name, where, weight, count in out:
                value = weight * self._full(results[name], count, v)
                total = self.scatter(total, self.size, where, value)
        return total

    def _full(self, value: Any, count: int, v: Any) -> Any:
        """A result as a vector; constants and results of shared inputs are single numbers until here."""
        if isinstance(value, float) or value.shape != (count,):
            return value + 0 * v[:1].repeat(count)
        return value


def numpy_rates(system: System, fluxes: list[int]) -> Rates:
    def scatter(total: Any, size: int, where: Any, value: Any) -> Any:
        total = np.zeros(size) if total is None else total
        if isinstance(where, slice):
            total[where] += value
        else:
            np.add.at(total, where, value)
        return total

    return Rates(system, fluxes, rules(np), np.concatenate, np.asarray, scatter)


def jax_rates(system: System, fluxes: list[int]) -> Rates:
    import jax.numpy as jnp

    def scatter(total: Any, size: int, where: Any, value: Any) -> Any:
        if isinstance(where, slice):  # padding is cheaper than a scatter, forward and backward
            added = jnp.pad(value, (where.start, size - where.stop))
        else:
            added = jnp.zeros(size).at[where].add(value)
        return added if total is None else total + added

    return Rates(system, fluxes, rules(jnp), jnp.concatenate, jnp.asarray, scatter)


def torch_rates(system: System, fluxes: list[int]) -> Rates:
    import torch

    def scatter(total: Any, size: int, where: Any, value: Any) -> Any:
        if isinstance(where, slice):
            added = torch.nn.functional.pad(value, (where.start, size - where.stop))
        else:
            added = torch.zeros(size, dtype=torch.float64).index_add(0, torch.from_numpy(where), value)
        return added if total is None else total + added

    return Rates(system, fluxes, torch_rules(), torch.cat, torch.tensor, scatter)
