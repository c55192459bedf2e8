"""How a search for parameters goes; see `calibrate`."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InputError
from .least_squares import GaussNewton
from .search import BFGS, LBFGS, Adam, Search

METHODS = ("bfgs", "lbfgs", "gauss_newton", "adam")


@dataclass(frozen=True)
class Strategy:
    """A search that narrows: candidates, starts explored on a part of the record, finalists refined on all of it.

    Attributes:
        method: "bfgs", "lbfgs" (many parameters), "gauss_newton" (losses that are sums of squares) or "adam".
        candidates: points spread over the bounds. starts: the best of them, explored for `window_steps` on
            a part of the record that is `window` long, in the time unit of the model; 0 goes straight on.
        finalists: the best of those, refined for up to `steps` steps on the whole record.
        tolerance: a search is done after some steps that gain less than this part of the loss; not "adam".
        learning_rate: of "adam", in units of the argument of the sigmoid.
        wait: steps after which a search is done that has not bettered the loss of held-back observations.
        seed: of the candidates, together with the name of the site.

    Raises:
        InputError: when made with numbers that do not fit; names them.
    """

    method: str = "bfgs"
    candidates: int = 128
    starts: int = 16
    window: float = 0.0
    window_steps: int = 15
    finalists: int = 4
    steps: int = 30
    tolerance: float = 1e-4
    learning_rate: float = 0.1
    wait: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise InputError(f"method must be one of {', '.join(METHODS)}, got {self.method!r}")
        for name in ("candidates", "starts", "window_steps", "finalists", "steps", "wait"):
            if not getattr(self, name) >= 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}")
        for fewer, more in (("starts", "candidates"), ("finalists", "starts")):
            if getattr(self, fewer) > getattr(self, more):
                raise InputError(f"{fewer} must be at most {more} ({getattr(self, more)}), got {getattr(self, fewer)}")

    def search(self) -> Search:
        """The method, ready to start."""
        if self.method == "adam":
            return Adam(self.learning_rate, wait=self.wait)
        kinds = {"bfgs": BFGS, "lbfgs": LBFGS, "gauss_newton": GaussNewton}
        found: Search = kinds[self.method](self.tolerance, wait=self.wait)
        return found
