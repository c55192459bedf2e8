"""The problems of the comparison, as plain numbers that every peer can take.

A case is a model, inputs to differentiate, and a loss that is quadratic or linear in the states at the end of
each interval and in the fluxes integrated over it. The peers get its traced local functions (`System`), so
that all of them solve the very same equations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

import pydiffgeo as dg
from pydiffgeo.engines.ir.assembly import Layout, build_system
from pydiffgeo.engines.ir.kernels import System
from pydiffgeo.engines.ir.traced_model import trace_model

Values = dict[str, np.ndarray]
BASIN, START, END = "12186000", "1985-10-01", "1995-09-30"


@dataclass(frozen=True, eq=False)
class Case:
    """A problem; every value of `parameters`, `forcing` and `initial` is one group of inputs.

    Attributes:
        constant: parameters that are not differentiated; `weather`: forcings that are not.
        square, target, linear: weights of the loss, `(intervals, states)` or `(states,)`.
        flux, flux_weight, flux_target: an integrated flux of which the loss takes weighted squares.
        absolute: absolute tolerance over relative tolerance; banded: is the Jacobian tridiagonal?
        forward: what makes of an error of the states one in m; then a solve by itself is measured too.
    """

    name: str
    title: str
    model: dg.Model
    times: np.ndarray
    parameters: Values
    initial: Values
    forcing: Values = field(default_factory=dict)
    weather: Values = field(default_factory=dict)
    constant: Values = field(default_factory=dict)
    square: Any = 0.0
    target: Any = 0.0
    linear: Any = 0.0
    flux: str | None = None
    flux_weight: Any = 0.0
    flux_target: Any = 0.0
    absolute: float = 1e-2
    banded: bool = False
    forward: float | None = None

    @cached_property
    def system(self) -> System:
        given = self.parameters | self.constant
        layout = Layout({p.name: given[p.name].size for p in self.model.parameters})
        return build_system(self.model, trace_model(self.model), layout, prepared=False)

    @property
    def intervals(self) -> int:
        return len(self.times) - 1

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.times)

    @property
    def fluxes(self) -> list[int]:
        """Which of the integrated fluxes the loss needs."""
        return [] if self.flux is None else [int(self.system.fluxes[self.flux][0])]

    def numbers(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Initial states, parameters, and forcing by interval, in the order of the system."""
        s = self.system
        y0, p, f = np.zeros(s.n_states), np.zeros(s.n_parameters), np.zeros((self.intervals, s.n_forcings))
        for name, value in self.initial.items():
            y0[s.states[name]] = value
        for name, value in (self.parameters | self.constant).items():
            p[s.parameters[name]] = value
        for name, value in (self.forcing | self.weather).items():
            f[:, s.forcings[name]] = value[:, None]
        return y0, p, f

    def groups(self, y0_bar: Any, p_bar: Any, f_bar: Any) -> Values:
        """The gradient by name, from gradients in the order of the system."""
        s = self.system
        y0_bar, p_bar, f_bar = (np.asarray(v, np.float64) for v in (y0_bar, p_bar, f_bar))
        return (
            {k: p_bar[s.parameters[k]] for k in self.parameters}
            | {f"initial {k}": y0_bar[s.states[k]] for k in self.initial}
            | {k: f_bar[:, s.forcings[k]].ravel() for k in self.forcing}
        )

    def loss(self, y: Any, q: Any, convert: Callable[[Any], Any] = np.asarray, total: Any = np.sum) -> Any:
        """The loss of states `(intervals, states)` and fluxes `(intervals, len(fluxes))` of any kind."""
        shape = (self.intervals, self.system.n_states)
        result: Any = 0.0
        if np.any(self.square):
            weight, target = (convert(np.broadcast_to(v, shape).copy()) for v in (self.square, self.target))
            result = result + total(weight * (y - target) ** 2)
        if np.any(self.linear):
            result = result + total(convert(np.broadcast_to(self.linear, shape).copy()) * y)
        if self.flux is not None:
            weight, target = (convert(np.array(v)[:, None]) for v in (self.flux_weight, self.flux_target))
            result = result + total(weight * (q - target) ** 2)
        return result


def richards(data: Path | None) -> Case:
    """Loam, 100 cells of 1 cm, 30 days, a wet day out of five, free drainage: 630 entries."""
    cells, days = 100, 30
    loam = {"theta_r": 0.078, "theta_s": 0.43, "alpha": 3.6, "n": 1.56, "K_s": 0.2496}
    flux = np.full(days, 0.001)
    flux[::5] = 0.03
    return Case(
        "richards",
        "loam, 100 cells, 30 days, moist",
        dg.models.RichardsColumn(1.0, cells),
        np.arange(days + 1.0),
        {k: np.full(cells, v) for k, v in loam.items()},
        {"theta": np.full(cells, 0.2)},
        {"flux": flux},
        constant={"S_s": np.array([1e-4])},
        square=1 / cells,
        target=0.25,
        banded=True,
    )


