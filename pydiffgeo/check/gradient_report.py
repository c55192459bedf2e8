"""What a check of gradients found, as numbers, as a table, and in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal

Outcome = Literal["agrees", "no effect", "unresolved", "differs", "failed"]


@dataclass(frozen=True)
class Run:
    """The solve at one tolerance.

    Attributes:
        ok: everything that was tried succeeded, disturbed inputs included.
        status: the solver's sentence; what failed, and how, where something did.
        loss: its value; None where the solve failed.
        balance: largest closure error of the conserved quantity, in the unit of storage; None where the model
            states no balance, or the solve failed.
        seconds: wall time of the forward solve, the backward pass, forward mode over all groups, and all differences.
    """

    rtol: float
    atol: float
    ok: bool
    status: str
    loss: float | None
    balance: float | None
    seconds: Mapping[str, float]


@dataclass(frozen=True)
class Derivative:
    """The derivative of the loss along the direction of one group, found in three ways at one tolerance.

    Attributes:
        adjoint, forward, differences: None where it could not be found; `note` says why.
        uncertainty: of `differences`, by its own account.
        scale: the largest of the three and of the contributions of single entries; what errors are relative to.
        sides: slopes to both sides, where differences find a kink.
    """

    rtol: float
    adjoint: float | None
    forward: float | None
    differences: float | None
    uncertainty: float | None
    scale: float
    sides: tuple[float, float] | None = None
    note: str = ""


@dataclass(frozen=True)
class GroupCheck:
    """What was found for one group of inputs.

    Attributes:
        name: such as "parameter K_s" or "initial theta".
        entries: how many numbers it has; `moved` of them are in the direction, the others lie on a bound.
        one_sided: all lie on a bound, and differences are to one side.
        derivatives: one per tolerance, the loosest first.
        outcome: one word; "unresolved" says neither right nor wrong.
        verdict: a sentence.
        differing: which of "adjoint" and "forward" is off.
    """

    name: str
    entries: int
    moved: int
    one_sided: bool
    derivatives: tuple[Derivative, ...]
    outcome: Outcome
    verdict: str
    differing: tuple[str, ...] = ()

    def change(self, rtol: float, mode: Literal["adjoint", "forward"]) -> float | None:
        """How far the gradient at `rtol` is from that at the tightest tolerance, relative to the scale there."""
        slopes = {d.rtol: (slope, d.scale) for d in self.derivatives if (slope := getattr(d, mode)) is not None}
        if rtol not in slopes:
            return None
        tightest, scale = [*slopes.values()][-1]
        return abs(slopes[rtol][0] - tightest) / scale if scale else 0.0


@dataclass(frozen=True)
class GradientReport:
    """What `check_gradients` found. `print(report)` shows it as a table.

    Attributes:
        model, engine, solver, sensitivity, loss: what was checked, in words.
        seed: of the directions and of the default loss.
        runs: one per tolerance, the loosest first.
        groups: one per group of inputs.
    """

    model: str
    engine: str
    solver: str
    sensitivity: str
    loss: str
    seed: int
    runs: tuple[Run, ...]
    groups: tuple[GroupCheck, ...]

    @property
    def ok(self) -> bool:
        """At least one group agrees, none differs, and nothing failed."""
        outcomes = {g.outcome for g in self.groups}
        return "agrees" in outcomes and not outcomes & {"differs", "failed"} and all(r.ok for r in self.runs)

    @property
    def verdict(self) -> str:
        """The report in one sentence."""
        outcomes = ("agrees", "differs", "unresolved", "no effect")
        named = {outcome: [g.name for g in self.groups if g.outcome == outcome] for outcome in outcomes}
        failed = [f"rtol={r.rtol:.0e}: {r.status}" for r in self.runs if not r.ok]
        parts = [f"WRONG OR TOO LOOSE: the gradient to {', '.join(named['differs'])}"] if named["differs"] else []
        parts += [f"FAILED at {'; at '.join(failed)}"] if failed else []
        if self.ok:
            parts = [f"OK: gradients agree for {len(named['agrees'])} of {len(self.groups)} groups"]
        elif not parts:
            parts = ["NOTHING SHOWN: differences resolve the effect of no group"]
        parts += [f"not resolved: {', '.join(named['unresolved'])}"] if named["unresolved"] else []
        parts += [f"without effect: {', '.join(named['no effect'])}"] if named["no effect"] else []
        return "; ".join(parts)

    def to_dict(self) -> dict[str, object]:
        """Everything as plain containers, text and finite numbers, that JSON can hold."""
        runs = [asdict(r) | {"seconds": dict(r.seconds)} for r in self.runs]
        return asdict(self) | {"runs": runs, "ok": self.ok, "verdict": self.verdict}

    def __str__(self) -> str:
        heads = [*GROUP_HEADS, *(f"{r.rtol:.0e}" for r in self.runs[:-1]), "verdict"]
        lines = [
            f"Gradients of {self.model} by {self.engine}, {self.solver}, {self.sensitivity}; loss: {self.loss}",
            *_table(RUN_HEADS, [_run(r) for r in self.runs]),
            f"Derivatives along a random direction in each group, at rtol={self.runs[-1].rtol:.0e}, and their changes "
            "(adjoint/forward) at looser ones:",
            *_table(heads, [self._group(g) for g in self.groups]),
            self.verdict,
        ]
        return "\n".join(lines)

    def _group(self, g: GroupCheck) -> list[str]:
        d = g.derivatives[-1]
        moved = f"{g.entries}" if g.moved == g.entries else f"{g.moved}/{g.entries}"
        looser = [r.rtol for r in self.runs[:-1]]
        changes = ["/".join(_number(g.change(r, mode), ".0e") for mode in ("adjoint", "forward")) for r in looser]
        values = [_number(value, ".6e") for value in (d.adjoint, d.forward, d.differences)]
        return [g.name, moved, *values, _number(d.uncertainty, ".0e"), *changes, g.verdict]


RUN_HEADS = ["rtol", "loss", "balance", "solve", "adjoint", "forward", "differences", "status"]
GROUP_HEADS = ["group", "entries", "adjoint", "forward", "differences", "+-"]


def _run(r: Run) -> list[str]:
    times = [f"{r.seconds[k]:.3g} s" if k in r.seconds else "-" for k in ("solve", "adjoint", "forward", "differences")]
    return [f"{r.rtol:.0e}", _number(r.loss, ".9g"), _number(r.balance, ".0e"), *times, r.status]


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _table(heads: list[str], rows: list[list[str]]) -> list[str]:
    """Lines with aligned columns: the first and the last to the left, numbers to the right."""
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]

    def line(row: list[str]) -> str:
        first, *numbers, last = row
        inner = [cell.rjust(width) for cell, width in zip(numbers, widths[1:-1], strict=True)]
        return "  " + "  ".join([first.ljust(widths[0]), *inner, last])

    return [line(row) for row in [heads, *rows]]
