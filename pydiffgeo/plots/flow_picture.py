"""A balance as a picture: bands as wide as what came in and went out."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from .style import BLUE, GREY, ORANGE, canvas, plain, short

# Heights: of all water together, of a gap between bands, and of the thinnest band that can be seen.
WHOLE, GAP, LEAST = 1.0, 0.16, 0.004
LEFT, RIGHT = (0.0, 0.42), (0.58, 1.0)


def balance_picture(
    inflows: Mapping[str, float], outflows: Mapping[str, float], *, unit: str, title: str = ""
) -> Figure:
    """Amounts that came in on the left, and went out on the right, as bands; what was stored, or given by the store, is grey.

    Args:
        inflows, outflows: name -> amount over the whole period, not negative; their difference is what was stored.
        unit: of all of them.
    """
    gained = {k: v for k, v in inflows.items() if v > 0}
    lost = {k: v for k, v in outflows.items() if v > 0}
    change = sum(gained.values()) - sum(lost.values())
    stored = {"stored": change} if change > 0 else {}
    given = {"from the store": -change} if change < 0 else {}
    whole = max(sum(gained.values()), sum(lost.values())) or 1.0
    left = [(k, v, BLUE) for k, v in gained.items()] + [(k, v, GREY) for k, v in given.items()]
    right = [(k, v, ORANGE) for k, v in lost.items()] + [(k, v, GREY) for k, v in stored.items()]
    rows = max(len(left), len(right), 1)
    with canvas(8.0, max(2.0, 0.62 * rows + 0.9)) as figure:
        axis = figure.subplots()
        for bands, ends in ((left, LEFT), (right, RIGHT)):
            _bands(axis, bands, ends, whole, unit, rows)
        corner, size = (LEFT[1], -WHOLE / 2), (RIGHT[0] - LEFT[1], WHOLE)
        axis.add_patch(Rectangle(corner, *size, facecolor="#e8eef2", edgecolor="#8a9aa5", lw=0.8))
        axis.set_xlim(-0.62, 1.62)
        high = (WHOLE + GAP * rows) / 2 + 0.06
        axis.set_ylim(-high, high)
        axis.set_axis_off()
        axis.set_title(plain(title), loc="left")
    return figure


def _bands(
    axis: Axes, bands: list[tuple[str, float, str]], ends: tuple[float, float], whole: float, unit: str, rows: int
) -> None:
    """Bands from the outside to the box, or from it; outside they are apart, at the box one upon the other."""
    inwards = ends == LEFT
    tall = [max(amount / whole * WHOLE, LEAST) for _, amount, _ in bands]
    gap = GAP * rows / max(len(bands), 1)
    outer, inner = (sum(tall) + gap * (len(bands) - 1)) / 2, sum(tall) / 2
    x = np.linspace(0.0, 1.0, 40)
    turn = x**2 * (3 - 2 * x)
    for (name, amount, colour), height in zip(bands, tall, strict=True):
        # The upper edges of a band at its outer and its inner end.
        way = outer + (inner - outer) * turn if inwards else inner + (outer - inner) * turn
        axis.fill_between(ends[0] + (ends[1] - ends[0]) * x, way - height, way, color=colour, alpha=0.75, lw=0)
        edge, side = (ends[0] - 0.02, "right") if inwards else (ends[1] + 0.02, "left")
        text = f"{short(name, 26)}\n{float(f'{amount:.4g}'):,.10g} {plain(unit)}, {_share(amount / whole)}"
        axis.text(edge, outer - height / 2, text, ha=side, va="center", fontsize=8)
        outer, inner = outer - height - gap, inner - height


def _share(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"
