"""Aquifers that MODFLOW 6 has solved: heads, and sensitivities from one adjoint solve for each result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..arrays import Array
from ..groundwater import Drain, GeneralHead, GivenHead, Recharge, River, Well
from ..model import Model, raster
from ..models import Aquifer
from ..steady import SteadySolution
from .problem import Bench, Check, Line, Outcome, Panel, balance_of, check, modflow

MODFLOW = "MODFLOW 6.2.1rc, closure of 1e-9 or tighter"


def field(solution: SteadySolution, name: str = "head") -> NDArray[Any]:
    return solution.model.graph.on_grid(solution.outputs[name].detach()).numpy()


def everywhere(what: str, unit: str, computed: NDArray[Any], expected: NDArray[Any], near: float) -> Check:
    """Compares a whole field, in the cell where it differs most."""
    both = np.isfinite(expected) & np.isfinite(computed)
    at = np.unravel_index(int(np.argmax(np.where(both, np.abs(computed - expected), -1.0))), expected.shape)
    name = f"cell {tuple(int(i) for i in at)}, where it differs most"
    return check(what, unit, [name], [computed[at]], [expected[at]], near, MODFLOW)


# --- TWRI (McDonald and Harbaugh 1988) --------------------------------------------------------------------------------

TWRI_K, TWRI_DOWN = (1e-3, 1e-4, 2e-4), 2e-8
TWRI_FORMS: Mapping[str, Mapping[str, Any]] = {
    "confined": {},
    "plain": {"kind": ("convertible", "confined", "confined"), "upstream": False},
    "newton": {"kind": ("convertible", "confined", "confined")},
    "published": {"kind": ("convertible", "confined", "confined"), "upstream": False, "vertical": "saturated"},
}


def twri(bench: Bench) -> Outcome:
    """Three layers with wells, drains and recharge, in feet and seconds."""
    data = modflow("twri")
    grid = raster((3, 15, 15), (5000.0, 5000.0), layers=[400.0, 100.0, 150.0])
    given = [(layer, row, 0) for layer in (0, 1) for row in range(15)]
    conditions = (GivenHead(given), Well(data["well"]), Drain(data["drain"]), Recharge())
    K = torch.tensor(TWRI_K).repeat_interleave(225)
    values: dict[str, float | Tensor] = {
        "K": K,
        "vertical_anisotropy": TWRI_DOWN / K,
        "drain_conductance": 1.0,
        "drain_elevation": torch.from_numpy(data["drain_elevation"]),
    }
    forcing = {"given_head": 0.0, "well_rate": -5.0, "recharge_rate": 3e-8}
    checks, found = list[Check](), list[SteadySolution]()
    for form, choices in TWRI_FORMS.items():
        model = Aquifer(grid, top=200.0, units=("ft", "s"), boundaries=conditions, **choices)
        found.append(bench.steady(model, values, forcing, {"head": 0.0}))
        checks.append(everywhere(f"head, {form}", "ft", field(found[-1]), data[f"heads_{form}"], 1e-4))
    out = [-float(s.fluxes["drain"].sum()) for s in found]
    checks.append(
        check("flow to drains", "ft3/s", TWRI_FORMS, out, [22.8105, 30.6161, 30.1585, 30.3233], 1e-4, MODFLOW)
    )
    x = grid.on_grid(grid.cell["x"])[0, 7]
    lines = [Line(x, field(s)[0, 7], form) for form, s in zip(TWRI_FORMS, found, strict=True)]
    lines.append(Line(x, data["heads_published"][0, 7], "MODFLOW, published form", "points"))
    panel = Panel("along the drains (ft)", "head of the first layer (ft)", lines)
    return Outcome(tuple(checks), balance_of(found[1]), panels=(panel,))


# --- Freyberg ---------------------------------------------------------------------------------------------------------


def freyberg_model(upstream: bool) -> Model:
    """The aquifer of the flopy example mf6-freyberg; metres and seconds."""
    data = modflow("freyberg")
    grid = raster((1, 40, 20), (250.0, 250.0), active=data["active"][None], layers=(35.0 - data["bottom"])[None])
    conditions = (GivenHead(data["given"]), Well(data["well"]), River(data["river"]), Recharge())
    return Aquifer(grid, "convertible", top=35.0, upstream=upstream, units=("m", "s"), boundaries=conditions)


def _freyberg_start() -> Mapping[str, float | Tensor]:
    data = modflow("freyberg")
    return {
        "K": torch.from_numpy(data["K"][data["active"]]),
        "river_conductance": torch.from_numpy(data["river_conductance"]),
        "river_bed": torch.from_numpy(data["river_bed"]),
    }


def freyberg(bench: Bench) -> Outcome:
    """An irregular outline under a water table, with a river, wells and given heads; and its sensitivities."""
    data = modflow("freyberg")
    # Factors, so that derivatives are those to logarithms.
    K, recharge, conductance = (torch.ones(n, requires_grad=True) for n in (int(data["active"].sum()), 1, 1))
    wells = torch.tensor(data["well_rate"], requires_grad=True)
    values = _freyberg_start()
    values = {**values, "K": values["K"] * K, "river_conductance": values["river_conductance"] * conductance}
    forcing = {
        "given_head": torch.from_numpy(data["given_head"]),
        "well_rate": wells,
        "river_stage": torch.from_numpy(data["river_stage"]),
        "recharge_rate": (1.6e-9 * recharge).expand(int(data["active"].sum())),
    }
    mean, newton = (bench.steady(freyberg_model(u), values, forcing, {"head": 30.0}) for u in (False, True))
    checks = [
        everywhere(f"head, {what}", "m", field(s)[0], data[f"heads_{key}"], 1e-4)
        for what, key, s in (("means of both sides", "mean", mean), ("upstream", "newton", newton))
    ]
    head = mean.model.graph.on_grid(mean.outputs["head"])[0]
    results = [*(head[tuple(at)] for at in data["observed"].tolist()), mean.fluxes["river"].sum()]
    names = [*(f"head at {tuple(at)}" for at in data["observed"].tolist()), "river leakage"]
    slopes = [torch.autograd.grad(r, (K, recharge, conductance, wells), retain_graph=True) for r in results]
    for k, (what, slope) in enumerate(zip(names, slopes, strict=True)):
        by_cell, by_all = data["by_ln_K"][k][data["active"]], data["by_ln_K_all"][k]
        # Differences with steps of 2 percent leave 2e-4 of the largest; those of one factor on all, 1e-6.
        source = "central differences of MODFLOW 6.2.1rc"
        cells = [f"cell {c}" for c in range(len(by_cell))]
        checks.append(check(f"{what} by ln K of each cell", "", cells, slope[0], by_cell, 5e-4, source, relative=True))
        total = [slope[0].sum(), slope[1].sum(), slope[2].sum()]
        expected = [by_all, data["by_ln_recharge"][k], data["by_ln_conductance"][k]]
        for each, of, true in zip(total, ("K", "recharge", "conductance"), expected, strict=True):
            checks.append(check(f"{what} by ln {of}", "", [of], [each], [true], 1e-5, source, relative=True))
        at = [f"well {w}" for w in range(6)]
        checks.append(
            check(f"{what} by the wells", "", at, slope[3], data["by_well"][:, k], 1e-5, source, relative=True)
        )
    line = 12
    x = np.arange(20) * 250.0 + 125.0
    lines = [Line(x, field(s)[0, line], what) for what, s in (("means", mean), ("upstream", newton))]
    lines += [Line(x, data[f"heads_{k}"][line], "", "points") for k in ("mean", "newton")]
    panel = Panel("along row 12 (m)", "head (m); points: MODFLOW", lines)
    return Outcome(tuple(checks), balance_of(mean), panels=(panel,))


# --- Small ones -------------------------------------------------------------------------------------------------------


def anisotropy(bench: Bench) -> Outcome:
    """A well in the middle of a square that conducts a hundred times better along rows than along columns."""
    expected = modflow("anisotropy")["heads"]
    ring = np.ones((1, 51, 51), bool)
    ring[:, 1:-1, 1:-1] = False
    model = Aquifer(raster(ring.shape, (10.0, 10.0), layers=10.0), boundaries=(GivenHead(ring), Well([(0, 25, 25)])))
    values = {"K": 1.0, "horizontal_anisotropy": 0.01}
    found = bench.steady(model, values, {"given_head": 0.0, "well_rate": -1.0}, {"head": 0.0})
    head = field(found)[0, :26, :26]
    lines = [Line(np.arange(26.0) * 10, row, what) for row, what in ((head[25], "row"), (head[:, 25], "column"))]
    lines += [Line(np.arange(26.0) * 10, row, "", "points") for row in (expected[25], expected[:, 25])]
    panel = Panel("towards the well (m)", "head (m); points: MODFLOW", lines)
    return Outcome((everywhere("head", "m", head, expected, 1e-6),), balance_of(found), panels=(panel,))


def zaidel(bench: Bench) -> Outcome:
    """A water table that falls over a staircase (Zaidel 2013), to a twentieth of a step's height of water."""
    data = modflow("zaidel")
    checks, lines, found = list[Check](), list[Line](), None
    x = np.arange(200) * 5.0 + 2.5
    forms = (
        (10.0, "harmonic", "heads_right_10"),
        (5.0, "harmonic", "heads_right_5"),
        (5.0, "amt-hmk", "heads_right_5_amt_hmk"),
    )
    for right, mean, key in forms:
        grid = raster((1, 1, 200), (1.0, 5.0), layers=(25.0 - data["bottom"])[None, None])
        model = Aquifer(grid, "convertible", top=25.0, mean=mean, boundaries=(GivenHead([0, 199]),))  # type: ignore[arg-type]
        # Heads do not know the conductivity: what flows does.
        found = bench.steady(model, {"K": 1e-4}, {"given_head": torch.tensor([23.0, right])}, {"head": 23.0})
        what = f"{right:g} m on the right, {mean}"
        checks.append(everywhere(f"head, {what}", "m", field(found)[0, 0], data[key], 1e-4))
        lines += [Line(x, field(found)[0, 0], what), Line(x[::5], data[key][::5], "", "points")]
        if right == 10.0:
            flow = found.fluxes["given"][:1]
            checks.append(check("flow", "m3/d", ["left end"], flow, [2.393597e-6], 1e-4, MODFLOW, relative=True))
    assert found is not None
    lines.append(Line(x, data["bottom"], "bottom", "dashed"))
    return Outcome(tuple(checks), balance_of(found), panels=(Panel("x (m)", "head (m); points: MODFLOW", lines),))


