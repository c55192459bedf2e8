"""The methods: an ensemble that carries its covariances, and least squares over a window through the adjoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..checks import check_whole, is_number
from ..errors import InputError


@dataclass(frozen=True)
class Ensemble:
    """The ensemble Kalman filter, or smoother, and its settings.

    Attributes:
        members: of the ensemble. update: "stochastic" or "transform". seed: of all chance.
        smoother: update the beginning of each window and run it again, rather than its end; each member then has a
            course that the model can run.
        inflation: factor of the spread of each forecast. relaxation: share of the spread lost to observations that is given
            back. localisation: radius along a column beyond which, twice over, observations have no weight; none if None.
    """

    members: int = 40
    update: Literal["stochastic", "transform"] = "transform"
    smoother: bool = False
    inflation: float = 1.0
    relaxation: float = 0.0
    localisation: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_whole(3, members=self.members)
        check_whole(0, seed=self.seed)
        if self.update not in ("stochastic", "transform"):
            raise InputError(f"update must be stochastic or transform, got {self.update!r}")
        if not is_number(self.inflation) or self.inflation < 1:
            raise InputError(f"inflation must be one or more, got {self.inflation!r}")
        if not is_number(self.relaxation) or not 0 <= self.relaxation <= 1:
            raise InputError(f"relaxation must lie between zero and one, got {self.relaxation!r}")
        if self.localisation is not None and (not is_number(self.localisation) or self.localisation <= 0):
            raise InputError(f"localisation must be a positive radius, got {self.localisation!r}")


@dataclass(frozen=True)
class Variational:
    """Strong-constraint 4D-Var: the beginning of each window, the sought parameters and the factors of forcings are those
    that fit background and observations best, by Gauss-Newton steps with the model's own Jacobian; the covariance is that
    of the linear model there, carried to the end of the window.

    Attributes:
        steps: at most, in a window. tolerance: relative fall of the cost at which it ends.
    """

    steps: int = 10
    tolerance: float = 1e-4

    def __post_init__(self) -> None:
        check_whole(1, steps=self.steps)
        if not is_number(self.tolerance) or self.tolerance <= 0:
            raise InputError(f"tolerance must be positive, got {self.tolerance!r}")


Method = Ensemble | Variational
