"""Which process does a model lack? Found from noisy observations, by smoothing a record and regressing what was amiss.

Twins: the truth is a run of the whole model; the model that is given to the method lacks one of its processes, and all that
is seen of the truth are noisy observations of some of it. The record is smoothed (weak-constraint 4D-Var: states and
what the model got wrong, day by day), and what the model got wrong is regressed on candidate terms with units. The term that
is found is added to the model, and its coefficient refined through the solver over the whole record.

    python examples/missing_process.py [--seeds 5] [--engine auto] [--output missing_process.png]

Prints for each twin and seed of weather and noise: the verdict, the terms, the error of the coefficient from regression
and after refinement, and in how many resamples the same terms are chosen.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import Tensor

import pydiffgeo as dg
from pydiffgeo.assimilate import Problem, SmoothedRecord, smooth_record
from pydiffgeo.discover import Candidate, Discovery, record_increments, record_library
from pydiffgeo.processes.evaporation import hamon

# Of the regression, the same for all twins.
TOLERANCE, ALL_OF = 0.02, 2


@dataclass(frozen=True)
class Probe:
    """What is observed. Attributes: name: a state, or the flux "runoff". every: days. error: of the values, or a share."""

    name: str
    every: int
    error: float
    relative: bool = False
    cell: int | None = None


@dataclass(frozen=True, eq=False)
class Twin:
    """A model and what it lacks.

    Attributes:
        truth, lacking: the model, and the same without one process. true: state -> (term, coefficient) that should be found.
        probes: what is seen. seen: the same in words. width: days of which means are regressed.
    """

    truth: dg.Model
    lacking: dg.Model
    true: dict[str, tuple[str, float]]
    candidates: Sequence[Candidate]
    parameters: dict[str, float]
    forcing: dict[str, np.ndarray]
    initial: dict[str, float]
    uncertain: dict[str, float]
    probes: tuple[Probe, ...]
    seen: str
    rtol: float
    width: int = 10


def lacking(model: dg.Model, lost: Callable[[SimpleNamespace, SimpleNamespace], dict]) -> dg.Model:
    """The model without rates: what they add to each state and flux is taken away."""

    def source(cell, forcing):
        rates = dict(model.source(cell, forcing))
        for name, rate in lost(cell, forcing).items():
            rates[name] = rates[name] - rate
        return rates

    return replace(model, name=f"{model.name}Lacking", source=source)


def of(name: str, unit: str, rate: Callable) -> Candidate:
    return Candidate(name, rate, unit)


def weather(days: int, seed: int) -> dict[str, np.ndarray]:
    """Wet winters and dry summers."""
    random, season = np.random.default_rng(seed), np.cos(2 * np.pi * (np.arange(days) + 10) / 365)
    wet = random.random(days) < 0.35
    return {
        "precipitation": np.where(wet, random.exponential(8.0, days), 0.0) * (1 + 0.8 * season),
        "temperature": 10 - 9 * season + random.normal(0, 2, days),
        "daylength": 12 - 3 * season,
    }


def evaporation(days: int, seed: int, runoff_only: bool = False) -> Twin:
    """EXP-HYDRO without evapotranspiration, seen by its runoff."""
    plain = dg.models.ExpHydro()

    def lost(cell, forcing):
        rate = plain.source(cell, forcing)["evapotranspiration"]
        return {"water_storage": -rate, "evapotranspiration": rate}

    def demand(f):
        return hamon(f.temperature, f.daylength)

    candidates = (
        of("S", "mm", lambda c, f: c.water_storage),
        of("S^2", "mm2", lambda c, f: c.water_storage**2),
        of("PET", "mm d-1", lambda c, f: demand(f)),
        of("PET S", "mm2 d-1", lambda c, f: demand(f) * c.water_storage),
        of("PET S^2", "mm3 d-1", lambda c, f: demand(f) * c.water_storage**2),
        of("P", "mm d-1", lambda c, f: f.precipitation),
        of("P S", "mm2 d-1", lambda c, f: f.precipitation * c.water_storage),
        of("snow", "mm", lambda c, f: c.snow_storage),
        of("T", "degC", lambda c, f: f.temperature),
        of("one", "1", lambda c, f: torch.ones_like(c.water_storage)),
    )
    storage = () if runoff_only else (Probe("water_storage", 10, 10.0),)
    return Twin(
        plain,
        lacking(plain, lost),
        {"water_storage": ("PET S", -1 / 400)},
        candidates,
        {"f": 0.03, "S_max": 400.0, "Q_max": 20.0, "T_min": -1.0, "T_max": 1.0, "D_f": 2.5},
        weather(days, seed),
        {"snow_storage": 0.0, "water_storage": 300.0},
        {"snow_storage": 1.0, "water_storage": 30.0},
        (Probe("runoff", 1, 0.1, relative=True), *storage),
        "runoff daily to 10 %" + ("" if runoff_only else ", storage every 10 d to 10 mm"),
        1e-4,
    )


def hbv(days: int, seed: int, process: str) -> Twin:
    """HBV without capillary rise or without the recession of its lower zone."""
    plain, given = dg.models.HBV(), weather(days, seed)
    given["temperature"] = given["temperature"] + 6.0
    given["potential_evapotranspiration"] = hamon(
        torch.from_numpy(given["temperature"]), torch.from_numpy(given.pop("daylength"))
    ).numpy()
    values = {"BETA": 2.0, "FC": 250.0, "K1": 0.1, "K2": 0.03, "LP": 0.7, "PERC": 2.5, "C": 0.03}

    def deficit(c):
        return 1 - c.soil_moisture / c.FC

    candidates = (
        of("soil", "mm", lambda c, f: c.soil_moisture),
        of("soil^2", "mm2", lambda c, f: c.soil_moisture**2),
        of("upper", "mm", lambda c, f: c.upper_zone),
        of("lower", "mm", lambda c, f: c.lower_zone),
        of("lower^2", "mm2", lambda c, f: c.lower_zone**2),
        of("lower deficit", "mm", lambda c, f: c.lower_zone * deficit(c)),
        of("PET", "mm d-1", lambda c, f: f.potential_evapotranspiration),
        of("PET deficit", "mm d-1", lambda c, f: f.potential_evapotranspiration * deficit(c)),
        of("P", "mm d-1", lambda c, f: f.precipitation),
        of("P deficit", "mm d-1", lambda c, f: f.precipitation * deficit(c)),
        of("one", "1", lambda c, f: torch.ones_like(c.lower_zone)),
    )

    def rise(c, f):
        return c.C * c.lower_zone * (1 - torch.clamp(c.soil_moisture / c.FC, 0.0, 1.0))

    if process == "capillary rise":
        lost, true = (
            lambda c, f: {"soil_moisture": rise(c, f), "lower_zone": -rise(c, f)},
            {"soil_moisture": ("lower deficit", 0.03), "lower_zone": ("lower deficit", -0.03)},
        )
    else:

        def lost(c, f):
            return {name: s * c.K2 * c.lower_zone for name, s in (("lower_zone", -1), ("base_flow", 1), ("runoff", 1))}

        true = {"lower_zone": ("lower", -0.03)}
    # A model without base flow cannot be held to runoff that has it: there, stores alone are seen.
    runoff = (Probe("runoff", 1, 0.1, relative=True),) if process == "capillary rise" else ()
    return Twin(
        plain,
        lacking(plain, lost),
        true,
        candidates,
        values,
        given,
        {"soil_moisture": 180.0, "upper_zone": 10.0, "lower_zone": 60.0},
        {"snow_storage": 0.1, "snow_water": 0.1, "soil_moisture": 10.0, "upper_zone": 5.0, "lower_zone": 10.0},
        (*runoff, Probe("soil_moisture", 2, 5.0), Probe("lower_zone", 2, 3.0)),
        ("runoff daily to 10 %, " if runoff else "") + "soil every 2 d to 5 mm, groundwater every 2 d to 3 mm",
        1e-4,
    )


def uptake(days: int, seed: int) -> Twin:
    """A metre of silt loam without root water uptake, seen by five probes."""
    plain = dg.models.RichardsColumn(1.0, 12, root_depth=0.2)
    random = np.random.default_rng(seed)
    forcing = {
        "flux": np.where(random.random(days) < 0.3, random.exponential(0.010, days), 0.0),
        "potential_transpiration": np.clip(
            0.003 + 0.0015 * np.sin(2 * np.pi * np.arange(days) / 60) + random.normal(0, 0.001, days), 0, None
        ),
    }
    candidates = (
        of("T_p roots", "d-1", lambda c, f: f.potential_transpiration * c.root_density),
        of("T_p", "m d-1", lambda c, f: f.potential_transpiration),
        of("T_p theta", "m d-1", lambda c, f: f.potential_transpiration * c.theta),
        of("roots", "m-1", lambda c, f: c.root_density),
        of("roots theta", "m-1", lambda c, f: c.root_density * c.theta),
        of("T_p roots theta", "d-1", lambda c, f: f.potential_transpiration * c.root_density * c.theta),
        of("theta", "1", lambda c, f: c.theta),
        of("theta^2", "1", lambda c, f: c.theta**2),
        of("flux", "m d-1", lambda c, f: f.flux),
        of("flux roots", "d-1", lambda c, f: f.flux * c.root_density),
    )
    return Twin(
        plain,
        replace(
            plain,
            name="RichardsLacking",
            source=None,
            fluxes=tuple(f for f in plain.fluxes if f.name != "transpiration"),
        ),
        {"theta": ("T_p roots", -1.0)},
        candidates,
        {},
        forcing,
        {"theta": 0.22},
        {"theta": 0.02},
        tuple(Probe("theta", 1, 0.01, cell=cell) for cell in (0, 2, 4, 6, 9)),
        "water content daily to 0.01 at 5 of 12 depths",
        1e-4,
    )


TWINS: dict[str, Callable[[int, int], Twin]] = {
    "evaporation of EXP-HYDRO": lambda days, seed: evaporation(days, seed),
    "evaporation, from runoff alone": lambda days, seed: evaporation(days, seed, runoff_only=True),
    "capillary rise of HBV": lambda days, seed: hbv(days, seed, "capillary rise"),
    "recession of HBV": lambda days, seed: hbv(days, seed, "recession"),
    "root uptake of a soil column": uptake,
}
DAYS = dict.fromkeys(TWINS, 730) | {"root uptake of a soil column": 120}


def observed(twin: Twin, engine: str, seed: int) -> list[dg.observe.Observation]:
    """Noisy observations of a run of the truth."""
    n = len(next(iter(twin.forcing.values())))
    times, random = np.arange(n + 1.0), np.random.default_rng(1000 + seed)
    sol = dg.solve(
        twin.truth,
        twin.parameters,
        forcing=twin.forcing,
        times=times,
        initial=twin.initial,
        engine=engine,
        rtol=1e-7,
    )
    found = []
    for probe in twin.probes:
        flux = probe.name in sol.fluxes
        series = sol.fluxes[probe.name].reshape(-1) if flux else sol.states[probe.name][:, probe.cell or 0]
        at = np.arange(0 if flux else probe.every, n if flux else n + 1, probe.every)
        values = series.detach()[at]
        error = torch.clamp(probe.error * values, min=0.02) if probe.relative else torch.tensor(probe.error).double()
        noisy = values + error * torch.from_numpy(random.normal(size=len(values)))
        when = np.stack([times[at], times[at + 1]], 1) if flux else times[at]
        kind = "flux_sum" if flux else "value"
        found.append(dg.observe.Observation(probe.name, kind, when, noisy, error, cell=probe.cell))
    return found


def problem_of(twin: Twin, model: dg.Model, seen: list, engine: str, errors: dict[str, float]) -> Problem:
    n = len(next(iter(twin.forcing.values())))
    return Problem(
        model,
        np.arange(n + 1.0),
        twin.forcing,
        seen,
        uncertain=twin.uncertain,
        model_error=errors,
        initial=twin.initial,
        parameters=twin.parameters,
        settings={"engine": engine, "rtol": twin.rtol},
    )


def found_in(twin: Twin, seen: list, engine: str) -> tuple[SmoothedRecord, dict[str, Discovery]]:
    """The smoothed record, and what each state that may be wrong lacks."""
    errors = {name: 0.1 * twin.uncertain[name] for name in twin.true}
    record = smooth_record(problem_of(twin, twin.lacking, seen, engine, errors))
    unit = "d-1" if "theta" in twin.true else "mm d-1"
    found = {}
    for state in twin.true:
        amiss = record_increments(record, state, width=twin.width)
        library = record_library(twin.candidates, record, state, width=twin.width)
        found[state] = dg.discover.discover(library, amiss, unit=unit, tolerance=TOLERANCE, all_of=ALL_OF)
    return record, found


def refined(twin: Twin, record: SmoothedRecord, found: dict[str, Discovery]) -> list[float]:
    """Coefficients after a fit to all observations through the solver, from the start that was estimated."""
    model = twin.lacking
    for state, discovery in found.items():
        model = dg.discover.with_terms(model, state, discovery, twin.candidates)
    names = [p.name for p in model.parameters if p.name.startswith("c_")]
    start = {state: values[0] for state, values in record.states.items()}
    return [*dg.discover.refine(model, record.problem, names, start=start).values.values()]


def main(
    seeds: int = 5,
    engine: str = "auto",
    output: Path = Path("missing_process.png"),
    twins: Sequence[str] = tuple(TWINS),
    days: dict[str, int] = DAYS,
) -> dict[str, list[dict[str, float]]]:
    """One row for each twin, seed and state, which is also returned."""
    table: dict[str, list[dict[str, float]]] = {}
    shown = {}
    for name in twins:
        rows = table[name] = []
        for seed in range(seeds):
            begun = time.perf_counter()
            twin = TWINS[name](days[name], seed)
            seen = observed(twin, engine, seed)
            record, found = found_in(twin, seen, engine)
            if seed == 0:
                print(f"\n{name}: {twin.seen}", flush=True)
                shown[name] = (twin, record, found)
            right = all({*found[s].terms} == {term} for s, (term, _) in twin.true.items())
            better = refined(twin, record, found) if right else [float("nan")] * len(found)
            took = time.perf_counter() - begun
            for i, (state, (term, true)) in enumerate(twin.true.items()):
                d = found[state]
                value = d.terms.get(term, float("nan"))
                row = {
                    "found": float(d.verdict == "found" and right),
                    "first": abs(value / true - 1),
                    "refined": abs(better[i] / true - 1),
                    "same": d.same,
                    "r2": d.r2,
                    "seconds": took,
                }
                rows.append(row)
                said = " ".join(f"{c:+.4g} +- {d.errors[n]:.1g} {n}" for n, c in d.terms.items())
                print(
                    f"  seed {seed}, {state}: {d.verdict}; {said} (true {true:+.4g} {term}); off {row['first']:.1%}, refined "
                    f"{row['refined']:.1%}; R2 {d.r2:.2f}, same terms in {d.same:.0%} of resamples; {took:.0f} s",
                    flush=True,
                )
    draw(shown, output)
    return table


def draw(shown: dict[str, tuple[Twin, SmoothedRecord, dict[str, Discovery]]], output: Path) -> None:
    """What was amiss and what the found terms make of it; of columns, the mean over cells."""
    figure, axes = plt.subplots(len(shown), 1, figsize=(9, 2.2 * len(shown)), layout="constrained", squeeze=False)
    for axis, (name, (twin, record, found)) in zip(axes[:, 0], shown.items(), strict=True):
        state = next(iter(found))
        amiss = record_increments(record, state, width=twin.width).values
        terms = {t.name: t.values for t in record_library(twin.candidates, record, state, width=twin.width)}
        made: Tensor = sum((c * terms[n] for n, c in found[state].terms.items()), torch.zeros_like(amiss))
        days = (np.arange(len(amiss)) + 0.5) * twin.width
        axis.plot(days, amiss.mean(1), "k.", ms=4, label="what was amiss")
        said = " ".join(f"{c:+.3g} {n}" for n, c in [*found[state].terms.items()][:2])
        said += " and more" if len(found[state].terms) > 2 else ""
        axis.plot(days, made.mean(1), "C1", label=said or "nothing found")
        axis.set_title(name, loc="left", fontsize=10)
        axis.set_ylabel("1/d" if state == "theta" else "mm/d")
        axis.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    axes[-1, 0].set_xlabel("day")
    figure.savefig(output, dpi=110)
    plt.close(figure)
    print(f"wrote {output}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--output", type=Path, default=Path("missing_process.png"))
    parser.add_argument("--twins", nargs="+", choices=TWINS, default=tuple(TWINS))
    main(**vars(parser.parse_args()))