def storms(data: Path | None) -> Case:
    """Clay loam over sand, 400 cells of 2.5 mm: storms pond and saturate the loam, droughts lie between.

    Textures of Carsel and Parrish 1988. Their clay, n = 1.09, makes it far harder yet: see `clay`.
    """
    loam = {"theta_r": 0.095, "theta_s": 0.41, "alpha": 1.9, "n": 1.31, "K_s": 0.0624}
    return _storms("storms", "clay loam over sand, 400 cells, storms and droughts", loam)


def clay(data: Path | None) -> Case:
    """The same with clay: not part of a full run, as hardly any peer gets through it."""
    values = {"theta_r": 0.068, "theta_s": 0.38, "alpha": 0.8, "n": 1.09, "K_s": 0.048}
    return _storms("clay", "clay over sand, 400 cells, storms and droughts", values)


def _storms(name: str, title: str, fine: dict[str, float]) -> Case:
    cells, days = 400, 12
    model = dg.models.RichardsColumn(1.0, cells, top="atmosphere", max_ponding=0.005)
    sand = {"theta_r": 0.045, "theta_s": 0.43, "alpha": 14.5, "n": 2.68, "K_s": 7.128}
    upper = np.arange(cells) < cells * 0.4
    parameters = {k: np.where(upper, fine[k], sand[k]) for k in fine}
    soil = {k: torch.from_numpy(v) for k, v in parameters.items()} | {"S_s": torch.tensor(1e-4).double()}
    head = torch.from_numpy(np.where(upper, -3.0, -0.5))
    theta = dg.processes.soil.retention.VAN_GENUCHTEN.water_content(head, SimpleNamespace(**soil)).numpy()
    rain = np.zeros(days)
    for day, depth in ((1, 0.08), (2, 0.15), (3, 0.01), (8, 0.10)):
        rain[day] = depth
    evaporation = np.where(rain > 0, 0.001, 0.007)
    square = np.full(cells + 1, 1 / cells)
    square[0] = 0.0  # the pond is the first state, and is not in the loss
    return Case(
        name,
        title,
        model,
        np.arange(days + 1.0),
        parameters,
        {"theta": theta},
        {"precipitation": rain},
        {"potential_evaporation": evaporation},
        {"S_s": np.array([1e-4])},
        square=square,
        target=0.25,
        banded=True,
    )


def basin(data: Path | None) -> Case:
    """EXP-HYDRO, ten years of days, the loss is one minus the Nash-Sutcliffe efficiency of daily runoff."""
    file = None if data is None else data / "camels_us_60.nc"
    if file is not None and file.exists():
        from pydiffgeo.hydrology import basin_data, open_cf

        series = basin_data(open_cf(file, basins=[BASIN]), BASIN, start=START, end=END)
        weather = {k: np.array(getattr(series, k)) for k in ("precipitation", "temperature", "daylength")}
        runoff, title = np.array(series.runoff), f"EXP-HYDRO, CAMELS-US {BASIN}, {START} to {END}"
    else:
        weather, runoff = _synthetic_weather(3652)
        title = "EXP-HYDRO, ten years of synthetic weather"
    known = ~np.isnan(runoff)
    spread = ((runoff - np.nanmean(runoff)) ** 2)[known].sum()
    values = {"f": 0.017, "S_max": 1200.0, "Q_max": 20.0, "D_f": 2.7, "T_max": 0.2, "T_min": -1.5}
    rain = weather.pop("precipitation")
    return Case(
        "basin",
        title,
        dg.models.ExpHydro(),
        np.arange(len(runoff) + 1.0),
        {k: np.array([v]) for k, v in values.items()},
        {"snow_storage": np.array([10.0]), "water_storage": np.array([1000.0])},
        {"precipitation": rain},
        weather,
        flux="runoff",
        flux_weight=known / spread,
        flux_target=np.where(known, runoff, 0.0),
        absolute=1.0,
    )


