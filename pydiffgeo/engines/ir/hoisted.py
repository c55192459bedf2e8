"""Prepared values: what `hoisting.py` cut out of the local functions, on arrays, before a solve and back through it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from weakref import WeakKeyDictionary

import numpy as np

from ...arrays import Array, Indices
from . import autodiff
from .kernels import Kernel, System
from .numpy_rules import RULES
from .program import Program


def prepare(system: System, p: Array) -> Array:
    """Parameters `(members, given)` with the prepared values beside them, `(members, n_parameters)`."""
    if not system.prepared:
        return p
    values, parts = _values(system, p), [p]
    with np.errstate(all="ignore"):
        for kernel in system.prepared:
            results = kernel.program.run(_inputs(kernel, values), RULES)
            parts += [_wide(results[s.output], len(p), len(s.target)) for s in kernel.scatter]
    return np.concatenate(parts, axis=1)


def pull_prepared(system: System, p: Array, full_bar: Array) -> Array:
    """The gradient to the parameters given, `(members, given)`, from that to those prepared from them as well."""
    count = p.shape[1]
    if not system.prepared:
        return full_bar
    values, places, amounts = _values(system, p), [], []
    with np.errstate(all="ignore"):
        for kernel, columns in _columns(system, count):
            names, wanted = _wanted(kernel, count)
            weights = {f"w.{s.output}": full_bar[:, at] for s, at in zip(kernel.scatter, columns, strict=True)}
            bars = derivative(kernel, autodiff.vjp, names).run(_inputs(kernel, values) | weights, RULES)
            for name, row in zip(names, wanted, strict=True):
                places.append(row)
                amounts.append(_wide(bars[f"bar.{name}"], len(p), len(row)))
    bar = full_bar[:, :count].copy()
    if places:
        place, amount = np.concatenate(places), np.concatenate(amounts, axis=1)
        for one, more in zip(bar, amount, strict=True):
            one += np.bincount(place, more, count)
    return bar


def push_prepared(system: System, p: Array, dot: Array) -> Array:
    """Directions of all parameters, `(directions, members, n_parameters)`, from those of the parameters given."""
    count = p.shape[1]
    if not system.prepared:
        return dot
    values, parts = _values(system, p), [dot]
    with np.errstate(all="ignore"):
        for kernel, columns in _columns(system, count):
            names, wanted = _wanted(kernel, count)
            slopes = derivative(kernel, autodiff.jacobian, names).run(_inputs(kernel, values), RULES)
            for s, at in zip(kernel.scatter, columns, strict=True):
                change = np.zeros((*dot.shape[:2], at.stop - at.start))
                for name, row in zip(names, wanted, strict=True):
                    change += slopes[f"slope.{s.output}.{name}"] * dot[:, :, row]
                parts.append(change)
    return np.concatenate(parts, axis=2)


# Programs of derivatives, made once for each kernel.
_derived: WeakKeyDictionary[Kernel, dict[str, Program]] = WeakKeyDictionary()


def derivative(kernel: Kernel, what: Callable[..., Program], names: Sequence[str]) -> Program:
    """The derivative of a kernel that is evaluated here, by `autodiff.vjp` or `autodiff.jacobian`, made once."""
    programs = _derived.setdefault(kernel, {})
    if what.__name__ not in programs:
        programs[what.__name__] = what(kernel.program, [s.output for s in kernel.scatter], names)
    return programs[what.__name__]


def _values(system: System, p: Array) -> Array:
    return np.concatenate([p, np.broadcast_to(system.constants, (len(p), len(system.constants)))], axis=1)


def _inputs(kernel: Kernel, values: Array) -> dict[str, Array]:
    return {name: values[:, row] for name, row in zip(kernel.program.inputs, kernel.gather, strict=True)}


def _wanted(kernel: Kernel, count: int) -> tuple[tuple[str, ...], list[Indices]]:
    """The inputs that are parameters, not geometry, and what each gathers."""
    pairs = [(n, row) for n, row in zip(kernel.program.inputs, kernel.gather, strict=True) if row[0] < count]
    return tuple(n for n, _ in pairs), [row for _, row in pairs]


def _columns(system: System, count: int) -> Iterator[tuple[Kernel, list[slice]]]:
    """Each kernel with the columns of its results among all parameters, in the order of its scatters."""
    at = count
    for kernel in system.prepared:
        ends = [at + len(kernel.scatter[0].target) * (i + 1) for i in range(len(kernel.scatter))]
        yield kernel, [slice(end - len(kernel.scatter[0].target), end) for end in ends]
        at = ends[-1]


def _wide(value: Array | float, members: int, items: int) -> Array:
    if isinstance(value, np.ndarray) and value.shape == (members, items):
        return value
    return np.broadcast_to(np.asarray(value, np.float64), (members, items))
