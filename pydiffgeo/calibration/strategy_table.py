"""How a search goes, and what is known ahead of it, as configurations say it."""

from __future__ import annotations

from ..errors import DataError, InputError
from ..toml_table import Table, as_count, as_number, as_one_of, as_within
from .loss_terms import Loss, told
from .objective import SQUARES, Prior, squares
from .strategy import METHODS, Strategy

A_PRIOR = "{ mean = ..., spread = ... }, with log = true where it is of the logarithm"


def take_strategy(t: Table, loss: Loss, *, window: float = 0.0) -> Strategy:
    """The strategy of a table, whose other keys stay; `window` is the default of that key.

    Raises:
        DataError: a key is wrong, or the method does not fit the loss; names it.
    """
    count = "a whole number of at least"
    method = t.take("method", lambda v: as_one_of(v, METHODS), f"one of {', '.join(METHODS)}", "auto")
    window = t.take("window", lambda v: as_within(v, 0, 1e12), "a length of time, 0 or more", window)
    tolerance = t.take("tolerance", lambda v: as_within(v, 0, 1), "a number from 0 to 1", 1e-4)
    rate = t.take("learning_rate", lambda v: as_within(v, 1e-12, 1e3), "a positive number", 0.1)
    counts = {"seed": t.take("seed", lambda v: as_count(v, 0), f"{count} 0", 0)}
    for key in ("candidates", "starts", "window_steps", "finalists", "steps", "patience"):
        counts[key] = t.take(key, lambda v: as_count(v, 1), f"{count} 1", getattr(Strategy, key))
    if method == "gauss_newton" and not squares(loss):
        raise t.fail(
            "method", f'"gauss_newton" needs a loss that is a sum of squares, of {list(SQUARES)}, not {told(loss)}'
        )
    try:
        return Strategy(method, window=window, tolerance=tolerance, learning_rate=rate, **counts)
    except InputError as error:
        raise DataError(f"{t.file}: [{t.name}] {error}") from error


def as_prior(value: object) -> Prior:
    """The prior of a table; raises `ValueError` for all else."""
    if not isinstance(value, dict) or not {"mean", "spread"} <= {*value} <= {"mean", "spread", "log"}:
        raise ValueError
    if not isinstance(value.get("log", False), bool):
        raise ValueError
    return Prior(as_number(value["mean"]), as_number(value["spread"]), value.get("log", False))