def adjoint_11x11(bench: Bench) -> Outcome:
    """Derivatives of MF6-ADJ: one implicit step of a day from 100 m is a steady state with storage as a conductance."""
    data = modflow("adjoint")
    inside = np.zeros((1, 11, 11), bool)
    inside[:, 1:-1, 1:-1] = True
    conditions = (GivenHead(~inside), Well([(0, 5, 5)]), GeneralHead(inside, "step"))
    model = Aquifer(raster(inside.shape, (10.0, 10.0), layers=1.0), boundaries=conditions)
    forcing = {"given_head": 100.0, "well_rate": -300.0, "step_head": 100.0}
    at = [str(place) for place in np.argwhere(inside[0]).tolist()]

    def slope(K: NDArray[Any]) -> tuple[SteadySolution, Array]:
        factor = torch.tensor(K[None], requires_grad=True)
        # Specific storage 1e-5 1/m, thickness 1 m, area 100 m2, a day.
        found = bench.steady(model, {"K": factor, "step_conductance": 1e-3}, forcing, {"head": 100.0})
        (by_K,) = torch.autograd.grad((found.outputs["head"] * 100.0).sum(), factor)
        return found, by_K.numpy()[inside]

    found, by_K = slope(data["K"])
    _, by_uniform = slope(np.full((11, 11), 10.0))
    inner = inside[0]
    checks = (
        everywhere("head", "m", field(found)[0], data["heads"], 1e-6),
        check("by K, as printed", "m3 d/m", at, by_K, data["by_K"][inner], 1e-3, "MF6-ADJ, five digits"),
        check("by K", "m3 d/m", at, by_K, data["by_K_digits"][inner], 1e-5, "differences of a dense solution"),
        check("by K, all 10 m/d", "m3 d/m", at, by_uniform, data["by_uniform_K"][inner], 1e-4, "MF6-ADJ"),
    )
    row = np.arange(1.0, 10.0)
    lines = [Line(row, by_K.reshape(9, 9)[4], "adjoint"), Line(row, data["by_K"][5, 1:-1], "MF6-ADJ", "points")]
    return Outcome(checks, balance_of(found), panels=(Panel("column of the well's row", "by K (m3 d/m)", lines),))
