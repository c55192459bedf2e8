"""Models of stores and fluxes: SIMHYD, HyMOD, VIC-like layers and SUPERFLEX against their formulas written out."""

from __future__ import annotations

import csv
import importlib.util
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from corners import DROUGHT, FLOOD, NOTHING, Weather, corners, ends_within_bounds
from runge_kutta import by_day

import pydiffgeo as dg
from pydiffgeo.errors import BoundsError, ModelError
from pydiffgeo.models import Flux, Store, buckets
from pydiffgeo.processes.reservoir import power

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "buckets"
# Rain, drought and flood; potential evapotranspiration (mm/d).
WEATHER = [(12.0, 2.0), (0.0, 4.0), (0.0, 5.0), (90.0, 0.5), (3.0, 3.0), (0.0, 6.0), (55.0, 1.0), (0.0, 0.0)]


def example(name: str) -> dg.Model:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model: dg.Model = getattr(module, name.upper())
    return model


def rounded(demand: float, supply: float, width: float = 0.01) -> float:
    """The lesser of two, as the kit's examples round it: harmonic where both are alike."""
    return 2 * demand * supply / (demand + supply + float(np.hypot(demand - supply, width)))


def above(x: float, width: float = 0.1) -> float:
    return 0.0 if x < 0 else x**2 / (2 * width) if x < width else x - width / 2


def simhyd(least: Callable[[float, float], float]) -> tuple[Callable[..., list[float]], list[float]]:
    """Soil, groundwater, evapotranspiration and runoff, of the defaults."""

    def rates(y: Any, P: float, E: float) -> list[float]:
        w = min(max(y[0] / 250, 0.0), 1.0)
        held = least(P, least(E, 2.0))
        inside = least(P - held, 200 * np.exp(-1.5 * w))
        fast = 0.3 * w * inside
        down = 0.3 * w * (inside - fast)
        et, over = least(E - held, 10 * w), above(y[0] - 250) / 0.1
        base = 0.05 * y[1]
        return [inside - fast - down - et - over, down + over - base, held + et, P - held - inside + fast + base]

    return rates, [50.0, 10.0, 0.0, 0.0]


def saturated(storage: float, capacity: float, b: float) -> float:
    dry = min(max(1 - storage / capacity, 0.0), 1.0)
    return 1 - dry * (dry + 1e-3) ** (b / (1 + b) - 1)


def hymod(y: Any, P: float, E: float) -> list[float]:
    """Soil, three quick reservoirs, the slow one, evapotranspiration and runoff, of the defaults."""
    S, q1, q2, q3, slow = y[:5]
    full = 300 / 1.4
    wet = P * saturated(S, full, 0.4)
    et = rounded(E * S / full, S)
    out = 0.5 * q3 + 0.02 * slow
    return [P - wet - et, 0.5 * wet - 0.5 * q1, 0.5 * (q1 - q2), 0.5 * (q2 - q3), 0.5 * wet - 0.02 * slow, et, out]


def vic(y: Any, P: float, E: float) -> list[float]:
    """Two layers, evapotranspiration and runoff, of the defaults."""
    W, L = y[:2]
    x, A = min(max(W / 120, 0.0), 1.0), saturated(W, 120, 0.2)
    et, down = rounded(E * (A + (1 - A) * x), x * 120 / 0.1), 50 * x**10
    base = 0.1 * 10 / (0.8 * 300) * L + 10 * (1 - 0.1 / 0.8) * max((L - 240) / 60, 0.0) ** 2
    over = above(L - 300) / 0.1
    return [P * (1 - A) - et - down, down - base - over, et, P * A + base + over]


CASES = {
    "simhyd": (*simhyd(rounded), ("soil", "ground")),
    "hymod": (hymod, [50.0, 0.0, 0.0, 0.0, 10.0, 0.0, 0.0], ("soil", "quick_1", "quick_2", "quick_3", "slow")),
    "vic": (vic, [60.0, 150.0, 0.0, 0.0], ("upper", "lower")),
}


