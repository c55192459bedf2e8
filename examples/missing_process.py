"""Which process does a model lack? Found from noisy observations, by smoothing a record and regressing what was amiss.

Twins: the truth is a run of the whole model; the model that is given to the method lacks one of its processes, and all that
is seen of the truth are noisy observations of some of it. The record is smoothed (weak-constraint 4D-Var: states and what the
model got wrong, day by day), what it got wrong is regressed on candidate terms with units, and the term that is found is
added to the model, its coefficient refined through the solver over the whole record.

    python examples/missing_process.py [--seeds 10 11 12 13 14] [--engine auto] [--output missing_process.png]

Prints for each twin and seed (of weather and noise) the verdict, the terms, and how far their coefficients are off. What is
observed, means of ten days, and sets of up to two terms were settled on seeds 0 to 2; the seeds above judge.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import torch

import pydiffgeo as dg
from pydiffgeo.assimilate import Problem, SmoothedRecord, smooth_record
from pydiffgeo.discover import Candidate, Discovery, mended_record, record_increments, record_lacks, record_library
from pydiffgeo.processes.evaporation import hamon
from pydiffgeo.processes.soil.retention import CLOSURES
from pydiffgeo.processes.soil.roots import S_SHAPE

WIDTH = 10


@dataclass(frozen=True)
class Probe:
    """A state, or the flux "runoff", observed `every` so many days with an `error`, of runoff a share."""

    name: str
    every: int
    error: float
    cell: int = 0

    def __str__(self) -> str:
        return f"{self.name} every {self.every} d to {self.error:g}{' of it' if self.name == 'runoff' else ''}"


@dataclass(frozen=True, eq=False)
class Twin:
    """A model and what it lacks.

    Attributes:
        lacking: the model without one process; or `gone`, parameters with which it has none.
        lost: state -> (term, coefficient), what should be found. uncertain: state -> standard deviation at the start.
    """

    model: dg.Model
    lacking: dg.Model
    lost: dict[str, tuple[str, float]]
    candidates: Sequence[Candidate]
    forcing: dict[str, np.ndarray]
    initial: dict[str, float]
    uncertain: dict[str, float]
    probes: Sequence[Probe]
    parameters: dict[str, float]
    gone: dict[str, float] = field(default_factory=dict)


def weather(days: int, seed: int, warmer: float = 0.0) -> dict[str, np.ndarray]:
    """Wet winters and dry summers."""
    random, season = np.random.default_rng(seed), np.cos(2 * np.pi * (np.arange(days) + 10) / 365)
    rain = np.where(random.random(days) < 0.35, random.exponential(8.0, days), 0.0) * (1 + 0.8 * season)
    temperature = 10 + warmer - 9 * season + random.normal(0, 2, days)
    return {"precipitation": rain, "temperature": temperature, "daylength": 12 - 3 * season}


def evaporation(days: int, seed: int, *probes: Probe) -> Twin:
    """EXP-HYDRO without evapotranspiration."""
    model = dg.models.ExpHydro()

    def source(cell, forcing):
        rates = dict(model.source(cell, forcing))
        rates["water_storage"] = rates["water_storage"] + rates["evapotranspiration"]
        return rates | {"evapotranspiration": 0.0 * rates["evapotranspiration"]}

    S = Candidate("S", lambda c, f: c.water_storage, "mm")
    demand = Candidate("PET", lambda c, f: hamon(f.temperature, f.daylength), "mm d-1")
    P = Candidate("P", lambda c, f: f.precipitation, "mm d-1")
    snow, warmth = (
        Candidate("snow", lambda c, f: c.snow_storage, "mm"),
        Candidate("T", lambda c, f: f.temperature, "degC"),
    )
    one = Candidate("one", lambda c, f: torch.ones_like(c.water_storage))
    candidates = (S, S**2, demand, demand * S, demand * S**2, P, P * S, snow, warmth, one)
    start, spread = {"snow_storage": 0.0, "water_storage": 300.0}, {"snow_storage": 1.0, "water_storage": 30.0}
    values = {"f": 0.03, "S_max": 400.0, "Q_max": 20.0, "T_min": -1.0, "T_max": 1.0, "D_f": 2.5}
    missing = {"water_storage": ("PET S", -1 / 400)}
    given = weather(days, seed)
    lacking = replace(model, name="ExpHydroLacking", source=source)
    return Twin(model, lacking, missing, candidates, given, start, spread, probes, values)


def hbv(days: int, seed: int, gone: str, missing: dict[str, tuple[str, float]], *probes: Probe) -> Twin:
    """HBV without a process of its groundwater, the coefficient of which is zero; never cold enough for snow."""
    model, given = dg.models.HBV(), weather(days, seed, warmer=6.0)
    temperature = torch.from_numpy(given["temperature"])
    given["potential_evapotranspiration"] = hamon(temperature, torch.from_numpy(given.pop("daylength"))).numpy()

    soil = Candidate("soil", lambda c, f: c.soil_moisture, "mm")
    upper, lower = (
        Candidate("upper", lambda c, f: c.upper_zone, "mm"),
        Candidate("lower", lambda c, f: c.lower_zone, "mm"),
    )
    deficit = Candidate("deficit", lambda c, f: 1 - c.soil_moisture / c.FC)
    demand = Candidate("PET", lambda c, f: f.potential_evapotranspiration, "mm d-1")
    P = Candidate("P", lambda c, f: f.precipitation, "mm d-1")
    one = Candidate("one", lambda c, f: torch.ones_like(c.lower_zone))
    candidates = (soil, soil**2, upper, lower, lower**2, lower * deficit, demand, demand * deficit, P, P * deficit, one)
    start = {"soil_moisture": 180.0, "upper_zone": 10.0, "lower_zone": 60.0}
    spread = {"snow_storage": 0.1, "snow_water": 0.1, "soil_moisture": 10.0, "upper_zone": 5.0, "lower_zone": 10.0}
    values = {"BETA": 2.0, "FC": 250.0, "K1": 0.1, "K2": 0.03, "LP": 0.7, "PERC": 2.5, "C": 0.03}
    return Twin(model, model, missing, candidates, given, start, spread, probes, values, {gone: 0.0})


def stress(c, f):
    """By how much dry soil lets roots take up less than is asked of them."""
    head, _ = CLOSURES["van_genuchten"].head_and_conductivity(c.theta, c)
    return S_SHAPE.share(SimpleNamespace(head=head, h_50=c.h_50, p_50=c.p_50))


def uptake(days: int, seed: int) -> Twin:
    """A metre of silt loam without root water uptake."""
    model, random = dg.models.RichardsColumn(1.0, 12, root_depth=0.2), np.random.default_rng(seed)
    rain = np.where(random.random(days) < 0.3, random.exponential(0.010, days), 0.0)
    demand = 0.003 + 0.0015 * np.sin(2 * np.pi * np.arange(days) / 60) + random.normal(0, 0.001, days)
    fluxes = tuple(f for f in model.fluxes if f.name != "transpiration")
    T_p = Candidate("T_p", lambda c, f: f.potential_transpiration, "m d-1")
    roots, theta = Candidate("roots", lambda c, f: c.root_density, "m-1"), Candidate("theta", lambda c, f: c.theta)
    infiltration, wet = Candidate("flux", lambda c, f: f.flux, "m d-1"), Candidate("stress", stress)
    candidates = (T_p, T_p * theta, roots, roots * theta, theta, theta**2, infiltration, infiltration * roots)
    candidates += (T_p * roots, T_p * roots * theta, T_p * roots * wet)
    given = {"flux": rain, "potential_transpiration": np.clip(demand, 0, None)}
    lacking = replace(model, name="RichardsLacking", source=None, fluxes=fluxes)
    probes = [Probe("theta", 1, 0.01, cell) for cell in (0, 2, 4, 6, 9)]
    missing = {"theta": ("T_p roots stress", -1.0)}
    return Twin(model, lacking, missing, candidates, given, {"theta": 0.22}, {"theta": 0.02}, probes, {})


RUNOFF, STORES = Probe("runoff", 1, 0.1), (Probe("soil_moisture", 2, 5.0), Probe("lower_zone", 2, 3.0))
RISE = {"soil_moisture": ("lower deficit", 0.03), "lower_zone": ("lower deficit", -0.03)}
# Twins of so many days and a seed. A model without base flow cannot be held to runoff that has it: its stores alone are seen.
TWINS: dict[str, Callable[[int, int], Twin]] = {
    "evaporation of EXP-HYDRO": lambda d, s: evaporation(d, s, RUNOFF, Probe("water_storage", 10, 10.0)),
    "evaporation, from runoff alone": lambda d, s: evaporation(d, s, RUNOFF),
    "capillary rise of HBV": lambda d, s: hbv(d, s, "C", RISE, RUNOFF, *STORES),
    "recession of HBV": lambda d, s: hbv(d, s, "K2", {"lower_zone": ("lower", -0.03)}, *STORES),
    "root uptake of a soil column": uptake,
}
DAYS = dict.fromkeys(TWINS, 730) | {"root uptake of a soil column": 120}


def asked(twin: Twin, engine: str, seed: int) -> Problem:
    """The lacking model, and noisy observations of a run of the truth."""
    times, random = np.arange(len(next(iter(twin.forcing.values()))) + 1.0), np.random.default_rng(1000 + seed)
    given = {"forcing": twin.forcing, "times": times, "initial": twin.initial, "engine": engine}
    sol, seen = dg.solve(twin.model, twin.parameters, **given, rtol=1e-7), []
    for probe in twin.probes:
        flux = probe.name in sol.fluxes
        series = sol.fluxes[probe.name].reshape(-1) if flux else sol.states[probe.name][probe.every :, probe.cell]
        values = series.detach()[:: probe.every]
        error = torch.clamp(probe.error * values, min=0.02) if flux else torch.full_like(values, probe.error)
        when = np.stack([times[:-1], times[1:]], 1) if flux else times[probe.every :: probe.every]
        noisy = values + error * torch.from_numpy(random.normal(size=len(values)))
        kind = "flux_sum" if flux else "value"
        seen.append(dg.observe.Observation(probe.name, kind, when, noisy, error, cell=None if flux else probe.cell))
    known = {
        "initial": twin.initial,
        "parameters": twin.parameters | twin.gone,
        "settings": {"engine": engine, "rtol": 1e-5},
    }
    known["model_error"] = {name: 0.1 * twin.uncertain[name] for name in twin.lost}
    known["bounds"] = {"theta": (0.079, 0.43)} if "theta" in twin.lost else {}
    return Problem(twin.lacking, times, twin.forcing, seen, uncertain=twin.uncertain, **known)


def main(
    seeds: Sequence[int] = (10, 11, 12, 13, 14),
    engine: str = "auto",
    output: Path = Path("missing_process.png"),
    twins: Sequence[str] = tuple(TWINS),
    days: dict[str, int] = DAYS,
) -> dict[str, list[dict[str, float]]]:
    """One row for each twin, seed and state, which is also returned."""
    table: dict[str, list[dict[str, float]]] = {}
    shown = {}
    for name in twins:
        print(f"\n{name}", flush=True)
        rows = table[name] = []
        for seed in seeds:
            begun, twin = time.process_time(), TWINS[name](days[name], seed)
            record = smooth_record(asked(twin, engine, seed))
            print(f"  seed {seed}, from {'; '.join(map(str, twin.probes))}")
            found = record_lacks(record, twin.candidates, width=WIDTH)
            shown.setdefault(name, (twin, record, found))
            right = all([*found[state].terms] == [term] for state, (term, _) in twin.lost.items())
            better = [*mended_record(record, found, twin.candidates)[1].values.values()] if right else []
            took = time.process_time() - begun
            for i, (state, (term, true)) in enumerate(twin.lost.items()):
                d, value = found[state], found[state].terms.get(term, np.nan)
                first, refined = (abs(c / true - 1) for c in (value, better[i] if right else np.nan))
                trusted = float(right and d.verdict == "found")
                rows.append({"found": trusted, "first": first, "refined": refined, "same": d.same, "r2": d.r2})
                said = " ".join(f"{c:+.4g} {n}" for n, c in d.terms.items())
                print(
                    f"    {state}: {d.verdict}, {said} (true {true:+.4g} {term}), off {first:.1%}, refined {refined:.1%};"
                )
                print(f"      R2 {d.r2:.2f}, same in {d.same:.0%} of resamples; {took:.0f} s", flush=True)
    draw(shown, output)
    return table


def draw(shown: dict[str, tuple[Twin, SmoothedRecord, dict[str, Discovery]]], output: Path) -> None:
    """What was amiss and what the found terms make of it; of columns, the mean over cells."""
    figure, axes = plt.subplots(len(shown), 1, figsize=(9, 2.2 * len(shown)), layout="constrained", squeeze=False)
    for axis, (name, (twin, record, found)) in zip(axes[:, 0], shown.items(), strict=True):
        state = next(iter(found))
        amiss = record_increments(record, state, width=WIDTH).values
        terms = {t.name: t.values for t in record_library(twin.candidates, record, state, width=WIDTH)}
        made = sum((c * terms[n] for n, c in found[state].terms.items()), torch.zeros_like(amiss))
        days = (np.arange(len(amiss)) + 0.5) * WIDTH
        axis.plot(days, amiss.mean(1), "k.", ms=4, label="what was amiss")
        label = " ".join(f"{c:+.3g} {n}" for n, c in found[state].terms.items())
        axis.plot(days, made.mean(1), "C1", label=label or "nothing found")
        axis.set_title(f"{name}: {state}", loc="left", fontsize=10)
        axis.set_ylabel("1/d" if state == "theta" else "mm/d")
        axis.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    axes[-1, 0].set_xlabel("day")
    figure.savefig(output, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=(10, 11, 12, 13, 14))
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--output", type=Path, default=Path("missing_process.png"))
    parser.add_argument("--twins", nargs="+", choices=TWINS, default=tuple(TWINS))
    main(**vars(parser.parse_args()))
