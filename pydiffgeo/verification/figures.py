"""Draws the figure of a problem."""

from __future__ import annotations

import io
from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from .problem import Outcome, Panel

EXPECTED = "#d1495b"
ENGINES = {"julia": "#7b3294", "sundials": "#1f6f8b"}


def draw(title: str, outcomes: Mapping[str, Outcome]) -> bytes:
    """PNG of the panels of the first outcome and the convergence studies of all; engine -> outcome."""
    first = next(iter(outcomes.values()))
    studies = first.convergence
    kinds = [k for k in ("space", "time") if k in {s.kind for s in studies}]
    count = max(len(first.panels) + len(kinds), 1)
    sizes = plt.rc_context({"font.size": 9, "axes.titlesize": 9, "legend.fontsize": 8})
    with sizes, plt.rc_context({"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False}):
        size = (3.9 * count + 0.4, 3.4)
        figure, axes = plt.subplots(1, count, figsize=size, layout="constrained", squeeze=False)
        for axis, panel in zip(axes[0], first.panels, strict=False):
            _panel(axis, panel)
        for axis, kind in zip(axes[0][len(first.panels) :], kinds, strict=True):
            _convergence(axis, kind, outcomes)
        figure.suptitle(title, fontsize=10)
        memory = io.BytesIO()
        figure.savefig(memory, format="png", dpi=110)
        plt.close(figure)
    return memory.getvalue()


def _panel(axis: Axes, panel: Panel) -> None:
    curves = [line for line in panel.lines if line.style in ("line", "dashed")]
    shades = plt.get_cmap("viridis")(np.linspace(0.05, 0.8, max(len(curves), 2)))
    colours = iter(shades)
    only_points = not curves
    for line in panel.lines:
        x, y = np.asarray(line.x, float), np.asarray(line.y, float)
        if line.style == "bars":
            axis.bar(x, y, width=np.min(np.diff(x)), color="#c8d7e1", label=line.label)
        elif line.style == "points":
            edge = "#333333" if line.label.startswith("computed") or only_points else EXPECTED
            axis.plot(x, y, "o", ms=4.5, mfc="none", mec=edge, label=line.label or None, zorder=5)
        else:
            dash = "--" if line.style == "dashed" else "-"
            axis.plot(x, y, dash, color=next(colours), lw=1.5, label=line.label or None)
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


def _convergence(axis: Axes, kind: str, outcomes: Mapping[str, Outcome]) -> None:
    """Error against size on logarithmic axes, with the expected slope beside the first study."""
    unit = size_unit = ""
    for engine, outcome in outcomes.items():
        studies = [s for s in outcome.convergence if s.kind == kind]
        colour = ENGINES.get(engine, "#333333")
        for number, study in enumerate(studies):
            marks, name = "os^v"[number] + "-", f"{engine}: order {study.observed:.2f}"
            axis.loglog(study.sizes, study.errors, marks, ms=4.5, lw=1.2, color=colour, alpha=0.8, label=name)
            unit, size_unit = study.unit, study.size_unit
            if engine == next(iter(outcomes)):
                sizes = np.array([min(study.sizes), max(study.sizes)])
                k = int(np.argmax(study.sizes))
                guide = study.errors[k] * (sizes / study.sizes[k]) ** study.expected * 1.6
                axis.loglog(sizes, guide, ":", color=EXPECTED, lw=1.2, label=f"slope {study.expected:g}")
    axis.set_xlabel(f"cell size ({size_unit})" if kind == "space" else "relative tolerance (-)")
    axis.set_ylabel(f"error ({unit})" if unit != "1" else "error (-)")
    axis.set_title("convergence in space" if kind == "space" else "convergence in time")
    if kind == "space":
        ticks = sorted({x for o in outcomes.values() for s in o.convergence if s.kind == kind for x in s.sizes})
        axis.set_xticks(ticks, [f"{x:.3g}" for x in ticks])
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.tick_params(axis="x", labelsize=8)
    axis.legend()
