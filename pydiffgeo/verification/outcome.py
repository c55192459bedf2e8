"""A problem on an engine: what came of it."""

from __future__ import annotations

from dataclasses import dataclass

from .problem import Outcome, Problem


@dataclass(frozen=True, eq=False)
class Result:
    """A problem on an engine: an outcome, or why there is none."""

    problem: Problem
    engine: str
    seconds: float
    outcome: Outcome | None = None
    skipped: str = ""
    failure: str = ""

    @property
    def verdict(self) -> str:
        """ "passed", "FAILED" or "skipped"."""
        if self.skipped:
            return "skipped"
        return "passed" if self.outcome is not None and self.outcome.passed else "FAILED"

    @property
    def line(self) -> str:
        """What is printed of it: the comparison closest to its tolerance, the balance, orders and time."""
        start = f"{self.verdict:8}{self.problem.name:20}{self.engine:10}"
        if self.outcome is None:
            return start + (self.skipped or self.failure)
        worst, balance = self.outcome.worst, self.outcome.balance
        orders = ", ".join(f"{s.kind} {s.observed:.2f} ({s.expected:g})" for s in self.outcome.convergence)
        return (
            f"{start}error {worst.error:8.1e} of {worst.tolerance:7.1e}   "
            f"balance {f'{balance.error:7.1e}' if balance else '   none'}   {self.seconds:6.1f} s"
            + (f"   order in {orders}" if orders else "")
        )
