"""Linear pattern scaling: from a driver to the mean over an area, and from that to each place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ..arrays import Array, Numbers
from ..errors import InputError, ShapeError

# A driver `(times,)`, and a field `(times, *places)`; or one field, and another whose mean scales it.
Scenario = tuple[ArrayLike, ArrayLike] | tuple[ArrayLike, ArrayLike, ArrayLike]


@dataclass(frozen=True, eq=False)
class PatternScaling:
    """Two regressions in a chain (Luetjens et al. 2025, section 2): all that a place does follows from one mean.

    It is a baseline for fields of a changing climate, with cumulative emissions as the driver, and for runoff of many
    basins, with the forcing of their region.

    Attributes:
        mean_slope, mean_intercept: of the mean over the area on the driver.
        slope, intercept: of each place on that mean, `(*places)`.
        drivers: name of each scenario it was fitted on -> its driver.
    """

    mean_slope: float
    mean_intercept: float
    slope: Array
    intercept: Array
    drivers: Mapping[str, Array]

    @classmethod
    def fit(cls, scenarios: Mapping[str, Scenario], *, weights: ArrayLike | None = None) -> PatternScaling:
        """Ordinary least squares over the times of all scenarios.

        Args:
            scenarios: name -> `(driver, field)`, of shapes `(times,)` and `(times, *places)`; with a third entry of the
                shape of the field that one is scaled by the mean of the second (precipitation by temperature, say).
            weights: area of each place, `(*places)`; with unequal places the pattern has a mean of one only with these.

        Raises:
            InputError: (or a subclass) shapes do not fit, a number is not finite, or the driver or mean does not vary.
        """
        if not scenarios:
            raise InputError("pattern scaling needs at least one scenario")
        drivers, means, fields = {}, [], []
        places: tuple[int, ...] | None = None
        for name, (given, scaled_by, *others) in scenarios.items():
            driver, carrier = _finite(f"the driver of {name}", given), _finite(f"the field of {name}", scaled_by)
            field = _finite(f"the second field of {name}", others[0]) if others else carrier
            places = carrier.shape[1:] if places is None else places
            if driver.ndim != 1 or carrier.shape != (len(driver), *places) or field.shape != carrier.shape:
                raise ShapeError(
                    f"{name}: the driver must have the shape (times,) and fields (times, *{places}), "
                    f"got {driver.shape}, {carrier.shape} and {field.shape}"
                )
            drivers[name] = driver
            means.append(area_mean(carrier, weights))
            fields.append(field.reshape(len(driver), -1))
        assert places is not None
        mean, every = np.concatenate(means), np.concatenate(fields)
        mean_slope, mean_intercept = _line("the driver", np.concatenate([*drivers.values()]), mean[:, None])
        slope, intercept = _line("the mean over the area", mean, every)
        return cls(
            float(mean_slope[0]), float(mean_intercept[0]), slope.reshape(places), intercept.reshape(places), drivers
        )

    def mean(self, driver: ArrayLike) -> Tensor:
        """The mean over the area that a driver `(times,)` leads to, `(times,)`."""
        return torch.from_numpy(self.mean_slope * _finite("the driver", driver) + self.mean_intercept)

    def predict(self, name: str, driver: ArrayLike) -> Tensor:
        """The field of a scenario, `(times, *places)`, from its driver alone.

        Raises:
            InputError: the scenario, by its name or its driver, is one that this was fitted on: no test at all.
        """
        given = _finite(f"the driver of {name}", driver)
        for known, values in self.drivers.items():
            if name == known or np.array_equal(values, given):
                raise InputError(f"{name} is no test: the pattern was fitted on {known}, which is the same scenario")
        along = self.mean(given).reshape(-1, *(1 for _ in self.slope.shape))
        return along * torch.from_numpy(self.slope) + torch.from_numpy(self.intercept)


def area_mean(field: Array, weights: ArrayLike | None = None) -> Array:
    """Mean over the places of a field `(..., *places)`, weighted by their area `(*places)`.

    Raises:
        ShapeError: weights do not fit the field. InputError: a weight is negative, or all are zero.
    """
    if weights is None:
        return np.asarray(field.reshape(len(field), -1).mean(1))
    area = _finite("weights", weights)
    if area.ndim == 0 or field.shape[field.ndim - area.ndim :] != area.shape:
        raise ShapeError(f"weights must have the shape of the places of the field, got {area.shape} for {field.shape}")
    if (area < 0).any() or not area.sum() > 0:
        raise InputError("weights must not be negative, and their sum positive")
    axes = tuple(range(field.ndim - area.ndim, field.ndim))
    return np.asarray((field * area).sum(axes) / area.sum())


def _line(what: str, x: Array, y: Array) -> tuple[Array, Array]:
    """Slope and intercept of each column of `y` `(times, columns)` on `x`."""
    away = x - x.mean()
    spread = (away**2).sum()
    if not spread > (1e-12 * np.abs(x).max(initial=0.0)) ** 2 * len(x):
        raise InputError(f"{what} does not vary over the scenarios: no line can be fitted")
    slope = away @ (y - y.mean(0)) / spread
    return slope, y.mean(0) - slope * x.mean()


def _finite(name: str, values: Numbers) -> Array:
    array = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise InputError(f"{name} must be finite")
    return array
