"""Tables and the picture of the comparison."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from peers import PEERS

PACKAGES = (
    *("pydiffgeo", "torch", "numpy", "casadi", "juliacall", "diffrax", "lineax", "optimistix", "equinox"),
    *("jax", "jaxlib", "torchdiffeq", "scipy", "mf6adj"),
)
TARGETS = (1e-3, 1e-4, 1e-5)
Record = dict[str, Any]


def environment() -> Record:
    """Versions of everything, and the processor."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return {"versions": versions, "processor": _processor(), "system": platform.platform(aliased=True, terse=True)}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or "unknown"


def write(results: Record, folder: Path) -> None:
    """results.md and work_precision.png; without matplotlib, no picture."""
    (folder / "results.md").write_text("\n".join(_markdown(results)) + "\n")
    try:
        _picture(results, folder / "work_precision.png")
    except ImportError:
        print("matplotlib is not installed: no picture")


def _markdown(results: Record) -> list[str]:
    env = results["environment"]
    lines = ["# Gradients of stiff models: pydiffgeo and its peers", ""]
    lines += [f"{env['processor']}, one thread each; {', '.join(f'{k} {v}' for k, v in env['versions'].items())}.", ""]
    lines += [f"Total time {results['seconds'] / 60:.0f} min.", ""]
    lines += [
        "Error: the worst group of inputs, max |g - reference| / max |reference|. Seconds: loss and gradient, least of",
        "several, after compilation. Cold: compiling or building, and the first gradient. Memory: the peak above that",
        "after the imports, of all tolerances so far.",
        "",
    ]
    for case, rows in _by(results["records"], "case").items():
        title = next((r["title"] for r in rows if "title" in r), "")
        lines += [f"## {case}: {title}", "", _reference(results["references"].get(case, {})), "", *_equal(rows), ""]
        lines += ["| peer | rtol | error | worst group | seconds | cold | MiB | remark |", "|" + " --- |" * 8]
        lines += [_row(r) for r in rows] + [""]
    return lines


def _reference(note: Record) -> str:
    tight = ", ".join(f"{k} at {v:g}" for k, v in note.get("tolerances", {}).items())
    if not tight:
        return f"No reference: {'; '.join(note.get('notes', ['not computed']))}."
    told = f"Reference: {tight}"
    if "disagreement" in note:
        told += f"; the two differ by {note['disagreement']:.1e}"
    return "; ".join([told, *note.get("notes", [])]) + "."


def _row(r: Record) -> str:
    label, rtol = PEERS[r["peer"]].label, f"{r['rtol']:.0e}"
    if r["status"] == "not installed":
        return f"| {label} | | | | not installed | | | {r['note']} |"
    error, group = (f"{r['error']:.1e}", r["group"]) if "error" in r else ("", "")
    if "seconds" not in r:
        shown = {"cap": f"> {r['cap']:.0f}", "failed": "failed", "crashed": "crashed"}[r["status"]]
        return f"| {label} | {rtol} | | | {shown} | | | {r['note']} |"
    wrong = "wrong gradient" if r["status"] == "wrong" else ""
    other = f"loss off by {r['loss_error']:.1e}" if r.get("loss_error", 0.0) > 0.01 else ""
    off = f", within {r['forward_error']:.1e} m" if "forward_error" in r else ""
    alone = f"a solve alone {r['forward']:.3g} s{off}" if "forward" in r else ""
    remark = "; ".join(t for t in (wrong, other, alone, r["note"]) if t)
    cold = r["cold"] + (r["first"] if r["repeats"] > 0 else 0.0)
    return f"| {label} | {rtol} | {error} | {group} | {r['seconds']:.3g} | {cold:.1f} | {r['memory']:.0f} | {remark} |"


def _by(records: list[Record], key: str) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for r in records:
        found.setdefault(r[key], []).append(r)
    return found