def solve(model: dg.Model, engine: str, weather: Any = WEATHER, **settings: Any) -> dg.Solution:
    rain, demand = zip(*weather, strict=True)
    forcing = {"precipitation": list(rain), "potential_evapotranspiration": list(demand)}
    times = np.arange(len(weather) + 1.0)
    return dg.solve(model, forcing=forcing, times=times, engine=engine, **({"rtol": 1e-9, "atol": 1e-9} | settings))


@pytest.mark.parametrize("name", CASES)
def test_examples_are_what_their_formulas_say(name: str, engine: str) -> None:
    rates, start, stores = CASES[name]
    expected, sol = by_day(rates, start, WEATHER, 1500), solve(example(name), engine)
    for i, store in enumerate(stores):
        assert sol.states[store][1:, 0].numpy() == pytest.approx(expected[:, i], abs=2e-5), store
    for i, flux in ((-2, "evapotranspiration"), (-1, "runoff")):
        assert sol.fluxes[flux].cumsum(0).numpy() == pytest.approx(expected[:, i], abs=2e-5), flux
    assert sol.fluxes["precipitation"].numpy() == pytest.approx([p for p, _ in WEATHER])
    assert sol.balance.item() < 1e-10


def test_rounding_changes_little() -> None:
    """SIMHYD with sharp limits: less than 1 % of what runs off and evaporates."""
    rates, start = simhyd(min)
    sharp, sol = by_day(rates, start, WEATHER, 400)[-1], solve(example("simhyd"), "sundials")
    assert sol.fluxes["evapotranspiration"].sum().item() == pytest.approx(sharp[2], rel=0.01)
    assert sol.fluxes["runoff"].sum().item() == pytest.approx(sharp[3], rel=0.01)


@pytest.mark.parametrize("name", CASES)
def test_examples_are_differentiable(name: str, engine: str) -> None:
    model = example(name)
    values = {p.name: torch.tensor(p.default, requires_grad=True) for p in model.parameters}

    def loss(changed: dict[str, torch.Tensor]) -> torch.Tensor:
        sol = dg.solve(
            model,
            changed,
            forcing={"precipitation": [40.0, 0.0, 3.0], "potential_evapotranspiration": [1.0, 4.0, 3.0]},
            times=range(4),
            engine=engine,
            rtol=1e-10,
            atol=1e-10,
        )
        return (sol.fluxes["runoff"] * torch.tensor([1.0, 2.0, 3.0])).sum() + 0.1 * sol.fluxes[
            "evapotranspiration"
        ].sum()

    slopes = torch.autograd.grad(loss(values), [*values.values()])
    for (key, value), slope in zip(values.items(), slopes, strict=True):
        h = 1e-4 * value.item()
        with torch.no_grad():
            up, down = (loss({**values, key: value + s * h}) for s in (1, -1))
        assert slope.item() == pytest.approx((up - down).item() / (2 * h), rel=1e-4, abs=1e-6), key


@pytest.mark.parametrize("weather", [DROUGHT, FLOOD, NOTHING], ids=["drought", "flood", "nothing"])
@pytest.mark.parametrize("name", CASES)
def test_every_corner_ends_within_bounds(name: str, weather: Weather, usual_engine: str) -> None:
    model = example(name)
    values = corners(model, 24, seed=2)
    if name == "vic":  # beyond that it is refused
        values["Ds"] = np.minimum(values["Ds"], values["Ws"])
    for stores in (0.0, 300.0):
        start = {s.name: stores for s in model.states}
        ends_within_bounds(model, values, weather, start, usual_engine)


def test_a_base_flow_that_would_fall_with_storage_is_refused() -> None:
    with pytest.raises(BoundsError, match="Ds <= Ws"):
        dg.solve(
            example("vic"),
            {"Ds": 0.9, "Ws": 0.5},
            forcing={"precipitation": 1.0, "potential_evapotranspiration": 1.0},
            times=[0, 1],
            engine="sundials",
        )


