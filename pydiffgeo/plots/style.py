"""What the figures share: colours, labels with units, and a canvas."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure as Figure
from numpy.typing import ArrayLike
from torch import Tensor

from ..arrays import Array, Dates, Numbers
from ..errors import ShapeError

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

# A date or a number on an axis of time, of which the types of matplotlib know the number only.
Instant = Any
# Keywords for what matplotlib draws.
Keywords = dict[str, Any]
# Okabe and Ito 2008, "Color universal design".
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, RED, PURPLE, GREY = "#0072B2", "#D55E00", "#CC79A7", "#9a9a9a"
OBSERVED, SIMULATED, PRIOR, ENSEMBLE, RAIN = BLACK, BLUE, ORANGE, GREEN, SKY
OTHERS = (ORANGE, GREEN, RED, PURPLE, SKY, GREY)
STYLE: dict[RcKeyType, object] = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "svg.hashsalt": "pydiffgeo",
}


@contextmanager
def canvas(width: float, height: float) -> Iterator[Figure]:
    """An empty figure of `width` by `height` inches, to be drawn on in the style of this package."""
    with mpl.rc_context(STYLE):
        yield Figure(figsize=(width, height), layout="constrained")


def plain(text: object) -> str:
    """Text that is drawn as it is: a dollar sign does not start a formula, and nothing breaks an SVG."""
    return "".join(c for c in str(text) if c.isprintable()).replace("$", r"\$")


def short(text: object, most: int = 40) -> str:
    """`plain` text, cut where it would not fit."""
    text = str(text)
    return plain(text if len(text) <= most else text[: most - 1] + "…")


def label(name: str, unit: str | None) -> str:
    """`name (unit)` of an axis; the unit 1 is written "-"."""
    return f"{short(name)} ({'-' if unit in (None, '', '1') else short(unit)})"


def numbers(name: str, values: Numbers, dimensions: int = 1) -> Array:
    """Float64 values with so many dimensions; infinite ones become NaN, which is not drawn.

    Raises:
        ShapeError: names what has another number of dimensions.
    """
    if isinstance(values, Tensor):
        values = values.detach().cpu()
    array = np.asarray(values, np.float64)
    if array.ndim != dimensions:
        raise ShapeError(f"{name} must have {dimensions} dimension(s), got the shape {array.shape}")
    return np.where(np.isfinite(array), array, np.nan)


def series(name: str, values: Numbers, times: Dates | Array) -> Array:
    """Numbers, one for each time.

    Raises:
        ShapeError: names what does not fit.
    """
    array = numbers(name, values)
    if len(array) != len(times):
        raise ShapeError(f"{name} has {len(array)} values for {len(times)} times")
    return array


def instants(time: ArrayLike) -> Dates | Array:
    """Dates, or numbers, `(time,)`.

    Raises:
        ShapeError: there are none, or they have another number of dimensions.
    """
    array = np.asarray(time)
    if array.ndim != 1 or not len(array):
        raise ShapeError(f"time must have the shape (time,) with at least one time, got {array.shape}")
    return array.astype("datetime64[ms]") if array.dtype.kind == "M" else numbers("time", array)


def wrong_shape(name: str, array: Array, expected: tuple[int, ...]) -> ShapeError:
    """The error for an array of another shape than expected."""
    return ShapeError(f"{name} must have the shape {expected}, got {array.shape}")


def svg(figure: Figure) -> bytes:
    """The figure as SVG whose letters are outlines; the same figure gives the same bytes."""
    memory = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(memory, format="svg", dpi=150, metadata={"Date": None, "Creator": None})
    return memory.getvalue()
