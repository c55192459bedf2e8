"""Do 90 % intervals hold the truth nine times in ten? 200 synthetic calibrations of a column and of a basin.

    python benchmarks/identify/coverage.py

Truths are drawn between the bounds, errors are independent ("independent") or those of daily runoff: they grow with it and
last, with an autocorrelation of 0.7 ("lasting"). Intervals are those of `laplace`, `randomised_maximum_likelihood` and of draws from
the density of `sample`, the latter two of the first calibrations only. All calibrations share model and weather, so their
members are solved together, and so are the chains, for which the sampler of `sample`, one chain after the other, is too slow:
they are plain Hamiltonian ones, with its jumps. What `ignored` shows: intervals from lasting errors that are taken for independent ones
of the stated size.

Ensembles have weights ("rml"), or are those of the plain method ("plain"). 20 members are enough: of 21 draws of one posterior,
the truth is the smallest or the largest in two cases of 21. "exact" weighs points that are evenly drawn from what was known beforehand
by their likelihood, which is the posterior itself, where the errors that were found are taken for granted.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from synthetic import basin, column

from pydiffgeo.arrays import Array
from pydiffgeo.identify.density import REFUSED, Density, density
from pydiffgeo.identify.error_model import ErrorModel, Errors, Record, estimated
from pydiffgeo.identify.inverse_problem import InverseProblem
from pydiffgeo.identify.jumps import Jumps, jumps_of
from pydiffgeo.identify.mode import Mode, descend, rows_of
from pydiffgeo.identify.posterior import covariance_of, effective, quantiles
from pydiffgeo.identify.sampling import diagnostics
from pydiffgeo.identify.weighted_members import Residuals, directions, drawn

LEVEL, NORMAL = 0.9, 1.6448536
LASTING = 0.7
# Chains whose R-hat is smaller have met (Vehtari et al. 2021, Bayesian Anal. 16, ask for 1.01, in long chains).
MET = 1.05
METHODS = ("laplace", "rml", "plain", "exact", "sampling")


def truths(count: int, values: int, seed: int) -> torch.Tensor:
    """Variables of the search: draws of what is known beforehand, so that nine intervals in ten should hold them."""
    share = torch.from_numpy(np.random.default_rng(seed).uniform(0.0, 1.0, (count, values)))
    return torch.logit(share.clamp(0.01, 0.99))


@dataclass(frozen=True)
class Calibrations:
    """Synthetic calibrations of one kind.

    Attributes:
        problem: that all of them share, but for what was observed.
        asked: what of the errors is known. truth: `(count, n)`. simulated, observed: `(count, m)`.
    """

    problem: InverseProblem
    asked: ErrorModel
    truth: Array
    simulated: torch.Tensor
    observed: torch.Tensor

    def first(self, count: int) -> Calibrations:
        """Some of them."""
        return replace(self, truth=self.truth[:count], simulated=self.simulated[:count], observed=self.observed[:count])

    def modes(self, asked: ErrorModel) -> list[Mode]:
        """Those of all, with the errors that are found or taken for granted."""
        models = [ErrorModel(1.0, asked.growth or 0.0, asked.autocorrelation or 0.0)] * len(self.truth)
        x, record = self.truth, self.problem.record
        for _ in range(4 if asked.unknown else 1):
            x = descend(self.problem, together(models, record), x, observed=self.observed, tolerance=1e-6)["x"]
            value, slope, _ = self.problem.linearised(torch.from_numpy(x))
            prior = self.problem.prior_rows(torch.from_numpy(x))
            if asked.unknown:
                models = [
                    estimated(asked, replace(record, observed=o), v, j, p)
                    for o, v, j, p in zip(self.observed, value, slope, prior, strict=True)
                ]
        rows = together(models, record).rows(value, slope)
        records = [replace(record, observed=one) for one in self.observed]
        return [
            Mode(replace(self.problem, x=a, errors=m, record=s), asked, Errors.of(m, s), v, r.numpy(), p.numpy())
            for a, m, s, v, r, p in zip(x, models, records, value, rows, prior, strict=True)
        ]

    def hold(self, low: Array, high: Array, what: str) -> None:
        """Says how many intervals `(count, n)` hold the truth, with the standard error of nine in ten for as many calibrations."""
        inside = (self.truth >= low) & (self.truth <= high)
        each = ", ".join(f"{n} {100 * inside[:, i].mean():.1f}" for i, n in enumerate(self.problem.names))
        doubt = 100 * np.sqrt(LEVEL * (1 - LEVEL) / inside.size)
        print(
            f"{what}: {100 * inside.mean():.1f} % of {inside.size} intervals of {len(inside)} calibrations hold the truth "
            f"({each}; chance alone moves {100 * LEVEL:g} % by {doubt:.1f})",
            flush=True,
        )


def together(models: Sequence[ErrorModel], record: Record) -> Errors:
    """The errors of all members."""
    numbers = ([getattr(m, k) for m in models] for k in ("size", "growth", "autocorrelation"))
    return Errors(record, *(torch.tensor(v, dtype=torch.float64)[:, None] for v in numbers))


def made(place: str, lasting: bool, options: argparse.Namespace) -> Calibrations:
    """Truths and what was observed of them."""
    problem = {"basin": basin, "column": column}[place]()
    growth = (0.1 if place == "basin" else 0.0) if lasting else 0.0
    asked = ErrorModel(None, None if growth else 0.0, None) if lasting else ErrorModel()
    real = ErrorModel(1.0, growth, LASTING if lasting else 0.0)
    truth = truths(options.count, len(problem.names), options.seed)
    problem = replace(problem, errors=real)
    simulated = problem.simulate(truth)
    noise = Errors.of(real, problem.record).noise(simulated, torch.Generator().manual_seed(options.seed + 1))
    return Calibrations(problem, asked, truth.numpy(), simulated, simulated + noise)


def by_laplace(all_: Calibrations, modes: Sequence[Mode], what: str) -> None:
    x = np.stack([mode.problem.x for mode in modes])
    spread = np.stack([np.sqrt(np.diag(covariance_of(mode))) for mode in modes])
    all_.hold(x - NORMAL * spread, x + NORMAL * spread, what)


def by_ensembles(some: Calibrations, modes: Sequence[Mode], members: int, weighted: bool) -> None:
    draws, weights = ensembles(some, modes, members, weighted)
    good = weights > 0
    shares = [effective(w) / members for w in weights]
    print(
        f"  {int(good.sum())} of {good.size} members fitted; effective ones of those asked for: median "
        f"{100 * np.median(shares):.0f} %, least {100 * min(shares):.0f} %"
    )
    ends = np.array(
        [
            quantiles(d[g], w[g], (0.5 - LEVEL / 2, 0.5 + LEVEL / 2))
            for d, w, g in zip(draws, weights, good, strict=True)
        ]
    )
    some.hold(ends[:, 0], ends[:, 1], f"  {'rml' if weighted else 'plain rml'}, {members} members")


def anchored(some: Calibrations, modes: Sequence[Mode]) -> tuple[Array, torch.Tensor, Residuals]:
    """Modes `(modes, n)`, what is simulated there `(modes, m)`, and residuals whose errors have the sizes that they have there."""
    simulated = torch.stack([mode.simulated for mode in modes])
    held = together([mode.problem.errors for mode in modes], some.problem.record).held(simulated)
    return np.stack([mode.problem.x for mode in modes]), simulated, Residuals(some.problem, held, some.observed)


def ensembles(some: Calibrations, modes: Sequence[Mode], members: int, weighted: bool) -> tuple[Array, Array]:
    """The members of all ensembles at once, as `randomised_maximum_likelihood` makes them: `(modes, members, n)`, and their weights."""
    random, record = torch.Generator().manual_seed(5), some.problem.record
    errors = together([mode.problem.errors for mode in modes], record)
    at, simulated, residuals = anchored(some, modes)
    every = np.repeat(np.arange(len(modes)), members)
    start = at[every]
    if weighted:
        basis = directions(residuals, at)
        x, logs = drawn(residuals.of(every), basis[every], start, rows_of(errors, every), random)
        logs = logs.reshape(len(modes), members)
        weights = np.exp(logs - logs.max(1, keepdims=True))
    else:
        many = rows_of(residuals.errors, every)
        shift = torch.logit(torch.rand(start.shape, generator=random, dtype=torch.float64).clamp(1e-6, 1 - 1e-6))
        noise = many.noise(simulated[every], random)
        state = descend(some.problem, many, start, observed=some.observed[every] + noise, shift=shift, tolerance=1e-6)
        x, weights = state["x"], np.isfinite(state["loss"]).astype(float).reshape(len(modes), members)
    return x.reshape(len(modes), members, -1), weights


def by_weights(some: Calibrations, modes: Sequence[Mode], points: int) -> None:
    """Of all posteriors with the same points, by their likelihoods."""
    sobol = torch.quasirandom.SobolEngine(len(some.problem.names), scramble=True, seed=1)
    x = torch.logit(sobol.draw(points, dtype=torch.float64).clamp(1e-6, 1 - 1e-6))
    simulated = torch.cat([some.problem.simulate(part) for part in x.split(4096)])
    ends, counts = list[Array](), list[float]()
    for mode, observed in zip(modes, some.observed, strict=True):
        potential = mode.errors.potential(simulated, observed[None])
        weights = torch.softmax(-potential, 0).numpy()
        counts.append(effective(weights))
        ends.append(quantiles(x.numpy(), weights, (0.5 - LEVEL / 2, 0.5 + LEVEL / 2)))
    print(f"  {points} points; effective ones: median {np.median(counts):.0f}, least {min(counts):.0f}")
    some.hold(np.stack(ends)[:, 0], np.stack(ends)[:, 1], "  exact")


def by_sampling(some: Calibrations, modes: Sequence[Mode], options: argparse.Namespace) -> None:
    """Several chains of each posterior, all in step."""
    several = options.chains
    parts = [density(mode) for mode in modes] * several
    joint = replace(
        parts[0],
        centre=torch.stack([p.centre for p in parts]),
        root=torch.stack([p.root for p in parts]),
        observed=some.observed.repeat(several, 1),
    )
    random = torch.Generator().manual_seed(6)
    start = torch.randn(joint.centre.shape, generator=random, dtype=torch.float64)
    jumps = several_jumps(some, modes, several, options.warmup + options.draws, random) if options.jumps else None
    z, taken, jumped = hamiltonian(joint, start, options, jumps)
    x = np.stack([joint.parts(torch.from_numpy(v))[0].numpy() for v in z])
    chains = x.reshape(options.draws, several, -1).swapaxes(0, 1)
    rhat, counts = (v.reshape(len(modes), -1) for v in diagnostics(chains))
    met = rhat.max(1) < MET
    print(
        f"  {options.draws} draws of each of {several} chains, {100 * taken:.0f} % of steps taken and {100 * jumped:.0f} % "
        f"of jumps; R-hat: median "
        f"{np.median(rhat):.3f}, largest {rhat.max():.3f}, below {MET:g} for all values in {met.sum()} of {len(met)}; effective sample "
        f"size: median {np.median(counts):.0f}, least {counts.min():.0f}"
    )
    draws = x.reshape(options.draws * several, len(modes), -1)
    low, high = np.quantile(draws, (0.5 - LEVEL / 2, 0.5 + LEVEL / 2), axis=0, method="weibull")
    some.hold(low, high, "  sampling")
    if met.any() and not met.all():
        replace(some, truth=some.truth[met]).hold(low[met], high[met], f"  sampling, R-hat below {MET:g}")


def several_jumps(
    some: Calibrations, modes: Sequence[Mode], several: int, steps: int, random: torch.Generator
) -> Jumps:
    """Those of `sample`, of several chains of each posterior."""
    at, _, residuals = anchored(some, modes)
    whose = np.tile(np.arange(len(modes)), several)
    return jumps_of(residuals.of(whose), directions(residuals, at)[whose], at[whose], steps, random, batch=4096)


def sloped(target: Density, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The density and its slope, by the Jacobian of what is observed: `Stepped` has it for less than a sweep back costs."""
    with torch.no_grad():
        x, free = target.parts(z)
    simulated, jacobian, ok = target.problem.linearised(x)
    leaves = [v.clone().requires_grad_() for v in (x, free, torch.where(ok[:, None], simulated, 1.0))]
    value = target.of_errors(leaves[1], leaves[2]) + target.problem.prior(leaves[0])
    along = torch.autograd.grad(value.sum(), leaves, allow_unused=True, materialize_grads=True)
    pull = torch.cat([along[0] + torch.einsum("mri,mr->mi", jacobian, along[2]), along[1]], dim=1)
    return torch.where(ok, value.detach(), REFUSED), torch.einsum("mij,mi->mj", target.root, pull)