def superflex(*, unsaturated: bool) -> dg.Model:
    """The power reservoir and the unsaturated reservoir of Fenicia et al. 2011, Water Resour. Res. 47."""
    if not unsaturated:
        fast = Flux("Q", lambda c, f: power(c.S, c.S**0 * 0.01, c.S**0 * 2.5), "S", "runoff")
        return buckets("FR", (Store("S"),), (Flux("rain", lambda c, f: f.precipitation, "precipitation", "S"), fast))

    def evaporating(c: Any, f: Any) -> Any:
        x = c.S / 50.0
        return 1.5 * f.potential_evapotranspiration * x * 1.01 / (x + 0.01)

    fluxes = (
        Flux("rain", lambda c, f: f.precipitation, "precipitation", "S"),
        Flux("Q", lambda c, f: f.precipitation * torch.clamp(c.S / 50.0, min=0.0) ** 1.5, "S", "runoff"),
        Flux("E", evaporating, "S", "evapotranspiration"),
    )
    return buckets("UR", (Store("S", default=10.0),), fluxes)


@pytest.mark.parametrize("element", ["FR", "UR"])
def test_continuous_columns_of_superflex(element: str, engine: str, shared_data: Path) -> None:
    with open(shared_data / "models" / "hbv" / "superflex_ten_days.csv", encoding="utf-8") as file:
        rows = [*csv.DictReader(file)]
    weather = [(float(row["P"]), float(row["E"])) for row in rows]
    sol = solve(superflex(unsaturated=element == "UR"), engine, weather)
    for column, found in {"Q": sol.fluxes["runoff"], "S": sol.states["S"][1:, 0]}.items():
        expected = [float(row[f"{element}_{column}_continuous"]) for row in rows]
        assert found.numpy() == pytest.approx(expected, abs=1e-7, rel=1e-7), column
    if element == "UR":
        expected = [float(row["UR_E_continuous"]) for row in rows]
        assert sol.fluxes["evapotranspiration"].numpy() == pytest.approx(expected, abs=1e-7)


def rain(c: Any, f: Any) -> Any:
    return f.precipitation


def out(c: Any, f: Any) -> Any:
    return 0.1 * c.water


FINE = (Flux("rain", rain, "precipitation", "water"), Flux("out", out, "water", "runoff"))


def test_a_model_of_named_functions_is_pickled_and_traced_once() -> None:
    model = buckets("One", (Store("water"),), FINE)
    again = pickle.loads(pickle.dumps(model))
    found = [solve(m, "sundials").fluxes["runoff"].sum().item() for m in (model, again)]
    assert found[0] == found[1] > 0


@pytest.mark.parametrize(
    ("stores", "fluxes", "message"),
    [
        ((Store("water"), Store("water")), FINE, "'water' is both a store and a store"),
        ((Store("out"),), (Flux("out", out, "out", "runoff"),), "'out' is both a store and a flux"),
        ((Store("water"), Store("ice")), FINE, "no flux fills or empties the store 'ice'"),
        (
            (Store("water"),),
            (Flux("round", out, "water", "water"),),
            "'round' leads from 'water' to 'water'; it needs two",
        ),
        (
            (Store("water"),),
            (*FINE, Flux("more", out, "runoff", "water")),
            "'runoff' is outside .* both gives and takes",
        ),
        (
            (Store("water"),),
            (*FINE, Flux("more", out, "water", "rain")),
            "'more' leads to or from 'rain', which is a flux",
        ),
        ((Store("water"),), ("rain",), "'rain' is neither a Store nor a Flux"),
    ],
)
def test_what_does_not_fit_is_named(stores: Any, fluxes: Any, message: str) -> None:
    with pytest.raises(ModelError, match=f"Odd: .*{message}"):
        buckets("Odd", stores, fluxes)
