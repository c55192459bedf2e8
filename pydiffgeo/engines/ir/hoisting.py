"""What local functions compute from parameters and geometry alone is computed once, before the solve.

`1 - 1/n`, `1/(theta_s - theta_r)` or a power of a parameter would otherwise be evaluated at every step
of the solver. They are cut out of the programs into kernels of their own, whose results join the
parameters that an engine sees; `hoisted.py` evaluates them, and carries gradients back through them.

Where forcings are constant in each interval, what follows from forcings as well, as potential evaporation and the share of
snow do, is cut out in the same way and joins the forcings; `held.py` evaluates that.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
# Terms of forcings are kept for each interval of each member: only those of up to this many items.
HELD = 64


def hoist(system: System) -> System:
    """`system` with all costly terms of parameters and geometry cut out of its kernels."""
    first_p, first_f = system.n_states, system.n_states + system.n_parameters
    first_c = first_f + system.n_forcings
    base = first_c + len(system.constants)

    def follows(row: Indices) -> bool:
        return bool(((row >= first_p) & ((row < first_f) | ((row >= first_c) & (row < base)))).all())

    # Gathers of prepared kernels count from the first parameter; constants follow the given parameters.
    cut = _Cut(
        "prepared", system, follows, lambda at: np.where(at < first_f, at - first_p, at - first_c + system.n_parameters)
    )
    if not cut.kernels:
        return system
    more = system.n_parameters + cut.added
    return replace(cut.rest(first_f), n_parameters=more, prepared=tuple(cut.kernels))


def hold(system: System) -> System:
    """`system`, whose forcings are constant in each interval, with what follows from them cut out of its kernels.

    Those are terms of forcings, parameters and geometry that are worth it and of few items; what they give joins the
    forcings. Slopes are asked for along what moves within an interval alone.
    """
    first_p, first_c = system.n_states, system.n_states + system.n_parameters + system.n_forcings
    base = first_c + len(system.constants)

    def follows(row: Indices) -> bool:
        return bool(((row >= first_p) & (row < base)).all())

    cut = _Cut("held", system, follows, lambda at: at - first_p, HELD)
    rest = cut.rest(first_c) if cut.kernels else system
    return replace(rest, n_forcings=system.n_forcings + cut.added, held=tuple(cut.kernels), still=True)


class _Cut:
    """Costly terms of what `follows`, positions in the vector of values, cut out of all kernels.

    Attributes:
        kernels: what computes the terms; their gathers are `moved` from positions in that vector. added: how many there are.
    """

    def __init__(
        self,
        name: str,
        system: System,
        follows: Callable[[Indices], bool],
        moved: Callable[[Indices], Indices],
        few: int | None = None,
    ) -> None:
        """With `few`, terms of more items are left, and so are those that are hardly more than reading them."""
        self.name, self.system, self.follows, self.moved, self.few = name, system, follows, moved, few
        self.kernels, self.added = list[Kernel](), 0
        self.assigning = [stage for stage in system.stages if isinstance(stage, Kernel)]
        self.pieces = [(kernel, *self._cut(kernel)) for kernel in (*self.assigning, *system.kernels)]
        # Guards are looked at once a step, and have no gradient that would go back through what is cut out.
        self.pieces += [(guard.kernel, guard.kernel.program, []) for guard in system.guards]

    def _cut(self, kernel: Kernel) -> tuple[Program, list[Indices]]:
        """The rest of the program, and the rows its new inputs gather, counted from the first new value."""
        names = kernel.program.inputs
        fixed = {name for name, row in zip(names, kernel.gather, strict=True) if self.follows(row)}
        program = _with_reciprocals(kernel.program, fixed)
        chosen = _frontier(program, fixed, cheap=self.few is not None)
        if not chosen:
            return kernel.program, []
        inner, outer = _split(program, chosen, self.name)
        rows = np.array([kernel.gather[names.index(name)] for name in inner.inputs])
        # Items that read the same values share them: one for a parameter that does not vary in space.
        unique, place = np.unique(rows, axis=1, return_inverse=True)
        place = place.reshape(-1)
        items = unique.shape[1]
        if self.few is not None and items > self.few:
            return kernel.program, []
        scatter, new = [], []
        for output in inner.outputs:
            at = self.added + np.arange(items)
            scatter.append(Scatter(output, at, np.ones(items)))
            new.append(at[place])
            self.added += items
        self.kernels.append(Kernel(inner, self.moved(unique), tuple(scatter)))
        return outer, new

    def rest(self, first: int) -> System:
        """The system without these terms, which come before the position `first` of the vector of values."""
        system, added = self.system, self.added

        def shifted(rows: Indices) -> Indices:
            return np.where(rows >= first, rows + added, rows)

        kernels = []
        for i, (kernel, program, new) in enumerate(self.pieces):
            old = dict(zip(kernel.program.inputs, kernel.gather, strict=True))
            place = dict(zip([n for n in program.inputs if n not in old], new, strict=True))
            rows = [shifted(old[n]) if n in old else first + place[n] for n in program.inputs]
            items = kernel.gather.shape[1]
            scatter = kernel.scatter
            if i < len(self.assigning):
                scatter = tuple(replace(s, target=shifted(s.target)) for s in scatter)
            sums = None if kernel.sums is None else shifted(kernel.sums)
            kernels.append(Kernel(program, np.array(rows, np.int64).reshape(len(rows), items), scatter, sums))
        count, adding = len(self.assigning), len(self.assigning) + len(system.kernels)
        changed = iter(kernels[:count])

        def stage_of(stage: Assigning) -> Assigning:
            if isinstance(stage, NetworkStage):  # what it computes moves, and its weights come before what is cut out
                return replace(stage, features=shifted(stage.features), outputs=shifted(stage.outputs))
            return next(changed)

        return replace(
            system,
            n_values=system.n_values + added,
            stages=tuple(map(stage_of, system.stages)),
            kernels=tuple(kernels[count:adding]),
            guards=tuple(replace(g, kernel=k) for g, k in zip(system.guards, kernels[adding:], strict=True)),
            controls=tuple((state, at + added if at >= 0 else at, size) for state, at, size in system.controls),
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


def _frontier(program: Program, fixed: set[str], cheap: bool = False) -> list[int]:
    """Nodes that depend on `fixed` inputs alone, cost something, and are used by what does not.

    With `cheap`, two operations one after the other are worth it as well.
    """
    nodes, alone, costly = program.nodes, _alone(program, fixed), [False] * len(program.nodes)
    for i, node in enumerate(nodes):
        costly[i] = node.op in COSTLY or any(costly[a] or (cheap and nodes[a].args) for a in node.args)
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


def _split(program: Program, chosen: Sequence[int], name: str) -> tuple[Program, Program]:
    """What computes the chosen nodes, and the rest, which takes them as inputs."""
    inner = Program(program.name, program.nodes, {f"{name}.{k}": i for k, i in enumerate(chosen)})
    names = {i: f"{name}.{k}" for k, i in enumerate(chosen)}
    nodes = [Node("input", name=names[i]) if i in names else n for i, n in enumerate(program.nodes)]

    def finished(program: Program) -> Program:
        builder = Builder(program.name)
        builder.nodes = list(program.nodes)
        return builder.finish(program.outputs)

    return finished(inner), finished(Program(program.name, tuple(nodes), program.outputs))