def _synthetic_weather(days: int) -> tuple[Values, np.ndarray]:
    """Seasons, gamma-distributed rain on a third of the days, runoff of a linear reservoir."""
    random, day = np.random.default_rng(7), np.arange(days)
    season = np.cos(2 * np.pi * (day - 20) / 365.25)
    temperature = 6.0 - 9.0 * season + 3.0 * random.standard_normal(days)
    rain = np.where(random.random(days) < 0.33, random.gamma(0.8, 10.0, days), 0.0)
    runoff, store = np.zeros(days), 40.0
    for i in range(days):
        store += rain[i] * 0.6
        runoff[i] = 0.05 * store
        store -= runoff[i]
    return {"precipitation": rain, "temperature": temperature, "daylength": 12.0 - 4.0 * season}, runoff


def robertson(data: Path | None) -> Case:
    """Robertson's kinetics to t = 1e5, loss = sum over decades of 1e4 y2 + y3, gradient to rates and start."""

    def source(cell: Any, forcing: Any) -> dict[str, Any]:
        slow, fast, back = cell.k_1 * cell.y1, cell.k_2 * cell.y2 * cell.y2, cell.k_3 * cell.y2 * cell.y3
        return {"y1": back - slow, "y2": slow - back - fast, "y3": fast}

    model = dg.Model(
        name="Robertson",
        graph=dg.single_cell(),
        states=tuple(dg.State(k, "1", "concentration", 0.0) for k in ("y1", "y2", "y3")),
        parameters=tuple(dg.Parameter(k, "1", "rate", 1.0) for k in ("k_1", "k_2", "k_3")),
        source=source,
    )
    return Case(
        "robertson",
        "Robertson's kinetics to t = 1e5",
        model,
        np.array([0.0, 1, 10, 100, 1e3, 1e4, 1e5]),
        {"k_1": np.array([0.04]), "k_2": np.array([3e7]), "k_3": np.array([1e4])},
        {"y1": np.array([1.0]), "y2": np.array([0.0]), "y3": np.array([0.0])},
        linear=np.array([0.0, 1e4, 1.0]),
        absolute=1e-5,
    )


@dataclass(frozen=True)
class Geometry:
    """Of the aquifer: `side` square cells along rows and columns, and places (row, column) of what acts in them."""

    side: int = 50
    spacing: float = 100.0
    thickness: float = 20.0

    @property
    def river(self) -> list[tuple[int, int]]:
        return [(i, self.side // 2) for i in range(self.side)]

    @property
    def wells(self) -> list[tuple[int, int]]:
        places = ((0.3, 0.3), (0.7, 0.4), (0.5, 0.7), (0.2, 0.8))
        return [(int(self.side * y), int(self.side * x)) for y, x in places]


AQUIFER = Geometry()


def aquifer(data: Path | None) -> Case:
    """2,500 cells of a confined aquifer: a river, a general head along one side, four wells, a year in 36 periods."""
    n, g, conditions = AQUIFER.side, AQUIFER, dg.groundwater
    sides = [i * n for i in range(n)]
    river, wells = ([i * n + j for i, j in places] for places in (g.river, g.wells))
    boundaries = [conditions.GeneralHead(sides), conditions.River(river), conditions.Well(wells), conditions.Recharge()]
    grid = dg.raster((1, n, n), (g.spacing, g.spacing), layers=g.thickness)
    y, x = (np.arange(n * n) // n / n, np.arange(n * n) % n / n)
    periods = np.arange(36)
    S_s = 5e-4
    return Case(
        "aquifer",
        "a confined aquifer, 50 x 50 cells, a year in 36 periods, conductivity of every cell",
        dg.models.Aquifer(grid, boundaries=boundaries),
        10.0 * np.arange(37),
        {"K": 10.0 * np.exp(0.8 * np.sin(7 * x + 2 * np.cos(5 * y)))},
        {"water": S_s * g.thickness * (g.thickness + 0.5 * np.sin(3 * x) * np.cos(2 * y))},
        {
            "recharge_rate": 5e-4 * (1 + 0.9 * np.cos(2 * np.pi * periods / 36)),
            "well_rate": np.where(periods // 3 % 2, -400.0, -50.0),
        },
        {"river_stage": 0.5 * np.sin(2 * np.pi * periods / 9), "general_head": np.full(36, 1.0)},
        {
            "S_s": np.array([S_s]),
            "horizontal_anisotropy": np.array([1.0]),
            "general_conductance": np.array([200.0]),
            "river_conductance": np.array([100.0]),
            "river_bed": np.array([-15.0]),
        },
        square=1e4 / n**2,
        target=S_s * g.thickness**2,
        forward=1 / (S_s * g.thickness),
    )


CASES: dict[str, Callable[[Path | None], Case]] = {
    "richards": richards,
    "storms": storms,
    "basin": basin,
    "robertson": robertson,
    "clay": clay,
    "aquifer": aquifer,
}
