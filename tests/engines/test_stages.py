"""Stages and sums: what is computed before the rates, and read by them, by later stages and by outputs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor

import pydiffgeo as dg

X = 0.2


def muskingum(reaches: int = 3) -> dg.Model:
    """A chain of reaches with storage K (X inflow + (1 - X) outflow): what leaves depends on what enters at once."""

    def outflow(level: int) -> dg.Stage:
        def function(cell: dg.model.Place) -> Mapping[str, Tensor]:
            inflow = cell.head_inflow + (getattr(cell, f"inflow_{level - 1}") if level else 0.0)
            return {f"outflow_{level}": (cell.storage / cell.K - X * inflow) / (1 - X)}

        return dg.Stage(f"outflow {level}".replace(" ", "_of_"), function)

    stages: list[dg.Stage | dg.Reduction] = [
        dg.Stage("headwater", lambda cell, forcing, face: {"enters": forcing.inflow}, on="head"),
        dg.Reduction("head_inflow", of="enters", sides="into"),
        outflow(0),
    ]
    for level in range(1, reaches):
        before = f"outflow_{level - 1}"
        stages += [
            dg.Stage(
                f"passes_{level}",
                lambda left, right, face, level=level, before=before: {f"passed_{level}": getattr(left, before)},
                on="face",
            ),
            dg.Reduction(f"inflow_{level - 1}", of=f"passed_{level}", sides="into"),
            outflow(level),
        ]
    last = f"outflow_{reaches - 1}"
    return dg.Model(
        name="Muskingum",
        graph=dg.network(reaches, [(i, i + 1) for i in range(reaches - 1)]),
        states=(dg.State("storage", "m3", "water in the reach", default=0.0),),
        parameters=(dg.Parameter("K", "d", "time of travel", 1.0, low=0.0, open_low=True),),
        forcings=(dg.ForcingVariable("inflow", "m3 d-1", "flow into the first reach"),),
        fluxes=(
            dg.IntegratedFlux("entered", "m3", "inflow", +1),
            dg.IntegratedFlux("discharge", "m3", "outflow", -1),
        ),
        outputs=(dg.Output("outflow", "m3 d-1", "what leaves each reach"),),
        stages=tuple(stages),
        flux=lambda left, right, face: {"storage": getattr(left, last)},
        boundaries=(
            dg.Boundary("head", (0,), lambda cell, forcing, face: {"storage": face.enters, "entered": face.enters}),
            dg.Boundary(
                "outlet",
                (reaches - 1,),
                lambda cell, forcing, face: {"storage": -getattr(cell, last), "discharge": getattr(cell, last)},
            ),
        ),
        output=lambda cell: {"outflow": getattr(cell, last)},
    )


def exact(K: float, inflow: np.ndarray, reaches: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Storages at the ends of days with constant inflow, and outflows there, by matrix exponentials."""
    out = np.zeros((reaches, reaches + 1))  # outflow of each reach by storages and the inflow
    for i in range(reaches):
        enters = out[i - 1] if i else np.eye(reaches + 1)[-1]
        out[i] = (np.eye(reaches + 1)[i] / K - X * enters) / (1 - X)
    rates = np.vstack([np.eye(reaches + 1)[-1:], out[:-1]]) - out
    whole = torch.zeros(reaches + 1, reaches + 1, dtype=torch.float64)
    whole[:reaches] = torch.from_numpy(rates)
    step, y, ends = torch.linalg.matrix_exp(whole).numpy(), np.zeros(reaches + 1), []
    for q in inflow:
        y[-1] = q
        y = step @ y
        ends.append(y.copy())
    return np.array(ends)[:, :reaches], np.array(ends) @ out.T


