"""A function that is evaluated twice at the same inputs solves once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import numpy as np

from .base import Forward, Problem, Solver


@dataclass
class Solved:
    """Solves with what derivatives need, in the order in which they were asked for."""

    done: list[tuple[Solver, Problem, Forward]] = field(default_factory=list)
    again: int | None = None
    """Number of the next one when they are asked for again."""


_solved: ContextVar[Solved | None] = ContextVar("solved", default=None)


@contextmanager
def noting(solved: Solved) -> Iterator[None]:
    """Within, solves are noted; another time, those of the same order and inputs are taken as they are."""
    solved.again = 0 if solved.done else None
    token = _solved.set(solved)
    try:
        yield
    finally:
        _solved.reset(token)


def solved_once(engine: Solver, problem: Problem, solve: Callable[[], Forward]) -> Forward:
    """What was noted of this very problem, or `solve()`."""
    solved = _solved.get()
    if solved is None:
        return solve()
    if solved.again is not None and solved.again < len(solved.done):
        (before, known, result), solved.again = solved.done[solved.again], solved.again + 1
        if type(before) is type(engine) and before.name == engine.name and _same(known, problem):
            return result
    result = solve()
    if solved.again is None:
        solved.done.append((engine, problem, result))
    return result


def _same(one: Problem, other: Problem) -> bool:
    arrays = ("breaks", "y0", "p", "f")
    return (
        one.system is other.system
        and one.options == other.options
        and all(np.array_equal(getattr(one, k), getattr(other, k), equal_nan=True) for k in arrays)
    )