def _points(rows: list[Record]) -> list[tuple[float, float]]:
    """(error, seconds) of the gradients that are right, loose to tight."""
    good = [r for r in sorted(rows, key=lambda r: -r["rtol"]) if r["status"] == "ok" and "error" in r]
    return [(max(r["error"], 1e-16), r["seconds"]) for r in good]


def seconds_at(points: list[tuple[float, float]], target: float) -> tuple[float, bool] | None:
    """Least seconds for an error of `target`, interpolated on logarithms; True where a faster run may exist.

    None where no tolerance tried was accurate enough.
    """
    found = [(s, True) for e, s in points if e <= target]
    for (e1, s1), (e2, s2) in pairwise(points):
        if (e1 - target) * (e2 - target) < 0:
            part = np.log(target / e1) / np.log(e2 / e1)
            found.append((float(np.exp(np.log(s1) + part * np.log(s2 / s1))), False))
    return min(found) if found else None


def _equal(rows: list[Record]) -> list[str]:
    lines = ["Seconds at equal error of the gradient; in brackets the ratio to pydiffgeo's Julia engine.", ""]
    lines += ["| peer |" + "".join(f" {t:.0e} |" for t in TARGETS), "| --- |" + " --- |" * len(TARGETS)]
    peers = _by(rows, "peer")
    ours = [seconds_at(_points(peers.get("julia", [])), t) for t in TARGETS]
    for peer, some in peers.items():
        cells = []
        for target, base in zip(TARGETS, ours, strict=True):
            at = seconds_at(_points(some), target)
            if at is None:
                cells.append(_why_not(some))
                continue
            ratio = f" ({at[0] / base[0]:.2g})" if base else ""
            cells.append(f"{'<= ' if at[1] else ''}{at[0]:.3g}{ratio}")
        lines.append(f"| {PEERS[peer].label} | " + " | ".join(cells) + " |")
    return lines


def _why_not(rows: list[Record]) -> str:
    states = [r["status"] for r in rows]
    if "not installed" in states:
        return "not installed"
    if "ok" in states and any("error" in r for r in rows):
        return "not reached"
    if "cap" in states:
        return f"> {max(r['cap'] for r in rows):.0f}"
    return "wrong" if "wrong" in states else "failed"


def _picture(results: Record, file: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    cases = _by(results["records"], "case")
    figure, axes = plt.subplots(1, len(cases), figsize=(5 * len(cases), 7), squeeze=False)
    colours = plt.get_cmap("tab20").colors
    families = [*dict.fromkeys(p.module for p in PEERS.values())]
    markers = dict(zip(families, "os^DvPX", strict=True))
    order = [*PEERS]
    for axis, (case, rows) in zip(axes[0], cases.items(), strict=True):
        for peer, some in _by(rows, "peer").items():
            points = _points(some)
            if points:
                error, seconds = zip(*points, strict=True)
                bold = 2.5 if PEERS[peer].module == "ours" else 1.0
                axis.loglog(
                    seconds,
                    error,
                    marker=markers[PEERS[peer].module],
                    lw=bold,
                    ms=5,
                    color=colours[order.index(peer) % 20],
                    label=PEERS[peer].label,
                )
        absent = [PEERS[k].label for k, some in _by(rows, "peer").items() if not _points(some)]
        if absent:
            text = "without a gradient that is right:\n" + "\n".join(absent)
            axis.annotate(text, (0, 0), (0, -36), "axes fraction", "offset points", fontsize=6.5, color="0.4", va="top")
        axis.set(title=case, xlabel="seconds for loss and gradient", ylabel="error of the gradient")
        axis.grid(alpha=0.3)
    handles: dict[str, Any] = {}
    for axis in axes[0]:
        handles |= {label: handle for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="lower center", ncol=4, fontsize=7)
    figure.tight_layout(rect=(0, 0.03 + 0.02 * (len(handles) // 4 + 1), 1, 1))
    figure.savefig(file, dpi=130)
    plt.close(figure)
