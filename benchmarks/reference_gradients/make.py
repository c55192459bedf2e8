"""Makes the reference gradients in two independent ways, and writes or checks the files beside this one.

    python make.py                  all problems; some minutes
    python make.py celia heat       some of them
    python make.py --check          compares the files with both ways instead of writing them

The numbers written are those of the standalone way (`radau.py` with `standalone.py`, or `exact.py`);
pydiffgeo at its tightest is the other way. Both must agree, entry by entry.
"""

from __future__ import annotations

import argparse
import json
import re
import textwrap
import time
from pathlib import Path
from typing import Any

import exact
import layers
import numpy as np
import standalone
from problems import PROBLEMS
from statement import Problem, differences

HERE = Path(__file__).resolve().parent
PROMISE = 1e-8
# Tolerances of the standalone error estimate: the first gives the numbers, the second how far they have converged.
TOLERANCES = (1e-9, 1e-7)
# A hundred cells and 630 inputs take minutes; the smallest species of POLLU are lost in round-off below 1e-8.
# What turns at kinks is told by smaller steps; water amounts of a thousand cubic metres have no more digits.
OTHER = {
    "aquifer": (1e-7, 1e-5),
    "river": (1e-7, 1e-5),
    "hbv": (1e-11, 1e-9),
    "gr4j": (1e-11, 1e-9),
    "van_genuchten": (1e-7, 1e-6),
    "pollu": (1e-8, 1e-6),
}
# pydiffgeo's other way: its tightest tolerances, absolute ones by the size of the states.
TIGHT: dict[str, Any] = {"engine": "julia", "rtol": 1e-12, "atol": 1e-15, "sensitivity": "adjoint"}
OWN: dict[str, dict[str, Any]] = {
    "robertson": {"atol": 1e-16},
    "pollu": {"atol": 1e-18},
    # Derivatives to the diffusivity of one cell magnify errors of an adjoint: 2e-9 at this tolerance.
    "heat": {"sensitivity": "forward"},
    # Steps are not placed at kinks of an adjoint: 4e-8.
    "hbv": {"sensitivity": "forward", "rtol": 1e-11, "atol": 1e-13},
    "gr4j": {"sensitivity": "forward", "rtol": 1e-11, "atol": 1e-13},
}
DIGITS = 15


def settings(name: str) -> dict[str, Any]:
    return TIGHT | OWN.get(name, {})


def compare(problem: Problem, found: Any, reference: Any) -> dict[str, dict[str, float]]:
    """Output -> relative difference of its value and, by group of inputs, of its derivatives."""
    return {
        k: {"value": abs(found[0][k] / value - 1), **differences(problem, found[1][k], reference[1][k])}
        for k, value in reference[0].items()
    }


def worst(table: dict[str, dict[str, float]], gradients: bool = True) -> float:
    return max(v for row in table.values() for k, v in row.items() if k != "value" or not gradients)


def standalone_way(name: str, problem: Problem, tolerance: float) -> Any:
    return exact.solve(name, problem) if name in exact.EXACT else standalone.solve(name, problem, tolerance)


def rounded(value: Any) -> Any:
    return [rounded(v) for v in value] if np.ndim(value) else float(f"{value:.{DIGITS}g}")


def shaped(problem: Problem, name: str, derivatives: Any) -> Any:
    """A number for a number, a list for a list, rows for rows."""
    return rounded(np.reshape(derivatives, problem.inputs[name].array.shape))


def document(name: str, problem: Problem, reference: Any, agreement: Any, converged: Any) -> dict[str, Any]:
    values, gradients = reference
    how = "Radau IIA of order nine, complex-step derivatives, differentiated step by step; NumPy"
    if name in exact.EXACT:
        how = "matrix exponentials and their derivatives in forty digits; mpmath"
    other = ", ".join(f"{k} {v}" for k, v in settings(name).items())
    obtained = {
        "numbers": how,
        "second_way": f"pydiffgeo ({other})",
        "agreement": {k: {g: float(f"{v:.1e}") for g, v in row.items()} for k, row in agreement.items()},
        "agreement_means": "largest difference in a group of inputs over the group's largest entry; value: relative",
    }
    if converged:
        obtained["change_from_a_coarser_tolerance"] = float(f"{worst(converged, gradients=False):.1e}")
    if problem.groups:
        obtained["groups"] = {k: list(v) for k, v in problem.groups.items()}
        obtained["groups_mean"] = "compared together; in a group of parameters each times its parameter's value"
    return {
        "problem": name,
        "title": problem.title,
        "source": problem.source,
        "equations": list(problem.equations),
        "time_unit": problem.time_unit,
        "times": list(problem.times),
        "constants": problem.constants,
        "inputs": {k: {"meaning": v.meaning, "unit": v.unit, "value": v.value} for k, v in problem.inputs.items()},
        "outputs": {
            out: {
                "statement": statement,
                "value": rounded(values[out]),
                "derivatives": {k: shaped(problem, k, gradients[out][k]) for k in problem.inputs},
            }
            for out, statement in problem.outputs.items()
        },
        "obtained": obtained,
    }


