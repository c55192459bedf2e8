"""Dynamics learnt from a record by a Gaussian process, with its hyper-parameters integrated out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution, InverseGamma, Normal

from ..errors import InputError, MissingPackageError, ShapeError


def _default_length() -> Distribution:
    return InverseGamma(torch.tensor(10.0, dtype=torch.float64), torch.tensor(10.0, dtype=torch.float64))


def _default_noise() -> Distribution:
    return InverseGamma(torch.tensor(5.0, dtype=torch.float64), torch.tensor(5.0, dtype=torch.float64))


@dataclass(frozen=True, eq=False)
class GaussianProcess:
    """A function of the state after a step, with zero mean and a squared exponential covariance of given amplitude.

    What is known of its scale of length and of its noise stays a distribution: predictions are mixtures over
    quadrature points, weighted by prior times likelihood (Boettiger et al. 2015, equations 2.2 to 2.4, whose priors are
    the default, with process noise kept and cells integrated).

    Attributes:
        x, y: `(n,)`, states and those a step later.
        length, noise: `(points,)`, hyper-parameters at the points; the noise is a standard deviation.
        weights: `(points,)`, posterior probability of each point, without those that do not matter.
    """

    x: Tensor
    y: Tensor
    length: Tensor
    noise: Tensor
    weights: Tensor
    amplitude: float

    @classmethod
    def fit(
        cls,
        x: Tensor,
        y: Tensor,
        *,
        amplitude: float = 1.0,
        length_prior: Distribution | None = None,
        noise_prior: Distribution | None = None,
        length_range: tuple[float, float] = (0.1, 50.0),
        noise_range: tuple[float, float] = (0.01, 5.0),
        points: int = 40,
    ) -> GaussianProcess:
        """Prior times likelihood at `points` x `points` hyper-parameters, evenly spaced in their logarithms.

        Args:
            x, y: `(n,)`. amplitude: standard deviation of the function before anything is known.
            length_prior, noise_prior: of the scale of length, in units of x, and of the noise, in those of y;
                inverse gamma (10, 10) and (5, 5) if None.
            length_range, noise_range: where points are set; refused where the posterior lies at an end.

        Raises:
            InputError: (or a subclass) shapes or ranges do not fit, or the posterior is cut off by a range.
            MissingPackageError: GPyTorch is not installed.
        """
        x, y = x.to(torch.float64), y.to(torch.float64)
        if x.dim() != 1 or x.shape != y.shape or len(x) < 2:
            raise ShapeError(
                f"x and y must have one shape (n,), two or more, got {tuple(x.shape)} and {tuple(y.shape)}"
            )
        if not (torch.isfinite(x).all() and torch.isfinite(y).all()):
            raise InputError("x and y must be finite")
        axes = []
        for name, (low, high) in (("length_range", length_range), ("noise_range", noise_range)):
            if not 0 < low < high:
                raise InputError(f"{name} must be two positive numbers that rise, got {(low, high)}")
            axes.append(torch.logspace(math.log10(low), math.log10(high), points, dtype=torch.float64))
        length, noise = (t.reshape(-1) for t in torch.meshgrid(*axes, indexing="ij"))
        with torch.no_grad():
            # The logarithms are evenly spaced: density of the value times the value.
            prior = (length_prior or _default_length()).log_prob(length) + length.log()
            prior = prior + (noise_prior or _default_noise()).log_prob(noise) + noise.log()
            log = prior + log_marginal_likelihood(x, y, length, noise, amplitude)
        weights = (log - log.max()).exp()
        table = weights.reshape(points, points)
        for name, along in (("length_range", table.sum(1)), ("noise_range", table.sum(0))):
            if max(along[0], along[-1]) > 1e-2 * along.max():
                raise InputError(f"the posterior reaches an end of {name}: make it wider")
        kept = weights > 1e-6
        weights = weights[kept] / weights[kept].sum()
        return cls(x, y, length[kept], noise[kept], weights, float(amplitude))

    def after(self, state: Tensor) -> Normal:
        """Distributions of the next state, with process noise, `(points, n)`, at states `(n,)`."""
        with torch.no_grad():
            mean, variance = predicted(self, state.to(torch.float64))
        return Normal(mean, (variance + self.noise[:, None] ** 2).sqrt(), validate_args=False)

    def mean(self, state: Tensor) -> Tensor:
        """Expected next states `(n,)` of states `(n,)`."""
        return self.weights @ self.after(state).mean

    def sd(self, state: Tensor) -> Tensor:
        """Standard deviations `(n,)` of the next state: what is not known, and process noise."""
        after = self.after(state)
        mean = self.weights @ after.mean
        return (self.weights @ (after.variance + (after.mean - mean) ** 2)).sqrt()


def log_marginal_likelihood(x: Tensor, y: Tensor, length: Tensor, noise: Tensor, amplitude: float) -> Tensor:
    """Of hyper-parameters `(points,)`, by GPyTorch's exact inference, `(points,)`."""
    gpytorch = _gpytorch()
    model = _model(x, y, length, noise, amplitude)
    model.train()
    model.likelihood.train()
    each = gpytorch.mlls.ExactMarginalLogLikelihood(model.likelihood, model)
    # GPyTorch gives it per observation.
    result: Tensor = each(model(*model.train_inputs), model.train_targets) * len(x)
    return result


def predicted(process: GaussianProcess, state: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of the function, without noise, `(points, n)`."""
    model = _model(process.x, process.y, process.length, process.noise, process.amplitude)
    model.eval()
    model.likelihood.eval()
    found = model(state.expand(len(process.length), -1).unsqueeze(-1))
    return found.mean, found.variance.clamp(min=0.0)


def _model(x: Tensor, y: Tensor, length: Tensor, noise: Tensor, amplitude: float):  # type: ignore[no-untyped-def]
    """A process of GPyTorch for each pair of hyper-parameters."""
    gpytorch = _gpytorch()
    batch = torch.Size([len(length)])

    class Exact(gpytorch.models.ExactGP):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            likelihood = gpytorch.likelihoods.GaussianLikelihood(
                batch_shape=batch, noise_constraint=gpytorch.constraints.Positive()
            )
            points = x.expand(len(length), -1)
            super().__init__(points.unsqueeze(-1), y.expand_as(points), likelihood)
            self.mean_module = gpytorch.means.ZeroMean(batch_shape=batch)
            kernel = gpytorch.kernels.RBFKernel(batch_shape=batch)
            self.covar_module = gpytorch.kernels.ScaleKernel(kernel, batch_shape=batch)

        def forward(self, at: Tensor):  # type: ignore[no-untyped-def]
            return gpytorch.distributions.MultivariateNormal(self.mean_module(at), self.covar_module(at))

    model = Exact().double()
    model.covar_module.base_kernel.lengthscale = length[:, None, None]
    model.covar_module.outputscale = torch.full_like(length, amplitude**2)
    model.likelihood.noise = noise[:, None] ** 2
    return model


def _gpytorch():  # type: ignore[no-untyped-def]
    try:
        import gpytorch
    except ImportError as error:
        raise MissingPackageError("Gaussian processes need GPyTorch: pip install 'pydiffgeo[manage]'") from error
    return gpytorch
