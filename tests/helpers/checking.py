"""Models and shorthands for the tests of the check of gradients."""

from __future__ import annotations

from typing import Any

import torch
from cases import CASES

import pydiffgeo as dg

FINE = (1e-8,)


def check(name: str, engine: str, **settings: Any) -> dg.GradientReport:
    case = CASES[name]
    forcing = {k: torch.tensor(v) for k, v in case.forcing.items()}
    if case.kind == "linear":
        forcing = {k: dg.TimeSeries(case.times, v, "linear") for k, v in forcing.items()}
    return dg.check_gradients(
        case.model(),
        {k: torch.tensor(v) for k, v in case.parameters.items()},
        forcing=forcing,
        times=case.times,
        initial={k: torch.tensor(v) for k, v in case.initial.items()},
        engine=engine,
        **settings,
    )


def outcomes(report: dg.GradientReport) -> dict[str, str]:
    return {g.name: g.outcome for g in report.groups}


def store(rate: Any, **parts: Any) -> dg.Model:
    """One store; `rate(storage, k, c)` is its loss per time. `c` does nothing unless the rate has it."""
    parts = {"fluxes": ()} | parts
    return dg.Model(
        name="Store",
        graph=dg.single_cell(),
        states=(dg.State("storage", "mm", "water", default=2.0),),
        parameters=(dg.Parameter("k", "d-1", "rate", 0.7), dg.Parameter("c", "mm", "another", 1.0)),
        source=lambda cell, forcing: {"storage": -rate(cell.storage, cell.k, cell.c)},
        **parts,
    )


def linear(storage: Any, k: Any, c: Any) -> Any:
    return k * storage
