"""Do rates jump at values that states can take? Asked before a gradient is given that could not know of it.

An adjoint that does not locate the switches of a model is right where rates are continuous across them, as at the
branches of a retention curve that meet at saturation, and wrong where they are not. Which is the case is seen at
points on the switch itself, next to those that the solution went through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..arrays import Array, Indices
from ..model.networks import evaluate
from .base import Forward, Problem
from .ir.events import decisions, events, pull_events
from .ir.kernels import Kernel, NetworkStage, System
from .ir.numpy_rules import RULES
from .ir.program import Program

# Newton steps to a switch, and how near, relative to the size of what moves there, the function is looked at.
STEPS, NEAR, NEARER = 6, 1e-6, 1e-8


@dataclass(frozen=True, eq=False)
class Jumping:
    """A local function that jumps at some decisions.

    Attributes:
        moving: the inputs that change during a solve.
        which: numbers of the decisions, as `events` counts them.
    """

    kernel: Kernel
    moving: tuple[str, ...]
    which: tuple[int, ...]

    @property
    def name(self) -> str:
        return self.kernel.program.name


def jumping(system: System, y: Array, p: Array, f: Array, linear: bool) -> list[Jumping]:
    """The local functions whose results jump at a switch that states, or forcings that change in time, can reach.

    Args:
        y: `(samples, states)` that a solution went through; p: `(samples, parameters)`; f: `(samples, forcings)`.
        linear: whether forcings change within intervals.
    """
    candidates = [(k, moving) for k, moving in movable(system, linear) if decisions(k.program, moving)]
    if not candidates:
        return []
    samples = len(y)
    v = np.concatenate([y, p, f, np.broadcast_to(system.constants, (samples, len(system.constants)))], axis=1)
    jumps = []
    with np.errstate(all="ignore"):
        for kernel in system.stages:
            if isinstance(kernel, NetworkStage):
                v = np.concatenate([v, _outputs(kernel, v, p)], axis=1)
                continue
            results = kernel.program.run(_inputs(kernel.program, kernel, v), RULES)
            columns = [_rows(results[s.output], samples, len(s.target)) for s in kernel.scatter]
            if kernel.sums is not None:
                sums = np.zeros((samples, len(kernel.sums)))
                for s, column in zip(kernel.scatter, columns, strict=True):
                    np.add.at(sums.T, s.target - kernel.sums[0], (s.weight * column).T)
                columns = [sums]
            v = np.concatenate([v, *columns], axis=1)
        for kernel, moving in candidates:
            inputs = {name: rows.ravel() for name, rows in _inputs(kernel.program, kernel, v).items()}
            count = decisions(kernel.program, moving)
            which = tuple(k for k in range(count) if _jumps(kernel.program, moving, inputs, k))
            if which:
                jumps.append(Jumping(kernel, moving, which))
    return jumps


def jumping_along(problem: Problem, forward: Forward, samples: int = 64) -> list[Jumping]:
    """`jumping` at points that the members which were solved went through."""
    good = np.flatnonzero([status.ok for status in forward.status])
    pairs = [(m, j) for m in good for j in range(problem.intervals)]
    if not pairs:
        return []
    chosen = [pairs[i] for i in np.unique(np.linspace(0, len(pairs) - 1, samples).astype(int))]
    m, j = np.array(chosen).T
    return jumping(problem.system, forward.y[m, j], problem.p[m], problem.f[m, j, 0], problem.f.shape[2] == 2)


def message(functions: Sequence[Jumping], method: str) -> str:
    """What is said where a gradient is refused."""
    names = " and ".join(dict.fromkeys(f.name for f in functions))
    return (
        f"({names} jumps where a comparison turns, which {method} does not see: use Rodas5P of the engine 'julia', or "
        "write the function so that its branches meet)"
    )


def movable(system: System, linear: bool) -> list[tuple[Kernel, tuple[str, ...]]]:
    """Each local function with the inputs that change during a solve."""
    first_f, first_c = (system.n_states + system.n_parameters + n for n in (0, system.n_forcings))
    base = first_c + len(system.constants)

    def moves(row: Indices) -> bool:
        at = row[0] if len(row) else base
        return at < system.n_states or at >= base or (linear and first_f <= at < first_c)

    return [
        (k, tuple(n for n, row in zip(k.program.inputs, k.gather, strict=True) if moves(row)))
        for k in (*system.stages, *system.kernels)
        if isinstance(k, Kernel)
    ]


def _outputs(stage: NetworkStage, v: Array, p: Array) -> Array:
    """What a network assigns, `(samples, outputs times items)`."""
    features = np.moveaxis(v[:, stage.features], 1, 2)
    weights = torch.from_numpy(np.ascontiguousarray(p[:, stage.weights]))
    results: Array = evaluate(stage.architecture, weights, torch.from_numpy(np.ascontiguousarray(features))).numpy()
    return np.moveaxis(results, 1, 2).reshape(len(v), -1)


def _inputs(program: Program, kernel: Kernel, v: Array) -> dict[str, Array]:
    return {name: v[:, row] for name, row in zip(program.inputs, kernel.gather, strict=True)}


def _rows(value: Array | float, samples: int, items: int) -> Array:
    return np.broadcast_to(np.asarray(value, float), (samples, items))


def _jumps(program: Program, moving: Sequence[str], inputs: dict[str, Array], k: int) -> bool:
    """Do results jump where comparison `k` turns, at the points on the switch next to `inputs`?"""
    change, gradient = events(program, moving), pull_events(program, moving, moving)
    weights = {f"w.{i}": np.array(i == k, float) for i in range(decisions(program, moving))}
    size = {name: np.abs(inputs[name]) + 1e-3 * np.abs(inputs[name]).max(initial=1e-3) for name in moving}
    at = dict(inputs)
    for _ in range(STEPS):
        g = change.run(at, RULES)[f"event.{k}"]
        bars = gradient.run(at | weights, RULES)
        steep = {name: size[name] ** 2 * bars[f"bar.{name}"] for name in moving}
        total = sum(bars[f"bar.{name}"] * steep[name] for name in moving)
        at |= {name: np.where(total > 0, at[name] - g * steep[name] / total, at[name]) for name in moving}
    norm = np.sqrt(total)
    reached = np.abs(change.run(at, RULES)[f"event.{k}"]) <= 1e-3 * NEARER * norm

    def across(distance: float) -> Array:
        """The change of each result over a short way across the switch, zero where rounding explains it."""
        sides = [
            program.run({**at, **{n: at[n] + way * distance * steep[n] / norm for n in moving}}, RULES)
            for way in (1, -1)
        ]
        changes = []
        for name in program.outputs:
            a, b = (np.broadcast_to(np.asarray(side[name], float), np.shape(norm)) for side in sides)
            changes.append(np.where(np.abs(a - b) > 1e-10 * (np.abs(a) + np.abs(b)), np.abs(a - b), 0.0))
        return np.array(changes)

    # What is continuous changes by as much less as the way is shorter; a jump stays as it is.
    near, nearer = across(NEAR), across(NEARER)
    return bool((reached & (nearer > 0.5 * near) & (nearer > 0)).any())
