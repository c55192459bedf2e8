"""Pieces of HTML that the sections share."""

from __future__ import annotations

from html import escape

import numpy as np

from ..arrays import Array
from ..html import image
from ..plots.style import Figure, svg

NONE = "&ndash;"
# Columns that fit the page beside each other.
COLUMNS = 8


def figure(drawn: Figure, caption: str) -> str:
    """A matplotlib figure with a caption, which is text."""
    return f"<figure>{image(svg(drawn), 'image/svg+xml', caption)}<figcaption>{escape(caption)}</figcaption></figure>"


def of_unit(unit: str) -> str:
    """A unit behind a name, escaped; nothing for the unit 1."""
    return "" if unit in ("1", "") else f" ({escape(unit)})"


def number(value: float, form: str = ".4g") -> str:
    """A number in the form; a dash where it is not finite."""
    return f"{value:{form}}" if np.isfinite(value) else NONE


def plural(n: int, thing: str) -> str:
    """`1 site`, `2 sites`."""
    return f"{n} {thing}{'' if n == 1 else 's'}"


def count(values: Array) -> int:
    """Sites `(site, ...)` that have any number."""
    return int(np.isfinite(values.reshape(len(values), -1)).any(1).sum())


def median(values: Array) -> float:
    """Of what is finite; NaN where nothing is."""
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else float("nan")
