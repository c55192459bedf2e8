"""Fields from scattered observations: radial functions, random Fourier features, and networks with and without these.

found = dg.discover.interpolate(points, values, at, dg.discover.RandomFeatures(), periods=(46.0, 68.0))
print(dg.discover.held_out(points, values, dg.discover.RandomFeatures(), periods=(46.0, 68.0)))
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError, MissingPackageError, ShapeError
from .increments import rms


class Interpolator(Protocol):
    """A way of interpolating; `words` says it."""

    @property
    def words(self) -> str:
        """What it is, for people."""
        ...

    def fit(self, points: Tensor, values: Tensor, at: Tensor, periods: Tensor | None) -> tuple[Tensor, Tensor]:
        """Values `(at, fields)` and those at the observed points, of standardised `values` `(points, fields)`."""
        ...


@dataclass(frozen=True, eq=False)
class Interpolated:
    """Fields that were interpolated from points.

    Attributes:
        fields: `(*fields, at)`. misfit: root mean square of what is left at the observed points, in standard deviations of
            the fields. treatment: in words, for increments.
    """

    fields: Tensor
    misfit: float
    treatment: str


@dataclass(frozen=True)
class RadialBasis:
    """Radial functions through all points (SciPy's `RBFInterpolator`); with periods, among images of the points.

    Attributes:
        kernel, neighbours, smoothing: as there; all points if `neighbours` is None.
    """

    kernel: str = "quintic"
    neighbours: int | None = None
    smoothing: float = 0.0

    @property
    def words(self) -> str:
        """What it is, for people."""
        return f"{self.kernel} radial functions"

    def fit(self, points: Tensor, values: Tensor, at: Tensor, periods: Tensor | None) -> tuple[Tensor, Tensor]:
        """Values at `at` and at the points, see `Interpolator.fit`."""
        try:
            from scipy.interpolate import RBFInterpolator
        except ImportError as error:
            raise MissingPackageError("radial functions need SciPy: pip install 'pydiffgeo[discover]'") from error
        p, v = points, values
        if periods is not None:
            # Images within ten spacings of the domain, whose lower corner is at the smallest coordinates.
            low, margin = at.min(0).values, 10 * spacing(points, periods)
            shifts = periods * torch.tensor([*itertools.product((-1.0, 0.0, 1.0), repeat=len(periods))]).to(p)
            images = (p - torch.floor((p - low) / periods) * periods)[None] + shifts[:, None]
            near = ((images > low - margin) & (images < low + periods + margin)).all(-1)
            p, v = images[near], values.expand(len(shifts), *values.shape)[near]
        made = RBFInterpolator(
            p.numpy(), v.numpy(), neighbors=self.neighbours, smoothing=self.smoothing, kernel=self.kernel
        )
        return torch.from_numpy(made(at.numpy())), torch.from_numpy(made(points.numpy()))


@dataclass(frozen=True)
class RandomFeatures:
    """A sum of waves of random wave numbers (Rahimi and Recht 2007), its amplitudes by ridge regression, solved exactly.

    No network: one layer of features, and a linear one. Short waves are shrunk by a power of their wave number; the power
    and the ridge are those of the least error by generalised cross-validation (Golub, Heath and Wahba 1979).

    Attributes:
        count: wave numbers drawn. scale: their standard deviation, in radians per length; half of what the mean spacing of
            the points resolves if None. powers: tried. seed: of the draw.
    """

    count: int = 2000
    scale: float | None = None
    powers: tuple[float, ...] = (2.0, 3.0, 4.0, 5.0)
    seed: int = 0

    @property
    def words(self) -> str:
        """What it is, for people."""
        return f"{self.count} random Fourier features, ridge regression"

    def fit(self, points: Tensor, values: Tensor, at: Tensor, periods: Tensor | None) -> tuple[Tensor, Tensor]:
        """Values at `at` and at the points, see `Interpolator.fit`."""
        nyquist = math.pi / spacing(points, periods)
        k = wave_numbers(self.count, self.scale or nyquist / 2, points.shape[1], periods, self.seed)
        seen, wanted, square = waves(points, k), waves(at, k), k.square().sum(1).repeat(2)
        best: tuple[float, Tensor, Tensor] | None = None
        for power in self.powers:
            weight = ((nyquist / 8) ** 2 + square) ** (-power / 2)
            a = seen * weight
            size, basis = torch.linalg.eigh(a @ a.T)
            size, turned = size.clamp(min=0), basis.T @ values
            for ridge in float(size.max()) * 10 ** torch.arange(-13, 0.1, 0.25, dtype=torch.float64):
                left = ridge / (size + ridge)
                error = float((left[:, None] * turned).square().mean() / left.mean() ** 2)
                if best is None or error < best[0]:
                    dual = basis @ (turned / (size + ridge)[:, None])
                    best = (error, weight * weight, dual)
        assert best is not None
        amplitude = best[1][:, None] * (seen.T @ best[2])
        return wanted @ amplitude, seen @ amplitude


@dataclass(frozen=True)
class Network:
    """A network of tanh layers on random Fourier features of the coordinates (Tancik et al. 2020), or without them.

    All fields are outputs of one network, trained by Adam with a falling rate, then by L-BFGS. Without features a network
    learns the large scales first and the small ones never (Rahaman et al. 2019).

    Attributes:
        features: wave numbers drawn; none leaves the coordinates, between -1 and 1, and no use is made of periods.
        scale: standard deviation of the wave numbers, in radians per length; a sixth of what the mean spacing of the points
            resolves if None. widths: of the layers. steps, rate: of Adam. refinements: steps of L-BFGS. seed: of all.
    """

    features: int = 256
    scale: float | None = None
    widths: tuple[int, ...] = (128, 128)
    steps: int = 500
    rate: float = 3e-3
    refinements: int = 300
    seed: int = 0

    @property
    def words(self) -> str:
        """What it is, for people."""
        on = f"{self.features} random Fourier features" if self.features else "coordinates alone"
        return f"a network {self.widths} on {on}, {self.steps} + {self.refinements} steps"

    def fit(self, points: Tensor, values: Tensor, at: Tensor, periods: Tensor | None) -> tuple[Tensor, Tensor]:
        """Values at `at` and at the points, see `Interpolator.fit`."""
        low, high = points.min(0).values, points.max(0).values
        if self.features:
            scale = self.scale or math.pi / spacing(points, periods) / 6
            k = wave_numbers(self.features, scale, points.shape[1], periods, self.seed)
            seen, wanted = waves(points, k), waves(at, k)
        else:
            seen, wanted = (2 * (p - low) / (high - low) - 1 for p in (points, at))
        network = self._made(seen.shape[1], values.shape[1])
        with torch.enable_grad():
            self._train(network, seen, values)
        with torch.no_grad():
            return network(wanted), network(seen)

    def _made(self, inputs: int, outputs: int) -> torch.nn.Sequential:
        layers: list[torch.nn.Module] = []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            for width in self.widths:
                layers += [torch.nn.Linear(inputs, width, dtype=torch.float64), torch.nn.Tanh()]
                inputs = width
            layers.append(torch.nn.Linear(inputs, outputs, dtype=torch.float64))
        return torch.nn.Sequential(*layers)

    def _train(self, network: torch.nn.Sequential, x: Tensor, y: Tensor) -> None:
        adam = torch.optim.Adam(network.parameters(), lr=self.rate)
        falling = torch.optim.lr_scheduler.CosineAnnealingLR(adam, max(self.steps, 1), self.rate / 30)
        for _ in range(self.steps):
            adam.zero_grad()
            (network(x) - y).square().mean().backward()
            adam.step()
            falling.step()
        if not self.refinements:
            return
        refine = torch.optim.LBFGS(
            network.parameters(),
            max_iter=self.refinements,
            history_size=20,
            line_search_fn="strong_wolfe",
            tolerance_grad=1e-12,
            tolerance_change=1e-14,
        )

        def loss() -> Tensor:
            refine.zero_grad()
            value = (network(x) - y).square().mean()
            value.backward()
            return value

        refine.step(loss)


def interpolate(
    points: Tensor, values: Tensor, at: Tensor, method: Interpolator, *, periods: Sequence[float] | None = None
) -> Interpolated:
    """Fields at other places than where they were observed.

    Args:
        points: `(points, dimensions)`, the same for all fields. values: `(*fields, points)`. at: `(at, dimensions)`.
        method: `RadialBasis`, `RandomFeatures` or `Network`.
        periods: lengths after which the fields repeat themselves, one for each dimension; a method uses them.

    Raises:
        InputError: (or a subclass) shapes do not fit, numbers are not finite, or a field does not vary.
        MissingPackageError: SciPy is not installed.
    """
    if points.dim() != 2 or at.dim() != 2 or points.shape[1] != at.shape[1] or values.shape[-1] != len(points):
        raise ShapeError(
            "points and places must have the shapes (points, dimensions) and (at, dimensions), values (*fields, points); "
            f"got {(*points.shape,)}, {(*at.shape,)} and {(*values.shape,)}"
        )
    if periods is not None and (len(periods) != points.shape[1] or not min(periods) > 0):
        raise InputError(f"periods must be positive, one for each of {points.shape[1]} dimensions, got {periods}")
    p, v, a = (t.detach().to(torch.float64) for t in (points, values, at))
    if not all(bool(torch.isfinite(t).all()) for t in (p, v, a)):
        raise InputError("points, places and values must be finite; leave out gaps")
    flat = v.reshape(-1, len(p)).T
    mean, size = flat.mean(0), flat.std(0)
    if not (size > 0).all():
        raise InputError("a field does not vary over its points")
    round_ = None if periods is None else torch.tensor([*periods], dtype=torch.float64)
    scaled = (flat - mean) / size
    found, again = method.fit(p, scaled, a, round_)
    fields = (found * size + mean).T.reshape(*v.shape[:-1], len(a))
    return Interpolated(fields, rms(again - scaled), f"{len(p)} points interpolated by {method.words}")


def held_out(
    points: Tensor,
    values: Tensor,
    method: Interpolator,
    *,
    periods: Sequence[float] | None = None,
    share: float = 0.1,
    seed: int = 0,
) -> float:
    """Root mean square error at a share of the points that are kept back, in standard deviations: no truth is needed.

    Raises:
        InputError: (or a subclass) as `interpolate`, or nothing would be kept back.
    """
    kept = round(share * len(points))
    if not 0 < kept < len(points):
        raise InputError(f"a share of {share} of {len(points)} points keeps back {kept} of them")
    drawn = torch.from_numpy(np.random.default_rng(seed).permutation(len(points)))
    out, used = drawn[:kept], drawn[kept:]
    found = interpolate(points[used], values[..., used], points[out], method, periods=periods)
    return rms((found.fields - values[..., out]) / values.std(-1, keepdim=True))


def spacing(points: Tensor, periods: Tensor | None) -> float:
    """Mean distance of points: what a cell of the domain for each would have as its side."""
    lengths = points.max(0).values - points.min(0).values if periods is None else periods
    return float((lengths.prod() / len(points)) ** (1 / points.shape[1]))


def wave_numbers(count: int, scale: float, dimensions: int, periods: Tensor | None, seed: int) -> Tensor:
    """Normal deviates `(up to count, dimensions)`; with periods the nearest whole waves, each once."""
    random = torch.Generator().manual_seed(seed)
    k = scale * torch.randn(count, dimensions, generator=random, dtype=torch.float64)
    if periods is None:
        return torch.cat([k.new_zeros(1, dimensions), k])
    whole = torch.round(k * periods / (2 * math.pi))
    # A wave and its opposite are one: the first number that is not zero is positive.
    sign = torch.zeros(count, dtype=torch.float64)
    for column in whole.T:
        sign = torch.where(sign == 0, column.sign(), sign)
    whole = torch.unique(torch.cat([whole.new_zeros(1, dimensions), whole * sign[:, None]]), dim=0)
    return 2 * math.pi * whole / periods


def waves(points: Tensor, k: Tensor) -> Tensor:
    """Cosines and sines `(points, 2 waves)`."""
    phase = points @ k.T
    return torch.cat([phase.cos(), phase.sin()], 1)