def test_muskingum_is_its_exact_linear_solution(engine: str) -> None:
    inflow = np.array([3.0, 8.0, 2.0, 0.5, 0.0, 4.0])
    sol = dg.solve(
        muskingum(), {"K": 0.7}, forcing={"inflow": inflow}, times=np.arange(7.0), engine=engine, rtol=1e-9, atol=1e-11
    )
    storages, outflows = exact(0.7, inflow)
    np.testing.assert_allclose(sol.states["storage"][1:], storages, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(sol.outputs["outflow"][1:], outflows, rtol=1e-6, atol=1e-7)
    assert sol.balance < 1e-12


def test_gradients_of_stages_and_sums(engine: str) -> None:
    report = dg.check_gradients(
        muskingum(),
        {"K": torch.tensor([0.7, 0.9, 1.1], dtype=torch.float64)},
        forcing={"inflow": [3.0, 8.0, 2.0]},
        times=range(4),
        engine=engine,
    )
    assert report.ok, str(report)


def moist(n: int = 6) -> dg.Model:
    """A column in which everything takes the forcing: conductivity by temperature, exchange by wind, dispersion by speed."""
    return dg.Model(
        name="Moist",
        graph=dg.column(1.0, n),
        states=(dg.State("theta", "m3 m-3", "water content", default=0.3, low=0.0),),
        parameters=(dg.Parameter("k", "m d-1", "conductivity", 0.02, low=0.0), dg.Parameter("a", "1", "of wind", 0.3)),
        forcings=(
            dg.ForcingVariable("warmth", "1", "relative", default=0.0),
            dg.ForcingVariable("wind", "1", "relative", default=1.0),
        ),
        fluxes=(
            dg.IntegratedFlux("moved", "m", "across each face", on="face"),
            dg.IntegratedFlux("lost", "m", "from each cell", -1, on="cell"),
            dg.IntegratedFlux("gone", "m", "from all cells"),
            dg.IntegratedFlux("left", "m", "at each end", -1, on="boundary"),
        ),
        outputs=(dg.Output("speed", "m d-1", "mean over the faces of a cell"),),
        closure=lambda cell, forcing: {"conductivity": cell.k * (1 + forcing.warmth) * cell.theta**2},
        stages=(
            dg.Stage(
                "darcy",
                lambda left, right, face, forcing: {
                    "q": (1 + left.a * forcing.wind) * (left.conductivity - right.conductivity) / face.distance
                },
                on="face",
            ),
            dg.Reduction("through", of="q", sides="net", weight="area"),
            dg.Stage("speed", lambda cell: {"speed": torch.sqrt(cell.through**2 + 1e-6)}),
        ),
        source=lambda cell, forcing: {
            "theta": -0.1 * forcing.wind * cell.theta * cell.speed,
            "lost": 0.1 * forcing.wind * cell.theta * cell.speed,
            "gone": 0.1 * forcing.wind * cell.theta * cell.speed,
        },
        flux=lambda left, right, face, forcing: {
            "theta": face.q + 0.05 * forcing.warmth * (left.speed + right.speed) * (left.theta - right.theta),
            "moved": face.q + 0.05 * forcing.warmth * (left.speed + right.speed) * (left.theta - right.theta),
        },
        boundaries=tuple(
            dg.Boundary(
                name,
                (cell,),
                lambda cell, forcing, face: {"theta": -0.01 * cell.speed - 0.01, "left": 0.01 * cell.speed + 0.01},
            )
            for name, cell in (("top", 0), ("bottom", n - 1))
        ),
        output=lambda cell: {"speed": cell.speed},
    )


START = np.linspace(0.2, 0.4, 6)


def run(engine: str, **changes: object) -> dg.Solution:
    wind = dg.TimeSeries([0.0, 0.7, 3.0], [1.0, 2.0, 0.5], kind="linear")
    return dg.solve(
        moist(),
        forcing={"warmth": [0.1, 0.6, 0.0], "wind": wind},
        initial={"theta": START},
        times=range(4),
        engine=engine,
        **changes,  # type: ignore[arg-type]
    )


def test_fluxes_on_cells_faces_and_boundaries_add_up(engine: str) -> None:
    sol = run(engine, rtol=1e-8, atol=1e-10)
    assert {k: tuple(v.shape) for k, v in sol.fluxes.items()} == {
        "moved": (3, 5),
        "lost": (3, 6),
        "gone": (3,),
        "left": (3, 2),
    }
    torch.testing.assert_close(sol.fluxes["lost"].sum(-1), sol.fluxes["gone"], rtol=1e-12, atol=1e-14)
    assert sol.balance < 1e-14
    # What a cell gains is what crosses its faces, less what it loses and what leaves at the ends.
    stored = (sol.states["theta"][1:] - sol.states["theta"][:-1]) / 6
    gained = torch.zeros(3, 6, dtype=torch.float64)
    gained[:, 1:] += sol.fluxes["moved"]
    gained[:, :-1] -= sol.fluxes["moved"]
    gained[:, [0, 5]] -= sol.fluxes["left"]
    torch.testing.assert_close(stored, gained - sol.fluxes["lost"], rtol=0.0, atol=1e-13)


def test_fluxes_of_items_in_datasets_and_for_observers() -> None:
    sol = run("sundials")
    data = dg.io.solution_dataset(sol)
    assert data.moved.dims == ("interval", "face")
    assert data.lost.dims == ("interval", "cell")
    assert data.left.dims == ("interval", "left_place")
    with pytest.raises(dg.errors.InputError, match="'moved' has a value for each face"):
        dg.observe.flux_sums(sol, "moved", [(0, 1)])


def test_engines_agree_on_stages(julia_engine: str) -> None:
    ours, other = (run(e, rtol=1e-9, atol=1e-11) for e in (julia_engine, "sundials"))
    for name in ours.states:
        torch.testing.assert_close(ours.states[name], other.states[name], rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(ours.outputs["speed"], other.outputs["speed"], rtol=1e-5, atol=1e-8)


def test_gradients_where_everything_takes_the_forcing(engine: str) -> None:
    wind = dg.TimeSeries([0.0, 0.7, 3.0], [1.0, 2.0, 0.5], kind="linear")
    report = dg.check_gradients(
        moist(),
        forcing={"warmth": [0.1, 0.6, 0.0], "wind": wind},
        initial={"theta": START},
        times=range(4),
        engine=engine,
    )
    assert report.ok, str(report)


def test_outputs_know_the_forcing_of_their_time(engine: str) -> None:
    model = dg.Model(
        name="Warm",
        graph=dg.single_cell(),
        states=(dg.State("s", "mm", "store", default=1.0),),
        forcings=(dg.ForcingVariable("f", "1", "a forcing"),),
        outputs=(dg.Output("twice", "1", "of the forcing"),),
        closure=lambda cell, forcing: {"twice": 2 * forcing.f},
        source=lambda cell, forcing: {"s": -cell.s * cell.twice},
        output=lambda cell: {"twice": cell.twice},
    )
    sol = dg.solve(model, forcing={"f": [1.0, 3.0]}, times=[0, 1, 2], engine=engine)
    assert sol.outputs["twice"][:, 0].tolist() == [2.0, 2.0, 6.0]
    assert sol.states["s"][-1].item() == pytest.approx(np.exp(-8), rel=1e-4)
    several = dg.solve(model, forcing={"f": [[1.0, 3.0], [0.0, 1.0]]}, times=[0, 1, 2], engine=engine)
    assert several.outputs["twice"][1, :, 0].tolist() == [0.0, 0.0, 2.0]


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ((dg.Reduction("sum", of="q"),), "sums 'q', which no stage assigns"),
        ((dg.Stage("a", lambda cell: {"s": cell.s}),), "returns .'s'., which is there already"),
        ((dg.Stage("a", lambda cell: {"b": cell.s}, on="roof"),), "is on 'roof'"),
        (
            (dg.Stage("a", lambda left, right, face: {"q": left.s}, on="face"), dg.Reduction("t", "q", sides="up")),
            "'up'",
        ),
        (
            (dg.Stage("a", lambda left, right, face: {"q": left.s}, on="face"), dg.Reduction("t", "q", weight="w")),
            "weight 'w', which is no geometry of faces",
        ),
        ((dg.Stage("a", lambda cell: {"b": cell.later}), dg.Stage("c", lambda cell: {"later": cell.s})), "later"),
        (("closure",), "must be a tuple of Stage or Reduction"),
    ],
    ids=lambda value: "stages" if isinstance(value, tuple) else "message",
)
def test_stages_that_do_not_fit_are_named(stages: tuple[dg.Stage, ...], message: str) -> None:
    def make() -> dg.Solution:
        model = dg.Model(
            name="Wrong",
            graph=dg.column(1.0, 3),
            states=(dg.State("s", "mm", "store", default=1.0),),
            stages=stages,
            source=lambda cell, forcing: {"s": -cell.s},
        )
        return dg.solve(model, times=[0, 1], engine="sundials")

    with pytest.raises(dg.errors.ModelError, match=message):
        make()


def test_a_flux_is_on_what_its_function_is_on() -> None:
    model = dg.Model(
        name="Wrong",
        graph=dg.column(1.0, 3),
        states=(dg.State("s", "mm", "store", default=1.0),),
        fluxes=(dg.IntegratedFlux("q", "mm", "moved", on="cell"),),
        flux=lambda left, right, face: {"s": left.s, "q": left.s},
    )
    with pytest.raises(dg.errors.ModelError, match="on='cell'; it may return fluxes on "):
        dg.solve(model, times=[0, 1], engine="sundials")
