"""The aquifer against itself where symmetries and balances say what is right, and what it refuses.

Its numbers are held by the problems of `pydiffgeo/verification`: MODFLOW, and exact solutions.
"""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch

import pydiffgeo as dg
from pydiffgeo.errors import BoundsError
from pydiffgeo.groundwater import (
    Drain,
    Evapotranspiration,
    GeneralHead,
    GivenHead,
    Recharge,
    River,
    Well,
)

Aquifer = dg.models.Aquifer


def test_balances_close_to_rounding_while_cells_dry_and_get_wet_again(engine: str) -> None:
    # A pit beside a ridge: pumped dry, then flooded from a river, over a thick bed.
    thickness = np.array([[6.0, 3.0, 8.0, 5.0, 7.0]])
    model = Aquifer(
        dg.raster((1, 1, 5), (50.0, 50.0), layers=thickness[None]),
        "convertible",
        top=10.0,
        boundaries=(River([4]), Well([0, 2]), Recharge()),
    )
    sol = dg.solve(
        model,
        {"K": 5.0, "S_s": 1e-4, "S_y": 0.2, "river_conductance": 50.0, "river_bed": 4.0},
        forcing={
            "river_stage": [3.5, 3.5, 12.0, 12.0],
            "well_rate": [[-30.0, -60.0], [-30.0, -60.0], [0.0, 0.0], [0.0, -10.0]],
            "recharge_rate": 1e-4,
        },
        times=[0.0, 20.0, 60.0, 100.0, 160.0],
        initial={"head": 8.0},
        engine=engine,
        rtol=1e-7,
        atol=1e-9,
    )
    taken = sol.fluxes["well"]
    assert float(sol.balance) < 1e-10 * float(taken.abs().sum())
    share = sol.outputs["saturation"]
    assert share[1:3].min() < 0.1
    assert share.min() > -1e-6
    assert share[-1, 4] > 0.999
    # What one well could not have is missing in the reported withdrawal; the other had all it asked for.
    assert taken[1, 0].item() == pytest.approx(-1200.0)
    assert -2399 < taken[1, 1] < -2000


def test_recharge_reaches_the_highest_wet_cell() -> None:
    grid = dg.raster((3, 1, 2), (10.0, 10.0), layers=[5.0, 5.0, 10.0])
    given = GivenHead([(2, 0, 0)])

    def heads(**choices: bool) -> torch.Tensor:
        recharge = Recharge(**choices) if choices else Recharge([(2, 0, 1)])
        model = Aquifer(grid, "convertible", top=20.0, boundaries=(given, recharge))
        start = torch.tensor([15.0, 15.0, 10.0, 10.0, 8.0, 8.0])
        values = {"K": 1.0, "vertical_anisotropy": 1e-4}
        rest = dg.steady(
            model,
            values,
            forcing={"given_head": 8.0, "recharge_rate": 1e-3},
            initial={"head": start},
            engine="sundials",
        )
        assert float(rest.balance) == pytest.approx(0, abs=1e-10)
        return rest.outputs["head"]

    # Nothing is left to sink through the dry layers, which conduct too little for it.
    torch.testing.assert_close(heads(highest_wet=True)[4:], heads()[4:])
    assert (heads(highest_wet=True)[:4] - torch.tensor([15.0, 15.0, 10.0, 10.0])).abs().max() < 1e-3
    assert heads(highest_wet=False)[1] > 15.5


# Heads of MODFLOW 6 (6.2.1) without Newton, with PERCHED, closed to 1e-11 m: two water tables over a third.
PERCHED = {
    "constant": [[24.159782, 23.638316, 23.274619, 23.168942], [13.665275, 13.593838, 13.498073, 13.462747]],
    "saturated": [[23.752967, 23.082202, 22.618865, 22.486465], [11.669273, 11.52187, 11.335702, 11.269585]],
    "dewatered": [[22.049806, 20.500664, 20.183504, 20.136029], [12.401174, 11.642224, 10.884758, 10.667694]],
}
LOWEST = {
    "constant": [7.228818, 7.067479, 6.633432, 6.0],
    "saturated": [7.321645, 7.142274, 6.669748, 6.0],
    "dewatered": [7.705676, 7.450973, 6.81768, 6.0],
}