def hamiltonian(
    target: Density, z: torch.Tensor, options: argparse.Namespace, jumps: Jumps | None
) -> tuple[Array, float, float]:
    """Chains of Hamiltonian Monte Carlo, each taking or refusing for itself with its own length of step, `(draws, chains, n)`, and
    the shares of steps and of jumps that are taken. Ahead of each step a chain may jump.

    Gradients of all chains are found together, for what they cost. Steps are sought in the warm-up, and have random lengths
    after it (Neal 2011, Handbook of Markov Chain Monte Carlo, chapter 5).
    """
    random, length = torch.Generator().manual_seed(7), torch.full((len(z), 1), 0.4, dtype=torch.float64)
    (value, pull), kept, taken, jumped = sloped(target, z), list[Array](), 0.0, 0.0
    for i in range(options.warmup + options.draws):
        if jumps is not None:
            z, went = jumps.jumped(target, z, i)
            value, pull = sloped(target, z)
            jumped += float(went.double().mean()) / (options.warmup + options.draws)
        speed = torch.randn(z.shape, generator=random, dtype=torch.float64)
        step = length * (0.6 + 0.8 * torch.rand(length.shape, generator=random, dtype=torch.float64))
        energy, at, force, now = value + 0.5 * (speed**2).sum(1), z, pull, value
        for _ in range(options.leaps):
            speed = speed - 0.5 * step * force
            at = at + step * speed
            now, force = sloped(target, at)
            speed = speed - 0.5 * step * force
        change = torch.nan_to_num(energy - now - 0.5 * (speed**2).sum(1), nan=-torch.inf)
        chance = torch.exp(change.clamp(max=0.0))
        ok = torch.rand(chance.shape, generator=random, dtype=torch.float64) < chance
        z, pull = torch.where(ok[:, None], at, z), torch.where(ok[:, None], force, pull)
        value = torch.where(ok, now, value)
        if i < options.warmup:
            length = length * torch.exp((chance[:, None] - 0.8) / (1 + i / 4))
        else:
            kept.append(z.numpy().copy())
            taken += float(chance.mean()) / options.draws
    return np.stack(kept), taken, jumped


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sites", nargs="+", choices=("basin", "column"), default=["basin", "column"])
    parser.add_argument("--errors", nargs="+", choices=("independent", "lasting"), default=["lasting", "independent"])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=("laplace", "rml"))
    parser.add_argument("--seed", type=int, default=3, help="of truths and errors")
    parser.add_argument("--count", type=int, default=200, help="calibrations")
    parser.add_argument("--ensembles", type=int, default=200, help="of so many calibrations")
    parser.add_argument("--members", type=int, default=20, help="of each ensemble")
    parser.add_argument("--points", type=int, default=2**17, help="of the exact posteriors")
    parser.add_argument("--sampled", type=int, default=60, help="calibrations")
    parser.add_argument("--chains", type=int, default=2, help="of each posterior")
    parser.add_argument(
        "--jumps", action=argparse.BooleanOptionalAction, default=True, help="of chains, to weighted members"
    )
    parser.add_argument("--leaps", type=int, default=5, help="of a trajectory")
    parser.add_argument("--draws", type=int, default=60)
    parser.add_argument("--warmup", type=int, default=40)
    options = parser.parse_args()
    started = time.process_time()
    for place, errors in itertools.product(options.sites, options.errors):
        calibrations = made(place, errors == "lasting", options)
        print(f"{place}, errors {errors}, {len(calibrations.problem.record)} observations", flush=True)
        if errors == "lasting" and "laplace" in options.methods:
            by_laplace(calibrations, calibrations.modes(ErrorModel()), "  ignored")
        modes = calibrations.modes(calibrations.asked)
        found = ((k, [getattr(m.problem.errors, k) for m in modes]) for k in ("size", "growth", "autocorrelation"))
        print(f"  errors found in the mean: {', '.join(f'{k} {np.mean(v):.3f}' for k, v in found)}")
        for method in options.methods:
            if method == "laplace":
                by_laplace(calibrations, modes, "  laplace")
            elif method in ("rml", "plain"):
                some = calibrations.first(options.ensembles)
                by_ensembles(some, modes[: options.ensembles], options.members, method == "rml")
            elif method == "exact":
                by_weights(calibrations.first(options.ensembles), modes[: options.ensembles], options.points)
            else:
                by_sampling(calibrations.first(options.sampled), modes[: options.sampled], options)
            print(f"    {time.process_time() - started:.0f} s of processor time so far", flush=True)


if __name__ == "__main__":
    main()
