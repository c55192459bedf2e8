"""How a search for parameters goes; see `calibrate`."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..checks import check_positive, check_whole, check_within
from ..errors import InputError
from .least_squares import GaussNewton
from .loss_terms import Loss
from .objective import squares
from .search import BFGS, LBFGS, Adam, Search

METHODS = ("auto", "bfgs", "lbfgs", "gauss_newton", "adam")
# Up to so many values, the Jacobian that a Gauss-Newton step takes is worth its cost.
FEW = 20


@dataclass(frozen=True)
class Strategy:
    """A search that narrows: candidates, starts explored on a part of the record, finalists refined on all of it.

    Attributes:
        method: "bfgs", "lbfgs" (many parameters), "gauss_newton" (losses that are sums of squares) or "adam";
            "auto" is "gauss_newton" for a few values and such a loss, and else "bfgs".
        candidates: points spread over the bounds. starts: the best of them, explored for `window_steps` on
            a part of the record that is `window` long, in the time unit of the model; 0 goes straight on.
        finalists: the best of those, refined for up to `steps` steps on the whole record.
        tolerance: a search is done after some steps that gain less than this part of the loss; not "adam".
        learning_rate: of "adam", in units of the argument of the sigmoid.
        patience: steps after which a search is done that has not bettered the loss of held-back observations.
        seed: of the candidates, together with the name of the site.

    Raises:
        InputError: when made with numbers that do not fit; names them.
    """

    method: str = "auto"
    candidates: int = 128
    starts: int = 16
    window: float = 0.0
    window_steps: int = 15
    finalists: int = 4
    steps: int = 30
    tolerance: float = 1e-4
    learning_rate: float = 0.1
    patience: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.method, str) or self.method not in METHODS:
            raise InputError(f"method must be one of {', '.join(METHODS)}, got {self.method!r}")
        counts = ("candidates", "starts", "window_steps", "finalists", "steps", "patience")
        check_whole(1, **{name: getattr(self, name) for name in counts})
        check_whole(0, seed=self.seed)
        check_within(0.0, math.inf, "a number, zero or more", window=self.window, tolerance=self.tolerance)
        check_positive(learning_rate=self.learning_rate)
        for fewer, more in (("starts", "candidates"), ("finalists", "starts")):
            if getattr(self, fewer) > getattr(self, more):
                raise InputError(f"{fewer} must be at most {more} ({getattr(self, more)}), got {getattr(self, fewer)}")

    def search(self, loss: Loss, values: int) -> Search:
        """The method, ready to start, for a loss of so many calibrated values."""
        method = self.method
        if method == "auto":
            method = "gauss_newton" if squares(loss) and values <= FEW else "bfgs"
        if method == "adam":
            return Adam(self.learning_rate, patience=self.patience)
        if method == "gauss_newton":
            return GaussNewton(self.tolerance, patience=self.patience)
        return (LBFGS if method == "lbfgs" else BFGS)(self.tolerance, patience=self.patience)
