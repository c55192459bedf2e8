"""Draws the figure of a problem."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import NullFormatter

from .problem import Outcome, Panel

SIZE: Any = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "legend.fontsize": 8,
        "axes.titlesize": 9, "legend.frameon": False}  # fmt: skip
EXPECTED = "#d1495b"
ENGINES = {"julia": "#7b3294", "sundials": "#1f6f8b"}


def draw(title: str, outcomes: Mapping[str, Outcome]) -> bytes:
    """PNG of the panels of the first outcome and the convergence studies of all; engine -> outcome."""
    first = next(iter(outcomes.values()))
    studies = first.convergence
    count = len(first.panels) + len({s.kind for s in studies})
    with plt.rc_context(SIZE):
        figure, axes = plt.subplots(1, max(count, 1), figsize=(3.9 * max(count, 1) + 0.4, 3.4), layout="constrained",
                                    squeeze=False)  # fmt: skip
        for axis, panel in zip(axes[0], first.panels, strict=False):
            _panel(axis, panel)
        kinds = [k for k in ("space", "time") if k in {s.kind for s in studies}]
        for axis, kind in zip(axes[0][len(first.panels) :], kinds, strict=True):
            _convergence(axis, kind, outcomes)
        figure.suptitle(title, fontsize=10)
        memory = io.BytesIO()
        figure.savefig(memory, format="png", dpi=110)
        plt.close(figure)
    return memory.getvalue()


def _panel(axis: Any, panel: Panel) -> None:
    curves = [line for line in panel.lines if line.style in ("line", "dashed")]
    shades = plt.get_cmap("viridis")(np.linspace(0.05, 0.8, max(len(curves), 2)))
    colours = iter(shades)
    only_points = not curves
    for line in panel.lines:
        x, y = np.asarray(line.x, float), np.asarray(line.y, float)
        if line.style == "bars":
            axis.bar(x, y, width=np.min(np.diff(x)), color="#c8d7e1", label=line.label)
        elif line.style == "points":
            mark = line.label.startswith("computed") or only_points
            axis.plot(
                x, y, "o", ms=4.5, mfc="none", mec="#333333" if mark else EXPECTED, label=line.label or None, zorder=5
            )
        else:
            axis.plot(
                x, y, "--" if line.style == "dashed" else "-", color=next(colours), lw=1.5, label=line.label or None
            )
    if panel.logx:
        axis.set_xscale("log")
    if panel.logy:
        axis.set_yscale("log")
    if panel.downwards:
        axis.invert_yaxis()
    axis.set_xlabel(panel.xlabel)
    axis.set_ylabel(panel.ylabel)
    axis.set_title(panel.title)
    axis.legend()


def _convergence(axis: Any, kind: str, outcomes: Mapping[str, Outcome]) -> None:
    """Error against size on logarithmic axes, with the expected slope beside the first study."""
    unit = size_unit = ""
    for engine, outcome in outcomes.items():
        studies = [s for s in outcome.convergence if s.kind == kind]
        for number, s in enumerate(studies):
            axis.loglog(s.sizes, s.errors, "os^v"[number] + "-", ms=4.5, lw=1.2, color=ENGINES.get(engine, "#333333"),
                        alpha=0.8, label=f"{engine}: order {s.observed:.2f}")  # fmt: skip
            unit, size_unit = s.unit, s.size_unit
            if engine == next(iter(outcomes)):
                sizes = np.array([min(s.sizes), max(s.sizes)])
                k = int(np.argmax(s.sizes))
                guide = s.errors[k] * (sizes / s.sizes[k]) ** s.expected * 1.6
                axis.loglog(sizes, guide, ":", color=EXPECTED, lw=1.2, label=f"slope {s.expected:g}")
    axis.set_xlabel(f"cell size ({size_unit})" if kind == "space" else "relative tolerance (-)")
    axis.set_ylabel(f"error ({unit})" if unit != "1" else "error (-)")
    axis.set_title("convergence in space" if kind == "space" else "convergence in time")
    if kind == "space":
        marks = sorted({x for o in outcomes.values() for s in o.convergence if s.kind == kind for x in s.sizes})
        axis.set_xticks(marks, [f"{x:.3g}" for x in marks])
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.tick_params(axis="x", labelsize=8)
    axis.legend()