def text(content: dict[str, Any]) -> str:
    """JSON with lists of numbers in lines rather than in columns."""

    def gather(match: re.Match[str]) -> str:
        body = ", ".join(part.strip() for part in match[2].split(","))
        if len(body) < 100:
            return f"{match[1]}[{body}]"
        indent = " " * (len(match[1]) - len(match[1].lstrip()) + 2)
        return (
            f"{match[1]}[\n{textwrap.fill(body, 116, initial_indent=indent, subsequent_indent=indent)}\n{indent[2:]}]"
        )

    return (
        re.sub(r"(?m)^( *(?:\"[^\"]*\": )?)\[\s*([-\d][^\"\[\]]*?)\s*\]", gather, json.dumps(content, indent=2)) + "\n"
    )


def load(name: str) -> tuple[dict[str, float], dict[str, dict[str, Any]]]:
    """Values and derivatives of a file, as both ways return them."""
    outputs = json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))["outputs"]
    return {k: v["value"] for k, v in outputs.items()}, {
        k: {name: np.ravel(d) for name, d in v["derivatives"].items()} for k, v in outputs.items()
    }


def write_table() -> None:
    """The table of problems in README.md, from the files."""
    rows = [
        "| file | problem | outputs | derivatives of each | values agree to | derivatives agree to |",
        "|---|---|---|---|---|---|",
    ]
    for name, problem in PROBLEMS.items():
        path = HERE / f"{name}.json"
        if path.exists():
            table = json.loads(path.read_text(encoding="utf-8"))["obtained"]["agreement"]
            value = max(row["value"] for row in table.values())
            rows.append(
                f"| `{name}.json` | {problem.title} | {len(problem.outputs)} | {len(problem.vector())} "
                f"| {value:.0e} | {worst(table):.0e} |"
            )
    readme = HERE / "README.md"
    body = readme.read_text(encoding="utf-8")
    start, end = "<!-- table -->\n", "<!-- end of table -->"
    head, tail = body.split(start)[0], body.split(end)[1]
    readme.write_text(head + start + "\n".join(rows) + "\n" + end + tail, encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=[*PROBLEMS], metavar="problem", help=f"of {', '.join(PROBLEMS)}")
    parser.add_argument("--check", action="store_true", help="compare with the files; write nothing")
    arguments = parser.parse_args()
    bad = 0
    for name in arguments.names:
        problem, started = PROBLEMS[name], time.perf_counter()
        tolerance, coarser = OTHER.get(name, TOLERANCES)
        reference = standalone_way(name, problem, tolerance)
        ours = layers.solve(name, problem, **settings(name))
        agreement = compare(problem, ours, reference)
        results = {"the two ways": agreement}
        if arguments.check:
            filed = load(name)
            results["standalone and file"] = compare(problem, reference, filed)
            results["pydiffgeo and file"] = compare(problem, ours, filed)
        else:
            converged = None
            if name not in exact.EXACT:
                converged = compare(problem, standalone_way(name, problem, coarser), reference)
                results["standalone, two tolerances"] = converged
            content = document(name, problem, reference, agreement, converged)
            (HERE / f"{name}.json").write_text(text(content), encoding="utf-8")
        print(f"{name}: {time.perf_counter() - started:.0f} s")
        for what, table in results.items():
            bad += worst(table, gradients=False) > PROMISE
            for out, row in table.items():
                print(f"  {what}, {out}: " + ", ".join(f"{k} {v:.0e}" for k, v in row.items()), flush=True)
    if not arguments.check:
        write_table()
    print(f"{bad} comparisons above {PROMISE:.0e}" if bad else f"all within {PROMISE:.0e}")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
