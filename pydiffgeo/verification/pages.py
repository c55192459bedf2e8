"""The report: one self-contained HTML page, and all numbers as JSON."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import __version__
from ..html import image, page, table
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


def _numbers(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = {
        "problem": result.problem.name,
        "engine": result.engine,
        "verdict": result.verdict,
        "seconds": round(result.seconds, 3),
        "message": result.skipped or result.failure,
    }
    if result.outcome is not None:
        found["checks"] = [
            {
                "what": c.what, "unit": c.unit, "at": list(c.at), "computed": [_finite(v) for v in c.computed.tolist()],
                "expected": c.expected.tolist(), "error": _finite(c.error), "tolerance": c.tolerance, "relative": c.scale is not None,
                "source": c.source, "passed": c.passed,
            }
            for c in result.outcome.checks
        ]  # fmt: skip
        found["convergence"] = [
            {"kind": s.kind, "sizes": list(s.sizes), "errors": [_finite(e) for e in s.errors], "unit": s.unit,
             "observed": _finite(s.observed), "expected": s.expected, "allowed": [s.low, s.high], "within": s.within, "passed": s.passed}
            for s in result.outcome.convergence
        ]  # fmt: skip
        if balance := result.outcome.balance:
            found["balance"] = {"error": _finite(balance.error), "bound": balance.bound, "passed": balance.passed}
    return found


def _page(results: Sequence[Result], about: Mapping[str, str]) -> str:
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(result.problem.name, []).append(result)
    failed = sum(r.verdict == "FAILED" for r in results)
    lines = [
        "<h1>Verification of pydiffgeo</h1>",
        f"<p>{len(groups)} problems, {len(results)} runs, {failed} failed. "
        + escape("; ".join(f"{k} {v}" for k, v in about.items())) + ".</p>",
        "<p class=note>Error and tolerance belong to the comparison closest to its tolerance. Balance is the closure error "
        "as a share of what passed through. Orders: observed (expected), in space against cell size, in time against the "
        "relative tolerance of the solver.</p>",
        _summary(results),
        *(_section(group) for group in groups.values()),
    ]  # fmt: skip
    return page("pydiffgeo verification", "\n".join(lines), STYLE)


def _verdict(word: str) -> str:
    return f"<span class={word}>{word}</span>"


def _summary(results: Sequence[Result]) -> str:
    rows = []
    for r in results:
        name, engine = f"<a href='#{escape(r.problem.name)}'>{escape(r.problem.title)}</a>", escape(r.engine)
        if r.outcome is None:
            rows.append([name, engine, *["&ndash;"] * 5, f"{r.seconds:.1f}", _verdict(r.verdict)])
            continue
        worst, balance = r.outcome.worst, r.outcome.balance
        unit = " (share)" if worst.scale else escape(f" {worst.unit}".replace(" 1", ""))
        orders = {k: ", ".join(f"{s.observed:.2f} ({s.expected:g})" for s in r.outcome.convergence if s.kind == k) or "&ndash;"
                  for k in ("space", "time")}  # fmt: skip
        rows.append([name, engine, f"{worst.error:.1e}", f"{worst.tolerance:.1e}{unit}", orders["space"], orders["time"],
                     f"{balance.error:.1e}" if balance else "&ndash;", f"{r.seconds:.1f}", _verdict(r.verdict)])  # fmt: skip
    head = (
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
    return table(head, rows, left=2)


def _section(group: Sequence[Result]) -> str:
    problem = group[0].problem
    parts = [
        f"<h2 id='{escape(problem.name)}'>{escape(problem.title)}</h2>",
        f"<p><b>Source.</b> {escape(problem.source)}.<br><b>Compared.</b> {escape(problem.compared)}.<br>"
        f"<b>Tolerance.</b> {escape(problem.reason)}. A change of <i>{escape(problem.sensitive)}</i> by one percent makes "
        "this problem fail.</p>",
        table(
            ("given", "value", "unit"), [[escape(q.name), escape(q.value), escape(q.unit)] for q in problem.parameters]
        ),
    ]
    outcomes = {r.engine: r.outcome for r in group if r.outcome is not None}
    for r in group:
        if r.outcome is None:
            parts.append(f"<p>{_verdict(r.verdict)} {escape(r.engine)}: {escape(r.skipped or r.failure)}</p>")
    if outcomes:
        if any(o.panels for o in outcomes.values()):
            from .figures import draw

            parts.append(image(draw(problem.title, outcomes), "image/png", problem.title))
        parts += _comparisons(outcomes)
    return "\n".join(parts)


def _comparisons(outcomes: Mapping[str, Outcome]) -> list[str]:
    """One table per comparison, a column for each engine; then the studies."""
    parts = []
    engines, first = [escape(e) for e in outcomes], next(iter(outcomes.values()))
    for k, check in enumerate(first.checks):
        same: list[Check] = [o.checks[k] for o in outcomes.values()]
        rows = [
            [escape(at), f"{check.expected[i]:.9g}", *(f"{c.computed[i]:.9g}" for c in same)]
            for i, at in enumerate(check.at)
        ]
        kind = "of the largest expected number" if check.scale else check.unit.replace("1", "")
        rows.append([f"largest error (allowed {check.tolerance:.1e} {escape(kind)})", "",
                     *(f"<span class={'passed' if c.passed else 'FAILED'}>{c.error:.2e}</span>" for c in same)])  # fmt: skip
        caption = f"<b>{escape(check.what)}</b> ({escape(check.unit)}); expected: {escape(check.source)}"
        parts.append(table(("at", "expected", *engines), rows, caption=caption))
    rows = []
    for engine, outcome in outcomes.items():
        for s in outcome.convergence:
            word = "passed" if s.passed else "FAILED"
            rows.append([escape(f"{s.kind}, {engine}"), "; ".join(f"{a:.3g}: {e:.2e}" for a, e in zip(s.sizes, s.errors, strict=True)),
                         f"<span class={word}>{s.observed:.2f}</span>", f"{s.expected:g} ({s.low:g} to {s.high:g}{f', or errors below {s.within:g} {s.unit} times it' if s.within else ''})",
                         escape(s.reason)])  # fmt: skip
    if rows:
        head = ("study", "size or tolerance: error", "order", "expected (allowed)", "reason")
        parts.append(table(head, rows, left=2, caption="<b>convergence</b>"))
    return parts
