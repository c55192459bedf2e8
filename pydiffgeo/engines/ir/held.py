"""Held values: what `hoisting.py` cut out that follows from forcings which are constant in each interval.

They are computed for all intervals before a solve, join the forcings that an engine sees, and gradients to them are
taken back to forcings and parameters after it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ...arrays import Array, Indices
from . import autodiff
from .hoisted import derivative
from .kernels import Kernel, System
from .numpy_rules import RULES

# So many values are computed with at a time: their intermediate results stay in a cache.
PART = 1 << 14


def held(system: System, p: Array, f: Array) -> Array:
    """Forcings `(members, intervals, 1, given)` with the held values beside them; `p` are all parameters."""
    if not system.held:
        return f
    full = np.empty((*f.shape[:3], system.n_forcings))
    full[..., : f.shape[3]] = f
    for part in _parts(f):
        for kernel, columns in _columns(system, f.shape[3]):
            results = kernel.program.run(_inputs(system, kernel, p[part], f[part]), RULES)
            for s, at in zip(kernel.scatter, columns, strict=True):
                full[part, :, 0, at] = results[s.output]
    return full


def pull_held(system: System, p: Array, f: Array, p_bar: Array, full_bar: Array) -> tuple[Array, Array]:
    """Gradients to all parameters and to the forcings given, from those to parameters and held values besides."""
    if not system.held:
        return p_bar, full_bar
    p_bar, f_bar = p_bar.copy(), np.ascontiguousarray(full_bar[..., : f.shape[3]])
    for part in _parts(f):
        for kernel, columns in _columns(system, f.shape[3]):
            places = _places(system, kernel, f.shape[3])
            weights = {f"w.{s.output}": full_bar[part, :, 0, at] for s, at in zip(kernel.scatter, columns, strict=True)}
            given = _inputs(system, kernel, p[part], f[part]) | weights
            bars = derivative(kernel, autodiff.vjp, [*places]).run(given, RULES)
            shape = next(iter(weights.values())).shape
            for name, (of_forcing, row) in places.items():
                bar = np.broadcast_to(bars[f"bar.{name}"], shape)
                bar = bar if of_forcing else bar.sum(axis=1)
                for item, at in enumerate(row):
                    if of_forcing:
                        f_bar[part, :, 0, at] += bar[..., item]
                    else:
                        p_bar[part, at] += bar[..., item]
    return p_bar, f_bar


def push_held(system: System, p: Array, f: Array, p_dot: Array, f_dot: Array) -> Array:
    """Directions of forcings and held values, from those of all parameters and of the forcings given, which they lead."""
    if not system.held:
        return f_dot
    full = np.empty((*f_dot.shape[:4], system.n_forcings))
    full[..., : f.shape[3]] = f_dot
    for part in _parts(f):
        for kernel, columns in _columns(system, f.shape[3]):
            places = _places(system, kernel, f.shape[3])
            slopes = derivative(kernel, autodiff.jacobian, [*places]).run(
                _inputs(system, kernel, p[part], f[part]), RULES
            )
            for s, at in zip(kernel.scatter, columns, strict=True):
                change = np.zeros((*f_dot[:, part, :, 0].shape[:3], at.stop - at.start))
                for name, (of_forcing, row) in places.items():
                    dot = f_dot[:, part, :, 0][..., row] if of_forcing else p_dot[:, part, None][..., row]
                    change += slopes[f"slope.{s.output}.{name}"] * dot
                full[:, part, :, 0, at] = change
    return full


def _parts(f: Array) -> Iterator[slice]:
    """Members by parts; undefined values are for the engine to meet."""
    count = max(1, PART // max(1, f.shape[1]))
    with np.errstate(all="ignore"):
        for first in range(0, len(f), count):
            yield slice(first, first + count)


def _inputs(system: System, kernel: Kernel, p: Array, f: Array) -> dict[str, Array]:
    """Values of the inputs of a kernel, which broadcast to `(members, intervals, items)`."""
    first_f, first_c = system.n_parameters, system.n_parameters + f.shape[3]

    def values(row: Indices) -> Array:
        if row[0] < first_f:
            return p[:, None, row]
        return f[:, :, 0, row - first_f] if row[0] < first_c else system.constants[row - first_c]

    return {name: values(row) for name, row in zip(kernel.program.inputs, kernel.gather, strict=True)}


def _places(system: System, kernel: Kernel, given: int) -> dict[str, tuple[bool, Indices]]:
    """Inputs that are not geometry: whether they are forcings, and their places among these, or among the parameters."""
    first_f, places = system.n_parameters, dict[str, tuple[bool, Indices]]()
    for name, row in zip(kernel.program.inputs, kernel.gather, strict=True):
        if row[0] < first_f + given:
            of_forcing = bool(row[0] >= first_f)
            places[name] = of_forcing, row - first_f if of_forcing else row
    return places


def _columns(system: System, given: int) -> Iterator[tuple[Kernel, list[slice]]]:
    """Each kernel with the columns of its results among all forcings, in the order of its scatters."""
    for kernel in system.held:
        yield kernel, [slice(given + int(s.target[0]), given + int(s.target[-1]) + 1) for s in kernel.scatter]