@pytest.mark.parametrize("vertical", PERCHED)
def test_conductance_between_water_tables_is_that_of_modflow(vertical: str, engine: str) -> None:
    model = Aquifer(
        dg.raster((3, 1, 4), (40.0, [50.0, 60.0, 70.0, 40.0]), layers=10.0),
        "convertible",
        top=30.0,
        boundaries=(GivenHead([(2, 0, 3)]), GeneralHead([(0, 0, 0)]), Recharge()),
        upstream=False,
        vertical=vertical,  # type: ignore[arg-type]
        perched=True,
    )
    K, down = np.repeat([2.0, 3.0, 5.0], 4), np.repeat([0.01, 0.004, 0.01], 4)
    rest = dg.groundwater.steady(
        model,
        {"K": K, "vertical_anisotropy": down / K, "general_conductance": 2.0},
        forcing={"given_head": 6.0, "general_head": 26.5, "recharge_rate": 1.5e-3},
        initial={"head": np.repeat([26.0, 16.0, 8.0], 4)},
        engine=engine,
    )
    expected = np.array([*PERCHED[vertical], LOWEST[vertical]]).ravel()
    np.testing.assert_allclose(rest.outputs["head"], expected, atol=1e-6)


def test_layers_touch_where_those_between_pinch_out() -> None:
    active = np.array([[[True, True]], [[False, True]], [[True, True]]])
    given = (GivenHead([(0, 0, 0), (0, 0, 1)], "above"), GivenHead([(2, 0, 0), (2, 0, 1)], "below"))
    grid = dg.raster((3, 1, 2), (10.0, 10.0), layers=[4.0, 2.0, 6.0], active=active)

    def downwards(pinched: np.ndarray | None) -> torch.Tensor:
        model = Aquifer(grid, boundaries=given, pinched=pinched)
        values = {"K": 1.0, "vertical_anisotropy": 0.1}
        rest = dg.steady(
            model, values, forcing={"above_head": 5.0, "below_head": 2.0}, initial={"head": 3.0}, engine="sundials"
        )
        return rest.fluxes["above"].sum()

    # Half cells in series, 100 m2, a fall of 3 m: straight, and through the layer between.
    through = 0.1 * 100 * 3 / (2 + 2 + 3)
    assert downwards(None).item() == pytest.approx(through)
    assert downwards(~active).item() == pytest.approx(through + 0.1 * 100 * 3 / (2 + 3))
    with pytest.raises(dg.errors.ModelError, match=r"pinched place \(0, 0, 0\) is a cell"):
        downwards(active)
    with pytest.raises(dg.errors.ModelError, match="pinched must be a boolean mask"):
        downwards(np.ones((1, 2), bool))


def test_rows_and_columns_are_alike() -> None:
    rng = np.random.default_rng(3)
    K, shape = torch.from_numpy(np.exp(rng.normal(size=(4, 5)))), (4, 5)

    def heads(K: torch.Tensor, anisotropy: float, spacing: tuple[float, float], well: tuple[int, int]) -> torch.Tensor:
        model = Aquifer(dg.raster(K.shape, spacing), boundaries=(GivenHead([(0, 0)]), Well([well])))
        values = {"K": K, "horizontal_anisotropy": anisotropy}
        rest = dg.steady(
            model, values, forcing={"given_head": 0.0, "well_rate": -1.0}, initial={"head": 0.0}, engine="sundials"
        )
        return model.graph.on_grid(rest.outputs["head"])

    assert shape == tuple(K.shape)
    along = heads(K, 0.2, (10.0, 30.0), (3, 2))
    across = heads(0.2 * K.T, 5.0, (30.0, 10.0), (2, 3))
    torch.testing.assert_close(along, across.T)


