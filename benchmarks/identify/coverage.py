"""Do 90 % intervals hold the truth nine times in ten? 200 synthetic calibrations of a column and of a basin.

    python benchmarks/identify/coverage.py --engine julia

Truths are drawn between the bounds, errors are independent ("independent") or those of daily runoff: they grow with it and
last, with an autocorrelation of 0.7 ("lasting"). Intervals are those of `laplace`, `randomised_maximum_likelihood` and the
density and the sampler of `sample`. All calibrations share model and weather, so their members are solved together; the
chains of the sampler run over the product of all posteriors. What `ignored` shows: intervals from lasting errors
that are taken for independent ones of the stated size.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace

import numpy as np
import torch

import pydiffgeo as dg
from pydiffgeo.calibration import Site
from pydiffgeo.identify.error_model import ErrorModel, Errors, Record, estimated
from pydiffgeo.identify.inverse_problem import InverseProblem, of_site
from pydiffgeo.identify.mode import Mode, descend
from pydiffgeo.identify.posterior import covariance_of
from pydiffgeo.identify.sampling import density, diagnostics, no_u_turn

LEVEL, NORMAL = 0.9, 1.6448536
LASTING = 0.7


def basin(settings: dict[str, object]) -> Site:
    """Five months of EXP-HYDRO after two months of warm-up; four values are sought."""
    random, days, warmup = np.random.default_rng(1), 210, 60
    t = np.arange(days)
    forcing = {
        "precipitation": random.gamma(0.4, 9.0, days),
        "temperature": 8 - 10 * np.cos(2 * np.pi * t / 365) + random.normal(0, 3, days),
        "daylength": 12 - 4 * np.cos(2 * np.pi * t / 365),
    }
    seen = np.stack([t[warmup:], t[warmup:] + 1.0], axis=1)
    return Site(
        "basin",
        dg.models.ExpHydro(),
        np.arange(days + 1.0),
        {k: torch.from_numpy(v) for k, v in forcing.items()},
        (dg.observe.Observation("runoff", "flux_mean", seen, np.zeros(len(seen)), error=0.3),),
        {"f": (0.01, 0.1), "S_max": (100.0, 600.0), "Q_max": (5.0, 40.0), "D_f": (1.0, 5.0)},
        fixed={"T_max": 1.0, "T_min": -1.0},
        initial={"water_storage": 300.0},
        loss="gaussian",
        settings=settings,
    )


def column(settings: dict[str, object]) -> Site:
    """Ten days of rain and drying in half a metre of soil with three probes; three values are sought."""
    random, days = np.random.default_rng(2), 10
    rain = np.where(random.random(days) < 0.3, random.gamma(1.5, 0.012, days), 0.0)
    forcing = {"precipitation": torch.from_numpy(rain), "potential_evaporation": torch.full((days,), 0.004).double()}
    when = np.arange(0.25, days, 0.25)
    probes = tuple(
        dg.observe.Observation("theta", "value", when, np.zeros(len(when)), error=0.01, depth=depth)
        for depth in (0.05, 0.2, 0.4)
    )
    return Site(
        "column",
        dg.models.RichardsColumn(depth=0.5, cells=4, top="atmosphere"),
        np.arange(days + 1.0),
        forcing,
        probes,
        {"K_s": (0.05, 2.0), "alpha": (1.0, 6.0), "n": (1.2, 2.2)},
        initial={"head": -1.0},
        loss="gaussian",
        settings=settings,
    )


def truths(count: int, values: int) -> torch.Tensor:
    """Variables of the search, from a fifth to four fifths of each range."""
    share = torch.from_numpy(np.random.default_rng(3).uniform(0.2, 0.8, (count, values)))
    return torch.logit(share)


def fitted(
    problem: InverseProblem, asked: ErrorModel, observed: torch.Tensor, x: np.ndarray
) -> tuple[np.ndarray, Errors]:
    """Modes of all calibrations, `(members, n)`, and their errors, in turn."""
    models = [ErrorModel(1.0, asked.growth or 0.0, asked.autocorrelation or 0.0)] * len(x)
    for _ in range(4 if asked.unknown else 1):
        x = descend(problem, together(models, problem.record), x, observed=observed, tolerance=1e-8)["x"]
        if asked.unknown:
            simulated = problem.simulate(torch.from_numpy(x))
            models = [
                estimated(asked, replace(problem.record, observed=o), s, x.shape[1])
                for o, s in zip(observed, simulated, strict=True)
            ]
    return x, together(models, problem.record)


def together(models: list[ErrorModel], record: Record) -> Errors:
    """The errors of all members."""
    numbers = ([getattr(m, k) for m in models] for k in ("size", "growth", "autocorrelation"))
    return Errors(record, *(torch.tensor(v, dtype=torch.float64)[:, None] for v in numbers))


def covered(low: np.ndarray, high: np.ndarray, truth: np.ndarray, names: tuple[str, ...], what: str) -> None:
    inside = (truth >= low) & (truth <= high)
    each = ", ".join(f"{n} {100 * inside[:, i].mean():.1f}" for i, n in enumerate(names))
    print(f"{what}: {100 * inside.mean():.1f} % of {inside.size} intervals hold the truth ({each})", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sites", nargs="+", choices=("basin", "column"), default=["basin", "column"])
    parser.add_argument("--errors", nargs="+", choices=("independent", "lasting"), default=["lasting", "independent"])
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--members", type=int, default=40)
    parser.add_argument("--draws", type=int, default=50)
    parser.add_argument("--warmup", type=int, default=25)
    parser.add_argument("--engine", default="auto")
    options = parser.parse_args()
    for errors in options.errors:
        for site in options.sites:
            print(f"{site}, errors {errors}", flush=True)
            calibrations(site, errors == "lasting", options)


def calibrations(place: str, lasting: bool, options: argparse.Namespace) -> None:
    """All calibrations of one kind, and how many of their intervals hold the truth."""
    settings = {"engine": options.engine, "rtol": 1e-5, "atol": 1e-6}
    site = {"basin": basin, "column": column}[place](settings)
    growth = (0.1 if place == "basin" else 0.0) if lasting else 0.0
    asked = ErrorModel(None, None if growth else 0.0, None) if lasting else ErrorModel()
    real = ErrorModel(1.0, growth, LASTING if lasting else 0.0)
    truth = truths(options.count, len(site.transforms.items))
    problem = of_site(site, truth[0], errors=real)
    simulated = problem.simulate(truth)
    observed = simulated + Errors.of(real, problem.record).noise(simulated, torch.Generator().manual_seed(4))
    names, n, true = problem.names, truth.shape[1], truth.numpy()
    started = time.process_time()

    def told(what: str) -> None:
        print(f"  {what}: {time.process_time() - started:.0f} s of processor time so far", flush=True)

    def information(x: np.ndarray, errors: Errors) -> tuple[np.ndarray, np.ndarray]:
        value, slope, _ = problem.linearised(torch.from_numpy(x))
        return errors.rows(value, slope).numpy(), problem.prior_rows(torch.from_numpy(x)).numpy()

    def covariances(x: np.ndarray, errors: Errors) -> np.ndarray:
        modes = (
            Mode(replace(problem, x=a), asked, errors, value, rows, prior)
            for a, value, rows, prior in zip(x, simulated, *information(x, errors), strict=True)
        )
        return np.stack([covariance_of(mode) for mode in modes])

    if lasting:
        x, errors = fitted(problem, ErrorModel(), observed, true)
        spread = np.sqrt(np.diagonal(covariances(x, errors), axis1=1, axis2=2))
        covered(x - NORMAL * spread, x + NORMAL * spread, true, names, "ignored")
    x, errors = fitted(problem, asked, observed, true)
    numbers = ", ".join(f"{k} {getattr(errors, k).mean():.3f}" for k in ("size", "growth", "autocorrelation"))
    print(f"errors found in the mean: {numbers}")
    covariance = covariances(x, errors)
    spread = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    covered(x - NORMAL * spread, x + NORMAL * spread, true, names, "laplace")
    told("laplace")

    # The members of all ensembles at once, as `randomised_maximum_likelihood` makes them.
    members, random = options.members, torch.Generator().manual_seed(5)
    many = Errors(
        problem.record, *(v.repeat_interleave(members, 0) for v in (errors.size, errors.growth, errors.autocorrelation))
    )
    at = torch.from_numpy(x).repeat_interleave(members, 0)
    noise = many.noise(problem.simulate(torch.from_numpy(x)).repeat_interleave(members, 0), random)
    shift = torch.logit(torch.rand(at.shape, generator=random, dtype=torch.float64).clamp(1e-6, 1 - 1e-6))
    state = descend(
        problem, many, at.numpy(), observed=observed.repeat_interleave(members, 0) + noise, shift=shift, tolerance=1e-5
    )
    draws = np.where(np.isfinite(state["loss"])[:, None], state["x"], np.nan).reshape(options.count, members, n)
    low, high = np.nanquantile(draws, (0.5 - LEVEL / 2, 0.5 + LEVEL / 2), axis=1, method="weibull")
    covered(low, high, true, names, f"rml, {int(np.isfinite(draws[..., 0]).sum())} members")
    told("rml")

    parts = [
        density(
            Mode(
                replace(
                    problem,
                    x=x[i],
                    errors=ErrorModel(*(float(getattr(errors, k)[i]) for k in ("size", "growth", "autocorrelation"))),
                ),
                asked,
                errors,
                simulated[i],
                r,
                p,
            )
        )
        for i, (r, p) in enumerate(zip(*information(x, errors), strict=True))
    ]
    joint = replace(
        parts[0],
        centre=torch.stack([p.centre for p in parts]),
        root=torch.stack([p.root for p in parts]),
        observed=observed,
    )
    size = joint.centre.shape
    chains = []
    for chain in range(2):
        start = torch.randn(size.numel(), generator=random, dtype=torch.float64)
        z, diverged = no_u_turn(
            lambda v: joint(v.reshape(size)).sum(),
            start,
            draws=options.draws,
            warmup=options.warmup,
            seed=chain,
            depth=2,
        )
        chains.append(z)
        told(f"chain {chain}, {diverged} diverged")
    z = np.stack(chains)
    rhat, effective = diagnostics(z)
    print(
        f"R-hat: median {np.median(rhat):.3f}, largest {rhat.max():.3f}; effective sample size: median {np.median(effective):.0f}"
    )
    drawn = np.stack([joint.parts(torch.from_numpy(v).reshape(size))[0].numpy() for v in z.reshape(-1, size.numel())])
    low, high = np.quantile(drawn, (0.5 - LEVEL / 2, 0.5 + LEVEL / 2), axis=0, method="weibull")
    covered(low, high, true, names, "sampling")
    told("all")


if __name__ == "__main__":
    main()
