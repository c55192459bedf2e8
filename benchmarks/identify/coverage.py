"""Do 90 % intervals hold the truth nine times in ten? 200 synthetic calibrations of a column and of a basin.

    python benchmarks/identify/coverage.py

Truths are drawn between the bounds, errors are independent ("independent") or those of daily runoff: they grow with it and
last, with an autocorrelation of 0.7 ("lasting"). Intervals are those of `laplace`, `randomised_maximum_likelihood` and of draws from
the density of `sample`, the latter two of the first calibrations only. All calibrations share model and weather, so their
members are solved together, and so are the chains, for which the sampler of `sample`, one chain after the other, is too slow:
they are plain Hamiltonian ones. What `ignored` shows: intervals from lasting errors that are taken for independent ones
of the stated size.

Truth and calibrations are solved in the same cheap steps: too long for the equations, they change the model for both alike. An
ensemble of 20 members is enough: of 21 draws of one posterior, the truth is the smallest or the largest in two cases of 21.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from types import SimpleNamespace

import numpy as np
import torch

import pydiffgeo as dg
from pydiffgeo.arrays import Array
from pydiffgeo.identify.error_model import ErrorModel, Errors, Record, estimated
from pydiffgeo.identify.inverse_problem import InverseProblem, of_function
from pydiffgeo.identify.mode import Mode, descend
from pydiffgeo.identify.posterior import covariance_of
from pydiffgeo.identify.sampling import Density, density, diagnostics
from pydiffgeo.transforms import Transforms, bounded

LEVEL, NORMAL = 0.9, 1.6448536
LASTING = 0.7
LEAPS = 3
METHODS = ("laplace", "rml", "sampling")


@dataclass(frozen=True, eq=False)
class Stepped(InverseProblem):
    """A problem whose function is many small steps of PyTorch: further members cost nothing, dual numbers a hundred times as much."""

    def linearised(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """By central differences, whose errors are about 1e-8 of a derivative."""
        n, h = x.shape[1], 1e-4
        moved = torch.cat([torch.zeros(1, n), h * torch.eye(n), -h * torch.eye(n)]).to(x)
        value = self.simulate((x.detach().unsqueeze(1) + moved).reshape(-1, n)).reshape(len(x), 2 * n + 1, -1)
        value, slope = value[:, 0], ((value[:, 1 : n + 1] - value[:, n + 1 :]) / (2 * h)).transpose(1, 2)
        ok = torch.isfinite(value).all(1) & torch.isfinite(slope).all(2).all(1)
        return torch.where(ok[:, None], value, 0.0), torch.where(ok[:, None, None], slope, 0.0), ok

    def simulate(self, x: torch.Tensor) -> torch.Tensor:
        """All at once."""
        with torch.no_grad():
            return self.function(x)


def stepped(problem: InverseProblem) -> Stepped:
    return Stepped(**{field.name: getattr(problem, field.name) for field in fields(problem)})


def basin() -> InverseProblem:
    """Five months of EXP-HYDRO without snow after a month of warm-up; three values are sought.

    The rates of the model are stepped in PyTorch, explicitly by days, all members in one tensor. Its melt is far too steep in
    the storage of snow for such steps.
    """
    random, days, warmup = np.random.default_rng(1), 180, 30
    t, model = np.arange(days), dg.models.ExpHydro()
    rain, warmth = random.gamma(0.4, 9.0, days), random.normal(0, 3, days)
    forcing = {
        "precipitation": torch.from_numpy(rain),
        "temperature": torch.from_numpy(14 - 6 * np.cos(2 * np.pi * t / 365) + warmth),
        "daylength": torch.from_numpy(12 - 4 * np.cos(2 * np.pi * t / 365)),
    }
    bounds = {"f": (0.01, 0.06), "S_max": (200.0, 600.0), "Q_max": (5.0, 20.0)}
    given = {"D_f": 2.5, "T_max": 1.0, "T_min": -1.0}
    transforms = Transforms(tuple(bounded(p, bounds[p.name]) for p in model.parameters if p.name in bounds))

    def runoff(x: torch.Tensor) -> torch.Tensor:
        fixed = {k: torch.tensor(v, dtype=torch.float64) for k, v in given.items()}
        values, snow, water = transforms.unpack(x), torch.zeros_like(x[:, :1]), torch.full_like(x[:, :1], 200.0)
        course = list[torch.Tensor]()
        for day in range(days):
            today = SimpleNamespace(**{k: v[day] for k, v in forcing.items()})
            rates = model.source(SimpleNamespace(**values, **fixed, snow_storage=snow, water_storage=water), today)
            snow, water = snow + rates["snow_storage"], water + rates["water_storage"]
            course.append(rates["runoff"])
        return torch.cat(course[warmup:], dim=1)

    problem = of_function(
        runoff, [*bounds], np.zeros(len(bounds)), np.zeros(days - warmup), 0.3, transforms=transforms, name="basin"
    )
    return stepped(problem)


def column() -> InverseProblem:
    """Eight days of rain on half a metre of unsaturated soil with three probes; three values are sought.

    Richards' equation on four cells: implicit steps of three hours of the mixed form, of four iterations each that hold the
    conductivities (Celia et al. 1990, Water Resour. Res. 26), with the curves of van Genuchten 1980 and Mualem 1976.
    """
    random, days, steps, cells, depth, dry, wet = np.random.default_rng(2), 8, 8, 4, 0.5, 0.06, 0.42
    rain = torch.from_numpy(np.where(random.random(days) < 0.4, random.gamma(1.5, 0.012, days), 0.0))
    bounds = {"K_s": (0.2, 2.0), "alpha": (1.0, 6.0), "n": (1.3, 2.2)}
    model = dg.models.RichardsColumn(depth=depth, cells=cells)
    transforms = Transforms(tuple(bounded(p, bounds[p.name]) for p in model.parameters if p.name in bounds))
    size, eye = depth / cells, torch.eye(cells, dtype=torch.float64)
    upper, lower = eye.roll(1, 1).triu(1), eye.roll(-1, 1).tril(-1)

    def soil(h: torch.Tensor, v: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Water content, its slope and the conductivity at heads `(members, cells)`."""
        u, m = (v["alpha"] * -h.clamp(max=-1e-4)) ** v["n"], 1 - 1 / v["n"]
        s = (1 + u) ** -m
        slope = (wet - dry) * v["alpha"] * (v["n"] - 1) * u**m * (1 + u) ** (-m - 1)
        return dry + (wet - dry) * s, slope, v["K_s"] * s.sqrt() * (1 - (1 - s ** (1 / m)) ** m) ** 2

    def after(h: torch.Tensor, v: dict[str, torch.Tensor], flux: torch.Tensor) -> torch.Tensor:
        """Heads after a step."""
        before = soil(h, v)[0]
        for _ in range(4):
            theta, slope, k = soil(h, v)
            face = (k[:, :-1] + k[:, 1:]) / 2
            none = torch.zeros_like(face[:, :1])
            above, below = torch.cat([none, face], 1), torch.cat([face, none], 1)
            # Rain above, unit gradient below.
            falling = torch.cat([flux.expand_as(none), face, k[:, -1:]], 1)
            diagonal = slope * steps + (above + below) / size**2
            matrix = (
                diagonal.unsqueeze(-1) * eye - (below.unsqueeze(-1) * upper + above.unsqueeze(-1) * lower) / size**2
            )
            right = slope * steps * h - (theta - before) * steps + (falling[:, :-1] - falling[:, 1:]) / size
            h = torch.linalg.solve(matrix, right)
        return h

    def probes(x: torch.Tensor) -> torch.Tensor:
        values, h = transforms.unpack(x), x.new_full((len(x), cells), -1.0)
        course = list[torch.Tensor]()
        for step in range(days * steps):
            h = after(h, values, rain[step // steps])
            if step % 2:
                course.append(soil(h, values)[0])
        return torch.stack(course, 2)[:, [0, 1, 3]].flatten(1)

    count = 3 * days * steps // 2
    problem = of_function(
        probes, transforms.names, np.zeros(3), np.zeros(count), 0.01, transforms=transforms, name="column"
    )
    distance = problem.record.distance.clone()
    distance[:: count // 3] = torch.inf
    return stepped(replace(problem, record=replace(problem.record, distance=distance)))


def truths(count: int, values: int) -> torch.Tensor:
    """Variables of the search: draws of what is known beforehand, so that nine intervals in ten should hold them."""
    share = torch.from_numpy(np.random.default_rng(3).uniform(0.0, 1.0, (count, values)))
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
        return [
            Mode(replace(self.problem, x=a, errors=m), asked, Errors.of(m, record), v, r.numpy(), p.numpy())
            for a, m, v, r, p in zip(x, models, value, rows, prior, strict=True)
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
    truth = truths(options.count, len(problem.names))
    problem = replace(problem, errors=real)
    simulated = problem.simulate(truth)
    noise = Errors.of(real, problem.record).noise(simulated, torch.Generator().manual_seed(4))
    return Calibrations(problem, asked, truth.numpy(), simulated, simulated + noise)


def by_laplace(all_: Calibrations, modes: Sequence[Mode], what: str) -> None:
    x = np.stack([mode.problem.x for mode in modes])
    spread = np.stack([np.sqrt(np.diag(covariance_of(mode))) for mode in modes])
    all_.hold(x - NORMAL * spread, x + NORMAL * spread, what)


def by_ensembles(some: Calibrations, modes: Sequence[Mode], members: int) -> None:
    """The members of all ensembles at once, as `randomised_maximum_likelihood` makes them."""
    random, record = torch.Generator().manual_seed(5), some.problem.record
    many = together([mode.problem.errors for mode in modes for _ in range(members)], record)
    at = np.repeat([mode.problem.x for mode in modes], members, 0)
    simulated = torch.stack([mode.simulated for mode in modes]).repeat_interleave(members, 0)
    many = many.held(simulated)
    noise = many.noise(simulated, random)
    shift = torch.logit(torch.rand(at.shape, generator=random, dtype=torch.float64).clamp(1e-6, 1 - 1e-6))
    observed = some.observed.repeat_interleave(members, 0) + noise
    state = descend(some.problem, many, at, observed=observed, shift=shift, tolerance=1e-6)
    draws = np.where(np.isfinite(state["loss"])[:, None], state["x"], np.nan).reshape(len(modes), members, -1)
    low, high = np.nanquantile(draws, (0.5 - LEVEL / 2, 0.5 + LEVEL / 2), axis=1, method="weibull")
    some.hold(low, high, f"  rml, {int(np.isfinite(draws[..., 0]).sum())} of {draws[..., 0].size} members fitted")


def by_sampling(some: Calibrations, modes: Sequence[Mode], options: argparse.Namespace) -> None:
    """Two chains of each posterior, all in step."""
    parts = [density(mode) for mode in modes] * 2
    joint = replace(
        parts[0],
        centre=torch.stack([p.centre for p in parts]),
        root=torch.stack([p.root for p in parts]),
        observed=some.observed.repeat(2, 1),
    )
    start = torch.randn(joint.centre.shape, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    z, taken = hamiltonian(joint, start, options.draws, options.warmup)
    chains = z.reshape(options.draws, 2, -1).swapaxes(0, 1)
    rhat, effective = diagnostics(chains)
    print(
        f"  {options.draws} draws of each of two chains, {100 * taken:.0f} % of steps taken; R-hat: median {np.median(rhat):.3f}, "
        f"largest {rhat.max():.3f}; effective sample size: median {np.median(effective):.0f}, least {effective.min():.0f}"
    )
    x = np.stack([joint.parts(torch.from_numpy(v))[0].numpy() for v in z])
    x = x.reshape(options.draws * 2, len(modes), -1)
    some.hold(*np.quantile(x, (0.5 - LEVEL / 2, 0.5 + LEVEL / 2), axis=0, method="weibull"), "  sampling")


def hamiltonian(target: Density, z: torch.Tensor, draws: int, warmup: int) -> tuple[Array, float]:
    """Chains of Hamiltonian Monte Carlo, each taking or refusing for itself with its own length of step, `(draws, chains, n)`.

    Gradients of all chains are found together, for what they cost. Steps are sought in the warm-up, and have random lengths
    after it (Neal 2011, Handbook of Markov Chain Monte Carlo, chapter 5).
    """
    random, length = torch.Generator().manual_seed(7), torch.full((len(z), 1), 0.3, dtype=torch.float64)

    def slope(at: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        leaf = at.detach().requires_grad_()
        value = target(leaf)
        (found,) = torch.autograd.grad(value.sum(), leaf)
        return value.detach(), found

    (value, pull), kept, taken = slope(z), list[Array](), 0.0
    for i in range(warmup + draws):
        speed = torch.randn(z.shape, generator=random, dtype=torch.float64)
        step = length * (0.8 + 0.4 * torch.rand(length.shape, generator=random, dtype=torch.float64))
        energy, at, force, now = value + 0.5 * (speed**2).sum(1), z, pull, value
        for _ in range(LEAPS):
            speed = speed - 0.5 * step * force
            at = at + step * speed
            now, force = slope(at)
            speed = speed - 0.5 * step * force
        change = torch.nan_to_num(energy - now - 0.5 * (speed**2).sum(1), nan=-torch.inf)
        chance = torch.exp(change.clamp(max=0.0))
        ok = torch.rand(chance.shape, generator=random, dtype=torch.float64) < chance
        z, pull = torch.where(ok[:, None], at, z), torch.where(ok[:, None], force, pull)
        value = torch.where(ok, now, value)
        if i < warmup:
            length = length * torch.exp((chance[:, None] - 0.8) / (1 + i / 4))
        else:
            kept.append(z.numpy().copy())
            taken += float(chance.mean()) / draws
    return np.stack(kept), taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sites", nargs="+", choices=("basin", "column"), default=["basin", "column"])
    parser.add_argument("--errors", nargs="+", choices=("independent", "lasting"), default=["lasting", "independent"])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--count", type=int, default=200, help="calibrations")
    parser.add_argument("--ensembles", type=int, default=200, help="of so many calibrations")
    parser.add_argument("--members", type=int, default=20, help="of each ensemble")
    parser.add_argument("--sampled", type=int, default=60, help="calibrations")
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
            elif method == "rml":
                by_ensembles(calibrations.first(options.ensembles), modes[: options.ensembles], options.members)
            else:
                by_sampling(calibrations.first(options.sampled), modes[: options.sampled], options)
            print(f"    {time.process_time() - started:.0f} s of processor time so far", flush=True)


if __name__ == "__main__":
    main()
