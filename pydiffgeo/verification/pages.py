"""The report: one self-contained HTML page, and all numbers as JSON."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from html import escape
from pathlib import Path

import numpy as np
import torch

from .. import __version__
from ..arrays import Json
from ..html import image, page, table
from .convergence import Convergence
from .outcome import Result
from .problem import Check, Outcome

STYLE = """
body { max-width: 1250px }
.passed { color: #1a7f37 } .FAILED { color: #fff; background: #c62828; font-weight: bold } .skipped { color: #8a6d00 }
"""


def write_report(results: Sequence[Result], folder: Path, small: bool) -> Path:
    """Writes both files; returns the path of the page."""
    folder.mkdir(parents=True, exist_ok=True)
    about = {
        "pydiffgeo": __version__,
        "form": "small" if small else "full",
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, "
        f"NumPy {np.__version__}, PyTorch {torch.__version__}",
    }
    numbers = {"about": about, "results": [_numbers(r) for r in results]}
    (folder / "report.json").write_text(json.dumps(numbers, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    path = folder / "report.html"
    path.write_text(_page(results, about), encoding="utf-8")
    return path


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _numbers(result: Result) -> dict[str, Json]:
    numbers: dict[str, Json] = {
        "problem": result.problem.name,
        "engine": result.engine,
        "verdict": result.verdict,
        "seconds": round(result.seconds, 3),
        "message": result.skipped or result.failure,
    }
    if result.outcome is not None:
        numbers["checks"] = [_check_numbers(check) for check in result.outcome.checks]
        numbers["convergence"] = [_study_numbers(study) for study in result.outcome.convergence]
        if balance := result.outcome.balance:
            numbers["balance"] = {"error": _finite(balance.error), "bound": balance.bound, "passed": balance.passed}
    return numbers


def _check_numbers(check: Check) -> dict[str, Json]:
    return {
        "what": check.what,
        "unit": check.unit,
        "at": list(check.at),
        "computed": [_finite(v) for v in check.computed.tolist()],
        "expected": check.expected.tolist(),
        "error": _finite(check.error),
        "tolerance": check.tolerance,
        "relative": check.scale is not None,
        "source": check.source,
        "passed": check.passed,
    }


def _study_numbers(study: Convergence) -> dict[str, Json]:
    return {
        "kind": study.kind,
        "sizes": list(study.sizes),
        "errors": [_finite(e) for e in study.errors],
        "unit": study.unit,
        "observed": _finite(study.observed),
        "expected": study.expected,
        "allowed": [study.low, study.high],
        "within": study.within,
        "passed": study.passed,
    }


def _page(results: Sequence[Result], about: Mapping[str, str]) -> str:
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(result.problem.name, []).append(result)
    failed = sum(r.verdict == "FAILED" for r in results)
    made = escape("; ".join(f"{k} {v}" for k, v in about.items()))
    lines = [
        "<h1>Verification of pydiffgeo</h1>",
        f"<p>{len(groups)} problems, {len(results)} runs, {failed} failed. {made}.</p>",
        "<p class=note>Error and tolerance belong to the comparison closest to its tolerance. Balance is the closure error "
        "as a share of what passed through. Orders: observed (expected), in space against cell size, in time against the "
        "relative tolerance of the solver.</p>",
        _summary(results),
        *(_section(group) for group in groups.values()),
    ]
    return page("pydiffgeo verification", "\n".join(lines), STYLE)


def _verdict(word: str) -> str:
    return f"<span class={word}>{word}</span>"


def _marked(passed: bool, text: str) -> str:
    return f"<span class={'passed' if passed else 'FAILED'}>{text}</span>"


NOTHING = "&ndash;"
SUMMARY = (
    "problem",
    "engine",
    "error",
    "tolerance",
    "order in space",
    "order in time",
    "balance",
    "seconds",
    "verdict",
)


def _summary(results: Sequence[Result]) -> str:
    rows = []
    for r in results:
        name, engine = f"<a href='#{escape(r.problem.name)}'>{escape(r.problem.title)}</a>", escape(r.engine)
        numbers = [NOTHING] * 5 if r.outcome is None else _summed_up(r.outcome)
        rows.append([name, engine, *numbers, f"{r.seconds:.1f}", _verdict(r.verdict)])
    return table(SUMMARY, rows, left=2)


def _summed_up(outcome: Outcome) -> list[str]:
    """Error and tolerance, orders in space and time, and the balance."""

    def orders(kind: str) -> str:
        studies = [s for s in outcome.convergence if s.kind == kind]
        return ", ".join(f"{s.observed:.2f} ({s.expected:g})" for s in studies) or NOTHING

    worst, balance = outcome.worst, outcome.balance
    unit = " (share)" if worst.scale else escape(f" {worst.unit}".replace(" 1", ""))
    closure = f"{balance.error:.1e}" if balance else NOTHING
    return [f"{worst.error:.1e}", f"{worst.tolerance:.1e}{unit}", orders("space"), orders("time"), closure]


def _section(group: Sequence[Result]) -> str:
    problem = group[0].problem
    quantities = [[escape(q.name), escape(q.value), escape(q.unit)] for q in problem.parameters]
    blocks = [
        f"<h2 id='{escape(problem.name)}'>{escape(problem.title)}</h2>",
        f"<p><b>Source.</b> {escape(problem.source)}.<br><b>Compared.</b> {escape(problem.compared)}.<br>"
        f"<b>Tolerance.</b> {escape(problem.reason)}. A change of <i>{escape(problem.sensitive)}</i> by one percent makes "
        "this problem fail.</p>",
        table(("given", "value", "unit"), quantities),
    ]
    outcomes = {r.engine: r.outcome for r in group if r.outcome is not None}
    for r in group:
        if r.outcome is None:
            blocks.append(f"<p>{_verdict(r.verdict)} {escape(r.engine)}: {escape(r.skipped or r.failure)}</p>")
    if outcomes:
        if any(o.panels for o in outcomes.values()):
            from .figures import draw

            blocks.append(image(draw(problem.title, outcomes), "image/png", problem.title))
        blocks += _comparisons(outcomes)
    return "\n".join(blocks)


def _comparisons(outcomes: Mapping[str, Outcome]) -> list[str]:
    """One table per comparison, a column for each engine; then the studies."""
    tables = []
    engines, first = [escape(e) for e in outcomes], next(iter(outcomes.values()))
    for k, check in enumerate(first.checks):
        same: list[Check] = [o.checks[k] for o in outcomes.values()]
        rows = [
            [escape(at), f"{check.expected[i]:.9g}", *(f"{c.computed[i]:.9g}" for c in same)]
            for i, at in enumerate(check.at)
        ]
        kind = "of the largest expected number" if check.scale else check.unit.replace("1", "")
        errors = [_marked(c.passed, f"{c.error:.2e}") for c in same]
        rows.append([f"largest error (allowed {check.tolerance:.1e} {escape(kind)})", "", *errors])
        caption = f"<b>{escape(check.what)}</b> ({escape(check.unit)}); expected: {escape(check.source)}"
        tables.append(table(("at", "expected", *engines), rows, caption=caption))
    rows = [_study_row(engine, study) for engine, outcome in outcomes.items() for study in outcome.convergence]
    if rows:
        head = ("study", "size or tolerance: error", "order", "expected (allowed)", "reason")
        tables.append(table(head, rows, left=2, caption="<b>convergence</b>"))
    return tables


def _study_row(engine: str, study: Convergence) -> list[str]:
    errors = "; ".join(f"{size:.3g}: {error:.2e}" for size, error in zip(study.sizes, study.errors, strict=True))
    below = f", or errors below {study.within:g} {study.unit} times it" if study.within else ""
    allowed = f"{study.expected:g} ({study.low:g} to {study.high:g}{below})"
    order = _marked(study.passed, f"{study.observed:.2f}")
    return [escape(f"{study.kind}, {engine}"), errors, order, allowed, escape(study.reason)]
