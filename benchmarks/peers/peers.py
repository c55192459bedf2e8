"""Who takes part, with which settings and tolerances."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any


@dataclass(frozen=True)
class Peer:
    """A peer with one set of settings.

    Attributes:
        label: how the tables call it; `module` has its `prepare`, `requires` what must be installed.
        tolerances: relative tolerances, loose to tight; `special` replaces them for some cases.
        cases: which cases it is for; empty for all. `quick`: is it part of a quick run?
        capped: does `prepare` take the cap, to stop or extrapolate by itself?
        variables: of the environment, which name what no package has.
    """

    label: str
    module: str
    settings: Mapping[str, Any]
    requires: tuple[str, ...]
    tolerances: tuple[float, ...]
    special: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    cases: tuple[str, ...] = ()
    quick: bool = False
    capped: bool = False
    variables: tuple[str, ...] = ()

    @property
    def missing(self) -> list[str]:
        absent = [name for name in self.requires if find_spec(name) is None]
        return absent + [name for name in self.variables if name not in os.environ]

    def at(self, case: str, quick: bool) -> tuple[float, ...]:
        chosen = self.special.get(case, self.tolerances)
        return chosen[1:3] if quick and len(chosen) > 2 else chosen

    def takes(self, case: str) -> bool:
        return case in self.cases if self.cases or case in FEW else True


# Cases that only peers take which name them, and this package.
FEW = ("aquifer",)
EVERY = ("richards", "storms", "basin", "robertson", "clay", "aquifer")
OURS = {
    "storms": (1e-3, 1e-4, 1e-5, 1e-6),
    "clay": (1e-4, 1e-5),
    "robertson": (1e-2, 1e-3, 1e-4, 1e-5, 1e-6),
    "aquifer": (1e-2, 1e-3, 1e-4, 1e-5, 1e-6),
}
OUR_RANGE = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
JAX = ("diffrax", "lineax", "optimistix", "equinox", "jax")
JAX_RANGE = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
DENSE = {"richards": (1e-3, 1e-4, 1e-5), "storms": (1e-3, 1e-5), "basin": (1e-4, 1e-6, 1e-8)}
BASIN = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)  # explicit steps are cheap
# What a second solver of a family is run on: where the first one is far off the mark, so is the second.
EASIER = ("richards", "basin", "robertson")
BANDED = ("richards", "storms", "clay")
CASADI_RANGE = (1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
LONG = 16384  # steps that diffrax may take in an interval of a hard case


def _casadi(label: str, **settings: Any) -> Peer:
    compiled = "jit" in settings  # each tolerance is compiled anew, so there are fewer
    special = {"storms": (1e-7,) if compiled else (1e-6, 1e-7, 1e-8)}
    tolerances = CASADI_RANGE[1:4] if compiled else CASADI_RANGE
    return Peer(label, "casadi_peer", settings, ("casadi",), tolerances, special, quick=settings == TUNED)


def _diffrax(label: str, solver: str, quick: bool = False, cases: tuple[str, ...] = (), **settings: Any) -> Peer:
    special = {} if settings.get("banded") else DENSE | ({"basin": BASIN} if solver == "tsit5" else {})
    return Peer(label, "jax_peer", {"solver": solver, **settings}, JAX, JAX_RANGE, special, cases, quick)


def _torch(
    label: str, quick: bool = False, tolerances: tuple[float, ...] = (1e-3, 1e-5, 1e-7), **settings: Any
) -> Peer:
    return Peer(label, "torch_peer", settings, ("torchdiffeq",), tolerances, quick=quick, capped=True)


def _scipy(label: str, method: str, quick: bool = False, cases: tuple[str, ...] = ()) -> Peer:
    special = {"storms": (1e-6,), "robertson": (1e-4, 1e-6, 1e-8)}
    settings = {"method": method}
    return Peer(label, "scipy_peer", settings, ("scipy",), (1e-5, 1e-7), special, cases, quick, capped=True)


TUNED = {"checkpoint": 500, "quadrature_control": True}
PEERS: dict[str, Peer] = {
    "julia": Peer("pydiffgeo, Julia", "ours", {"engine": "julia"}, ("juliacall",), OUR_RANGE, OURS, EVERY, quick=True),
    "sundials": Peer(
        "pydiffgeo, SUNDIALS", "ours", {"engine": "sundials"}, ("casadi",), OUR_RANGE, OURS, EVERY, quick=True
    ),
    "sundials-compiled": Peer(
        "pydiffgeo, SUNDIALS compiled",
        "ours",
        {"engine": "sundials", "compiled": True},
        ("casadi",),
        OUR_RANGE[3:],
        {"storms": (1e-7,), "clay": (1e-8,)},
    ),
    "diffrax": _diffrax("diffrax Kvaerno3 as shipped", "kvaerno3", quick=True),
    "diffrax-5": _diffrax("diffrax Kvaerno5 as shipped", "kvaerno5", cases=EASIER),
    "diffrax-banded": _diffrax("diffrax Kvaerno3, tridiagonal by hand", "kvaerno3", True, BANDED, banded=True),
    "diffrax-banded-5": _diffrax("diffrax Kvaerno5, tridiagonal by hand", "kvaerno5", False, BANDED, banded=True),
    "diffrax-explicit": _diffrax("diffrax Tsit5 (explicit)", "tsit5", False, ("basin",)),
    "torchdiffeq": _torch("torchdiffeq dopri5, backpropagation", method="dopri5"),
    "torchdiffeq-adjoint": _torch("torchdiffeq dopri5, adjoint", True, method="dopri5", adjoint=True),
    "torchdiffeq-implicit": _torch(
        "torchdiffeq implicit_adams, fixed step, backpropagation", False, (1e-1, 1e-2, 1e-3), method="implicit_adams"
    ),
    "casadi": _casadi("CasADi CVODES as shipped", checkpoint=20),
    "casadi-tuned": _casadi("CasADi CVODES, tuned by hand", **TUNED),
    "casadi-compiled": _casadi("CasADi CVODES, tuned and compiled", **TUNED, jit=True),
    "modflow": Peer(
        "MODFLOW 6, finite differences",
        "modflow_peer",
        {},
        ("flopyarcade",),
        (1.0, 0.2, 0.05),
        cases=("aquifer",),
        capped=True,
    ),
    "mf6adj": Peer(
        "mf6adj, the adjoint of MODFLOW 6",
        "mf6adj_peer",
        {},
        ("mf6adj", "flopyarcade"),
        (1.0, 0.2, 0.1, 0.05),
        cases=("aquifer",),
        variables=("MF6_LIBRARY",),
    ),
    "scipy-lsoda": _scipy("SciPy LSODA, finite differences", "LSODA", quick=True),
    "scipy-bdf": _scipy("SciPy BDF, finite differences", "BDF", cases=EASIER),
    "scipy-radau": _scipy("SciPy Radau, finite differences", "Radau", cases=EASIER),
}
# Tolerances of the reference: Julia, SUNDIALS.
TIGHT = {
    "richards": (1e-9, 1e-11),
    "storms": (1e-8, 1e-9),
    "basin": (1e-9, 1e-10),
    "robertson": (1e-10, 1e-11),
    "clay": (1e-9, 1e-9),
    "aquifer": (1e-9, 1e-8),
}
# What a case needs beyond the settings of a peer.
MORE: dict[tuple[str, str], dict[str, Any]] = {
    ("jax_peer", "storms"): {"max_steps": LONG, "first_step": 1e-3},
    ("jax_peer", "clay"): {"max_steps": LONG, "first_step": 1e-3},
    ("jax_peer", "basin"): {"max_steps": 512, "first_step": 0.05},
    ("jax_peer", "robertson"): {"first_step": 1e-4},
}