def test_a_given_head_is_that_of_its_series(engine: str) -> None:
    model = Aquifer(dg.raster((1, 1, 3), (10.0, 10.0), layers=5.0), boundaries=(GivenHead([0]),))
    tide = dg.TimeSeries([0.0, 1.0, 2.0], [0.0, 2.0, 1.0], "linear")
    sol = dg.solve(
        model,
        {"K": 1.0, "S_s": 1e-3},
        forcing={"given_head": tide},
        times=[0.0, 0.5, 2.0],
        initial={"head": 0.0},
        engine=engine,
    )
    assert sol.outputs["head"][:, 0].tolist() == pytest.approx([0.0, 1.0, 1.0])
    # What came in is stored.
    stored = sol.storage[-1] - sol.storage[0]
    assert sol.fluxes["given"].sum().item() == pytest.approx(stored.item(), rel=1e-9)


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ([River([6])], "River 'river': 6 is no cell"),
        ([River([[0, 2, 0]])], r"River 'river': \[0, 2, 0\] is no cell"),
        ([River([])], "River 'river' needs cells"),
        ([River()], "River 'river' needs cells"),
        ([GivenHead([0]), GivenHead([0], "other")], r"cell \(0, 0, 0\) has more than one given head"),
        ([Well([0]), Well([1])], "two boundaries are called 'well'"),
        (["river"], "boundaries must be conditions such as River or Well, got 'river'"),
    ],
)
def test_conditions_that_do_not_fit(conditions: list[object], message: str) -> None:
    with pytest.raises(dg.errors.ModelError, match=message):
        Aquifer(dg.raster((1, 2, 3), (1.0, 1.0), layers=1.0), boundaries=conditions)  # type: ignore[arg-type]


def test_choices_that_do_not_fit() -> None:
    grid = dg.raster((2, 2, 3), (1.0, 1.0), layers=[1.0, 1.0])
    for choices, message in (
        ({"kind": "open"}, "kind='open' is not one of"),
        ({"kind": ["confined"] * 3}, "one for each of 2 layers"),
        ({"mean": "plain"}, "mean='plain' is not one of"),
        ({"vertical": "none"}, "vertical='none' is not one of"),
        ({"top": [1.0, 2.0]}, "top must be one elevation or"),
        ({"top": "high"}, "top must be elevations"),
    ):
        with pytest.raises(dg.errors.ModelError, match=message):
            Aquifer(grid, **choices)  # type: ignore[arg-type]
    with pytest.raises(dg.errors.ModelError, match="grid must be a raster"):
        Aquifer(dg.column(1.0, 3), boundaries=(Well([0]),))
    with pytest.raises(dg.errors.ModelError, match="reduce_below must be a share"):
        Well([0], reduce_below=0.0)
    with pytest.raises(dg.errors.ModelError, match="segments must go down"):
        Evapotranspiration(segments=((0.5, 0.3), (0.2, 0.1)))
    model = Aquifer(grid, "convertible")
    with pytest.raises(dg.errors.BoundsError, match=r"S_s \* thickness <= S_y"):
        dg.steady(model, {"K": 1.0, "S_y": 0.1, "S_s": 0.2}, initial={"head": 0.0})


def test_cells_may_be_numbers_places_or_a_mask() -> None:
    mask = np.zeros((1, 2, 3), bool)
    mask[0, 1, 1:] = True
    grid = dg.raster((1, 2, 3), (1.0, 1.0), layers=1.0, active=np.array([[True, False, True], [True, True, True]]))
    for cells in ([3, 4], np.array([3, 4]), [(0, 1, 1), (0, 1, 2)], mask):
        assert Aquifer(grid, boundaries=[Drain(cells)]).boundaries[0].cells == (3, 4)


