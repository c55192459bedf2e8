"""Pieces of HTML that the sections share."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..html import image
from ..plots.style import svg

NONE = "&ndash;"


def figure(drawn: Any, caption: str) -> str:
    """A matplotlib figure with a caption, which is text."""
    return f"<figure>{image(svg(drawn), 'image/svg+xml', caption)}<figcaption>{escape(caption)}</figcaption></figure>"


def wide(content: str) -> str:
    """Something that may be wider than the page."""
    return f'<div class="wide">{content}</div>'


def of_unit(unit: str) -> str:
    """A unit behind a name, escaped; nothing for the unit 1."""
    return "" if unit in ("1", "") else f" ({escape(unit)})"


def number(value: float, form: str = ".4g") -> str:
    return f"{value:{form}}" if np.isfinite(value) else NONE


def plural(n: int, thing: str) -> str:
    return f"{n} {thing}{'' if n == 1 else 's'}"


def count(values: NDArray[Any]) -> int:
    """Sites `(site, ...)` that have any number."""
    return int(np.isfinite(values.reshape(len(values), -1)).any(1).sum())


def median(values: NDArray[Any]) -> float:
    """Of what is finite; NaN where nothing is."""
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")
