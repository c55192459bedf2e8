"""The figure of the demo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from torch import Tensor

from ..model import Model
from ..solve import Solution

BEFORE, AFTER, TRUE = "#b0b0b0", "#1f6f8b", "#d1495b"
LINES = "probes (dots) and model (lines)"
LABELS = {"alpha": r"$\alpha$ (1/m)", "n": "$n$", "K_s": "$K_s$ (m/d)"}


class Experiment(Protocol):
    """A column with its forcing `(days,)`, what probes saw `(days, probes)`, and the true parameters `(cells,)`."""

    @property
    def model(self) -> Model: ...
    @property
    def times(self) -> Tensor: ...
    @property
    def forcing(self) -> Mapping[str, Tensor]: ...
    @property
    def probes(self) -> Tensor: ...
    @property
    def truth(self) -> Mapping[str, Tensor]: ...


def demo_figure(
    experiment: Experiment,
    prior: Mapping[str, Tensor],
    found: Mapping[str, Tensor],
    solution: Solution,
    losses: Sequence[float],
    probes: Sequence[int],
    path: str,
) -> Figure:
    """Moisture at the probes, recovered parameter profiles, and the loss; saved at `path`."""
    depth = experiment.model.graph.coordinates["depth"]
    days = experiment.times[1:].numpy()
    figure = plt.figure(figsize=(11, 6.5), layout="constrained")
    top, bottom = figure.subfigures(2, 1, squeeze=False, height_ratios=[1, 1.1])[:, 0]

    rain, moisture = top.subplots(2, 1, sharex=True, height_ratios=[1, 3])
    rain.bar(days - 0.5, 1e3 * experiment.forcing["precipitation"].numpy(), width=0.9, color=AFTER)
    rain.invert_yaxis()
    rain.set_ylabel("rain (mm/d)")
    shades = plt.get_cmap("viridis")
    for k, cell in enumerate(probes):
        colour = shades(k / len(probes))
        moisture.plot(days, experiment.probes[:, k].numpy(), ".", ms=3, color=colour, alpha=0.7)
        label = f"{100 * depth[cell]:.0f} cm"
        moisture.plot(days, solution.states["theta"][1:, cell].detach().numpy(), color=colour, lw=1.2, label=label)
    moisture.set_xlabel("day")
    moisture.set_ylabel("water content")
    moisture.legend(ncol=len(probes), fontsize=8, frameon=False, loc="upper center", title_fontsize=8, title=LINES)
    low, high = moisture.get_ylim()
    moisture.set_ylim(low, high + 0.35 * (high - low))

    axes = bottom.subplots(1, 4)
    for axis, (name, label) in zip(axes, LABELS.items(), strict=False):
        axis.plot(prior[name].detach().numpy(), depth, color=BEFORE, label="before")
        axis.plot(found[name].detach().numpy(), depth, color=AFTER, lw=2, label="after")
        axis.plot(experiment.truth[name].numpy(), depth, "--", color=TRUE, label="true")
        axis.set_ylim(depth[-1], 0)
        axis.set_xlabel(label)
        if name == "K_s":
            axis.set_xscale("log")
            axis.xaxis.set_minor_formatter(NullFormatter())
    axes[0].set_ylabel("depth (m)")
    axes[0].legend(fontsize=8, frameon=False)
    axes[3].semilogy(range(1, len(losses) + 1), losses, color=AFTER)
    axes[3].axhline(1.0, color=TRUE, ls="--", lw=1)
    axes[3].set_xlabel("training step")
    axes[3].set_ylabel("loss (1 = noise)")
    figure.savefig(path, dpi=130)
    plt.close(figure)
    return figure