def test_a_model_is_made_once_and_may_be_sent_elsewhere() -> None:
    grid = dg.raster((1, 2, 3), (1.0, 1.0), layers=1.0)
    model = Aquifer(grid, boundaries=(River([0]),))
    assert Aquifer(grid, boundaries=(River(np.array([0])),)) is model
    assert copy.deepcopy(model) is model
    other = pickle.loads(pickle.dumps(model))
    assert other.describe() == model.describe()
    for name in ("K", "S_s", "river_conductance", "river_stage", "head"):
        assert name in model.describe()


# The ends of usual ranges.
CORNERS = {
    "K": (1e-2, 300.0),
    "vertical_anisotropy": (0.01, 1.0),
    "S_s": (1e-6, 1e-3),
    "S_y": (0.03, 0.35),
    "river_conductance": (1.0, 1e4),
    "general_conductance": (1.0, 1e4),
    "drain_conductance": (1.0, 1e4),
    "evapotranspiration_depth": (0.3, 6.0),
    "river_stage": (15.2, 24.0),
    "general_head": (4.0, 18.0),
    "well_rate": (-10.0, -5e3),
    "recharge_rate": (0.0, 0.01),
}


def test_corners_of_the_ranges_end_within_their_bounds(engine: str) -> None:
    rng = np.random.default_rng(5)
    thickness = np.stack([6 + 4 * rng.random((3, 3)), 12 + 3 * rng.random((3, 3))])
    conditions = (
        River([(0, i, 0) for i in range(3)]),
        GeneralHead([(1, i, 2) for i in range(3)]),
        Drain([(0, 1, 1)]),
        Well([(1, 1, 1), (0, 2, 2)]),
        Recharge(),
        Evapotranspiration(),
    )
    model = Aquifer(
        dg.raster((2, 3, 3), (100.0, 100.0), layers=thickness), "convertible", top=20.0, boundaries=conditions
    )
    fixed = {"river_bed": 15.0, "drain_elevation": 16.0, "evapotranspiration_surface": 20.0}
    for draw in range(16):
        chosen = {name: ends[int(rng.integers(2))] for name, ends in CORNERS.items()}
        given = {k: v for k, v in chosen.items() if k in [p.name for p in model.parameters]}
        given["K"] = given["K"] * np.exp(rng.normal(size=18))
        forcing = {k: v for k, v in chosen.items() if k not in given} | {"evapotranspiration_rate": 5e-3}
        # Dry at first, half full, or flooded.
        start = {"head": torch.from_numpy(np.maximum(model.graph.cell["bottom"], (-9.0, 10.0, 30.0)[draw % 3]))}
        rest = dg.steady(model, {**fixed, **given}, forcing=forcing, initial=start, engine=engine)
        times = [0.0, 30.0, 365.0]
        sol = dg.solve(
            model,
            {**fixed, **given},
            forcing=forcing,
            times=times,
            initial=start,
            engine=engine,
            rtol=1e-5,
            max_seconds=60,
        )
        assert min(rest.outputs["saturation"].min(), sol.outputs["saturation"].min()) > -1e-6
        moved = sum(float(v.abs().sum()) for v in sol.fluxes.values())
        assert float(sol.balance) < 1e-10 * moved


def test_dry_cells_owe_no_water() -> None:
    model = Aquifer(dg.raster((1, 2), (10.0, 10.0), layers=[2.0]), "convertible", top=2.0, boundaries=(Recharge(),))
    found = dg.solve(
        model, {"K": 1.0, "S_y": 0.2}, initial={"head": [-3.0, 1.0]}, times=[0.0, 1e-9], forcing={"recharge_rate": 0.0}
    )
    torch.testing.assert_close(found.states["water"][0], torch.tensor([0.0, 0.2]))
    with pytest.raises(BoundsError, match="more left a dry cell than came"):
        dg.solve(
            model, {"K": 1.0, "S_y": 0.2}, initial={"water": -0.01}, times=[0.0, 1.0], forcing={"recharge_rate": 0.0}
        )
