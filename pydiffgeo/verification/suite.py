"""Runs problems on engines, prints a line for each, and writes the report."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from ..engines.registry import choose_engine, julia_missing
from ..errors import InputError, PydiffgeoError
from .catalogue import PROBLEMS
from .outcome import Result
from .pages import write_report
from .problem import Bench, DataNotFoundError, Problem


def chosen_engines(name: str) -> list[str]:
    """Names of the engines to use: "all" takes those that are there, "auto" what `solve` would take."""
    if name == "all":
        return ["sundials", *(["julia"] if julia_missing() is None else [])]
    return [choose_engine(name)[0].name]


def chosen_problems(names: Sequence[str]) -> list[Problem]:
    """Problems by name, all of them where none is named.

    Raises:
        InputError: there is no such problem.
    """
    if unknown := sorted(set(names) - set(PROBLEMS)):
        raise InputError(f"no problem {', '.join(map(repr, unknown))}; there are {', '.join(PROBLEMS)}")
    return [PROBLEMS[name] for name in names] if names else [*PROBLEMS.values()]


def run_problem(problem: Problem, bench: Bench) -> Result:
    """Solves one problem; errors of the package are a failed result, anything else is raised."""
    started = time.perf_counter()
    outcome, skipped, failure = None, "", ""
    try:
        outcome = problem.run(bench)
    except DataNotFoundError as reason:
        skipped = str(reason)
    except PydiffgeoError as error:
        failure = f"{type(error).__name__}: {error}"
    return Result(problem, bench.engine, time.perf_counter() - started, outcome, skipped, failure)


def verify(
    engine: str = "auto",
    problems: Sequence[str] = (),
    output: str = "verification",
    *,
    small: bool = False,
    data: str | None = None,
) -> int:
    """Runs the suite and writes `report.html` and `report.json` into `output`; 1 where anything failed."""
    chosen = chosen_problems(problems)
    engines = chosen_engines(engine)
    folder = None if data is None else Path(data)
    results: list[Result] = []
    for problem in chosen:
        for name in engines:
            results.append(run_problem(problem, Bench(name, small, folder)))
            print(results[-1].line, flush=True)
    counts = {v: sum(r.verdict == v for r in results) for v in ("passed", "FAILED", "skipped")}
    path = write_report(results, Path(output), small)
    counted = ", ".join(f"{n} {v}" for v, n in counts.items())
    print(f"{counted} in {sum(r.seconds for r in results):.0f} s; report: {path}")
    return 1 if counts["FAILED"] else 0
