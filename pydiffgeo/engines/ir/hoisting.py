"""What local functions compute from parameters and geometry alone is computed once, before the solve.

`1 - 1/n`, `1/(theta_s - theta_r)` or a power of a parameter would otherwise be evaluated at every step
of the solver. They are cut out of the programs into kernels of their own, whose results join the
parameters that an engine sees; `hoisted.py` evaluates them, and carries gradients back through them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...arrays import Indices
from .kernels import Assigning, Kernel, NetworkStage, Scatter, System
from .program import LOGICAL, Builder, Node, Program, Ref

# Only these are worth a place among the parameters; sums and products are as cheap as reading them.
COSTLY = {
    *("div", "pow", "exp", "log", "sqrt", "tanh", "sin", "cos"),
    *("expm1", "log1p", "erf", "atan", "sinh", "cosh"),
}


def hoist(system: System) -> System:
    """`system` with all costly terms of parameters and geometry cut out of its kernels."""
    first_p, first_f = system.n_states, system.n_states + system.n_parameters
    first_c = first_f + system.n_forcings
    base = first_c + len(system.constants)
    prepared: list[Kernel] = []
    added = 0

    def cut(kernel: Kernel) -> tuple[Program, list[Indices]]:
        """The rest of the program, and the rows its new inputs gather, counted from the first prepared value."""
        nonlocal added
        names = kernel.program.inputs
        fixed = {
            name
            for name, row in zip(names, kernel.gather, strict=True)
            if ((row >= first_p) & ((row < first_f) | ((row >= first_c) & (row < base)))).all()
        }
        program = _with_reciprocals(kernel.program, fixed)
        chosen = _frontier(program, fixed)
        if not chosen:
            return kernel.program, []
        inner, outer = _split(program, chosen)
        rows = np.array([kernel.gather[names.index(name)] for name in inner.inputs])
        # Items that read the same values share them: one for a parameter that does not vary in space.
        unique, place = np.unique(rows, axis=1, return_inverse=True)
        place = place.reshape(-1)
        # Gathers of prepared kernels count from the first parameter; constants follow the given parameters.
        gather = np.where(unique < first_f, unique - first_p, unique - first_c + system.n_parameters)
        items = unique.shape[1]
        scatter, new = [], []
        for output in inner.outputs:
            at = added + np.arange(items)
            scatter.append(Scatter(output, at, np.ones(items)))
            new.append(at[place])
            added += items
        prepared.append(Kernel(inner, gather, tuple(scatter)))
        return outer, new

    assigning = [stage for stage in system.stages if isinstance(stage, Kernel)]
    pieces = [(kernel, *cut(kernel)) for kernel in (*assigning, *system.kernels)]
    if not prepared:
        return system
    # Guards are looked at once a step, and have no gradient that would go back through what is prepared.
    pieces += [(guard.kernel, guard.kernel.program, []) for guard in system.guards]

    def shifted(rows: Indices) -> Indices:
        return np.where(rows >= first_f, rows + added, rows)

    kernels = []
    for i, (kernel, program, new) in enumerate(pieces):
        old = dict(zip(kernel.program.inputs, kernel.gather, strict=True))
        place = dict(zip([n for n in program.inputs if n not in old], new, strict=True))
        rows = [shifted(old[n]) if n in old else first_f + place[n] for n in program.inputs]
        items = kernel.gather.shape[1]
        scatter = kernel.scatter
        if i < len(assigning):
            scatter = tuple(replace(s, target=shifted(s.target)) for s in scatter)
        sums = None if kernel.sums is None else shifted(kernel.sums)
        kernels.append(Kernel(program, np.array(rows, np.int64).reshape(len(rows), items), scatter, sums))
    count, adding = len(assigning), len(assigning) + len(system.kernels)
    changed = iter(kernels[:count])

    def stage_of(stage: Assigning) -> Assigning:
        if isinstance(stage, NetworkStage):  # what it computes moves, and its weights come before what is prepared
            return replace(stage, features=shifted(stage.features), outputs=shifted(stage.outputs))
        return next(changed)

    return replace(
        system,
        n_parameters=system.n_parameters + added,
        n_values=system.n_values + added,
        stages=tuple(map(stage_of, system.stages)),
        kernels=tuple(kernels[count:adding]),
        guards=tuple(replace(g, kernel=k) for g, k in zip(system.guards, kernels[adding:], strict=True)),
        prepared=tuple(prepared),
        controls=tuple((state, value + added if value >= 0 else value, size) for state, value, size in system.controls),
    )


def _alone(program: Program, fixed: set[str]) -> list[bool]:
    """Which nodes depend on `fixed` inputs and constants alone."""
    alone: list[bool] = []
    for node in program.nodes:
        alone.append(node.name in fixed if node.op == "input" else all(alone[a] for a in node.args))
    return alone


def _with_reciprocals(program: Program, fixed: set[str]) -> Program:
    """Divisions by what is fixed as products with its reciprocal, which can be prepared."""
    alone, builder = _alone(program, fixed), Builder(program.name)

    def product(ref: Ref, node: Node, arguments: list[Ref]) -> Ref | None:
        if node.op != "div" or alone[ref] or not alone[node.args[1]]:
            return None
        return builder.apply("mul", arguments[0], builder.apply("div", builder.constant(1.0), arguments[1]))

    refs = builder.copy(program, product)
    return builder.finish({name: refs[r] for name, r in program.outputs.items()})


def _frontier(program: Program, fixed: set[str]) -> list[int]:
    """Nodes that depend on `fixed` inputs alone, cost something, and are used by what does not."""
    nodes, alone, costly = program.nodes, _alone(program, fixed), [False] * len(program.nodes)
    for i, node in enumerate(nodes):
        costly[i] = node.op in COSTLY or any(costly[a] for a in node.args)
    used = {a for i, node in enumerate(nodes) if not alone[i] for a in node.args} | set(program.outputs.values())
    # A logical node has no place among numbers; what it is made of has.
    wanted, stack = set(), [i for i in used if alone[i]]
    while stack:
        i = stack.pop()
        if nodes[i].op in LOGICAL:
            stack.extend(nodes[i].args)
        elif costly[i]:
            wanted.add(i)
    return sorted(wanted)


def _split(program: Program, chosen: Sequence[int]) -> tuple[Program, Program]:
    """What computes the chosen nodes, and the rest, which takes them as inputs."""
    inner = Program(program.name, program.nodes, {f"prepared.{k}": i for k, i in enumerate(chosen)})
    names = {i: f"prepared.{k}" for k, i in enumerate(chosen)}
    nodes = [Node("input", name=names[i]) if i in names else n for i, n in enumerate(program.nodes)]

    def finished(program: Program) -> Program:
        builder = Builder(program.name)
        builder.nodes = list(program.nodes)
        return builder.finish(program.outputs)

    return finished(inner), finished(Program(program.name, tuple(nodes), program.outputs))
