"""What users make can be pickled, saved, copied, and sent to workers; what cannot says which function is to blame."""

from __future__ import annotations

import copy
import io
import multiprocessing
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import pydiffgeo as dg
from pydiffgeo.calibration import Site, Strategy, calibrate
from pydiffgeo.errors import ModelError, SolverError

SETTINGS = {"engine": "sundials", "rtol": 1e-6, "atol": 1e-8}
TIMES = [0.0, 1.0, 2.0, 3.0]


def outflow(cell: Any, forcing: Any) -> dict[str, Any]:
    return {"storage": forcing.rain - cell.k * cell.storage, "out": cell.k * cell.storage}


def between_zero_and_one(cell: Any) -> Any:
    return cell.k < 1.0


def reservoir(**changes: Any) -> dg.Model:
    """A linear reservoir whose functions are at the top of a module."""
    return replace(
        dg.Model(
            name="Reservoir",
            graph=dg.single_cell(2.0),
            states=(dg.State("storage", "mm", "water", default=3.0),),
            parameters=(dg.Parameter("k", "d-1", "outflow per storage", 0.5, low=0.0, typical=(0.1, 0.9)),),
            forcings=(dg.ForcingVariable("rain", "mm d-1", "rain"),),
            fluxes=(dg.IntegratedFlux("out", "mm", "outflow", -1),),
            source=outflow,
            constraints=(dg.Constraint("k < 1", ("k",), between_zero_and_one),),
        ),
        **changes,
    )


def run(model: dg.Model) -> dg.Solution:
    if model.name == "Reservoir":
        return dg.solve(model, {"k": 0.3}, forcing={"rain": [1.0, 0.0, 2.0]}, times=TIMES, **SETTINGS)
    if model.name == "ExpHydro":
        weather = {"precipitation": [5.0, 0.0, 9.0], "temperature": 8.0, "daylength": 11.0}
        return dg.solve(model, {"f": 0.05}, forcing=weather, times=TIMES, **SETTINGS)
    weather = {"precipitation": [0.02, 0.0, 0.01], "potential_evaporation": 0.003}
    return dg.solve(model, {"K_s": 0.2}, forcing=weather, initial={"head": -1.0}, times=TIMES, **SETTINGS)


def by_pickle(thing: Any) -> Any:
    return pickle.loads(pickle.dumps(thing))


def by_torch(thing: Any) -> Any:
    file = io.BytesIO()
    torch.save(thing, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


WAYS = [by_pickle, by_torch, copy.deepcopy, copy.copy]
MODELS = {
    "basin": dg.models.ExpHydro,
    "column": lambda: dg.models.RichardsColumn(1.0, 5, top="atmosphere"),
    "uneven column": lambda: dg.models.RichardsColumn(1.0, 3, top="atmosphere", thickness=np.array([0.1, 0.2, 0.7])),
    "own": reservoir,
    "changed": lambda: replace(dg.models.ExpHydro(), reference="mine"),
}


def same(a: dg.Solution, b: dg.Solution) -> None:
    for x, y in ((a.states, b.states), (a.fluxes, b.fluxes), (a.outputs, b.outputs)):
        assert {*x} == {*y}
        assert all(torch.equal(x[k], y[k]) for k in x)
    assert torch.equal(a.balance, b.balance)
    assert (a.status, a.reasons, a.batched) == (b.status, b.reasons, b.batched)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", MODELS)
def test_models_come_back_as_they_were(name: str, way: Any) -> None:
    model = MODELS[name]()
    back = way(model)
    same(run(back), run(model))
    assert back.describe() == model.describe()
    # What is frozen stays so.
    for array in (
        back.graph.faces,
        *back.graph.cell.values(),
        *(v for b in back.boundaries for v in b.geometry.values()),
    ):
        assert not array.flags.writeable
    with pytest.raises(AttributeError):
        back.name = "other"
    layer = way(dg.Layer(model, **SETTINGS))
    assert layer.settings == SETTINGS
    assert layer.model.describe() == model.describe()


def test_ready_models_are_the_same_for_the_same_numbers_and_not_for_others() -> None:
    thickness = np.array([0.1, 0.2, 0.7])
    made = dg.models.RichardsColumn(1.0, 3, thickness=thickness)
    assert by_pickle(made) is made
    assert copy.deepcopy(made) is made
    assert dg.models.RichardsColumn(1.0, 3, thickness=thickness.copy()) is made
    # An array that is changed later changes neither the model nor what is made of it.
    thickness[:] = [0.5, 0.4, 0.1]
    other = dg.models.RichardsColumn(1.0, 3, thickness=thickness)
    assert other is not made
    assert by_pickle(made).graph.cell["thickness"].tolist() == [0.1, 0.2, 0.7]
    assert by_pickle(other).graph.cell["thickness"].tolist() == [0.5, 0.4, 0.1]
    layers = torch.tensor([0.3, 0.3, 0.4])
    before = dg.models.RichardsColumn(1.0, 3, thickness=layers)
    layers += torch.tensor([0.1, 0.1, -0.2])
    assert dg.models.RichardsColumn(1.0, 3, thickness=layers) is not before


def test_what_cannot_be_pickled_is_named() -> None:
    lambdas = reservoir(source=lambda cell, forcing: {"storage": -cell.storage, "out": cell.storage})
    for thing in (lambdas, dg.Layer(lambdas), dg.nn.ParameterNetwork(lambdas, ["clay"])):
        with pytest.raises(
            ModelError,
            match=r"Reservoir: its local function 'source' cannot be pickled.*<lambda>, line \d+ of .*test_pickling.py",
        ):
            pickle.dumps(thing)
        with pytest.raises(ModelError, match="'source'"):
            torch.save(thing, io.BytesIO())
        assert copy.deepcopy(thing) is not None
    boundary = dg.Boundary("outlet", (0,), lambda cell, forcing, face: {"storage": -cell.storage})
    with pytest.raises(ModelError, match="function of its boundary 'outlet'"):
        pickle.dumps(reservoir(source=None, boundaries=(boundary,)))
    with pytest.raises(ModelError, match="constraint 'k < 1'"):
        pickle.dumps(reservoir(constraints=(dg.Constraint("k < 1", ("k",), lambda cell: cell.k < 1.0),)))
    closure = replace(dg.processes.soil.retention.CLOSURES["gardner"], conductivity=lambda h, soil: soil.K_s)
    with pytest.raises(ModelError, match="gardner: its function 'conductivity' cannot be pickled"):
        pickle.dumps(dg.models.RichardsColumn(1.0, 3, closure=closure))
    made = site(assemble=lambda values: values)
    with pytest.raises(ModelError, match="plot: its function 'assemble' cannot be pickled"):
        pickle.dumps(made)
    assert copy.deepcopy(made).assemble is copy.copy(made).assemble is made.assemble


def scaled_reservoir(factor: float) -> dg.Model:
    """With a function of its own that no other module can see."""
    made = reservoir(source=lambda c, f: {"storage": -factor * c.k * c.storage, "out": factor * c.k * c.storage})
    return made.made_by(scaled_reservoir, factor)


def test_a_model_can_be_pickled_as_a_call_of_what_makes_it() -> None:
    back = by_pickle(scaled_reservoir(0.5))
    # What is left of three millimetres after three days at a rate of 0.5 * 0.3 per day.
    torch.testing.assert_close(run(back).states["storage"][-1].item(), 3.0 * np.exp(-0.45), rtol=1e-4, atol=0.0)
    hidden = reservoir().made_by(lambda: reservoir())
    with pytest.raises(ModelError, match="Reservoir: the function it was made by cannot be pickled"):
        pickle.dumps(hidden)


def observations() -> tuple[dg.observe.Observation, ...]:
    windows = [(0.0, 1.0), (1.0, 2.0), (2.0, 3.0)]
    return (dg.observe.Observation("out", "flux_mean", windows, [0.9, float("nan"), 0.8], error=[0.1, 0.2, 0.3]),)


def site(**changes: Any) -> Site:
    given = {"observations": observations(), "bounds": {"k": (0.1, 0.9)}, "settings": SETTINGS, "loss": "gaussian"}
    rain = dg.TimeSeries([0.0, 1.5, 3.0], torch.tensor([1.0, 2.0], dtype=torch.float64))
    return Site("plot", reservoir(), TIMES, {"rain": rain}, **{**given, **changes})


@pytest.mark.parametrize("way", WAYS)
def test_sites_observations_series_and_calibrations_come_back_as_they_were(way: Any) -> None:
    made, x = site(), np.array([[0.2], [-0.4]])
    back = way(made)
    assert np.array_equal(back.evaluate(x).loss, made.evaluate(x).loss)
    assert back.transforms == made.transforms
    seen, series = way(made.observations[0]), way(made.forcing["rain"])
    assert torch.equal(seen.simulated(run(reservoir())), made.observations[0].simulated(run(reservoir())))
    assert torch.equal(seen.error, made.observations[0].error)
    assert torch.equal(series.values, made.forcing["rain"].values)
    found = calibrate([made], Strategy(candidates=3, starts=2, finalists=1, steps=3), progress=False)
    again = way(found)
    assert again.values("plot") == found.values("plot")
    assert again.standard_errors("plot") == found.standard_errors("plot")
    same(again.solve("plot"), found.solve("plot"))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("varying", [(), ("f",)])
def test_networks_come_back_with_their_scales(way: Any, varying: tuple[str, ...]) -> None:
    weather = torch.rand(3, 6, 1, dtype=torch.float64)
    network = dg.nn.ParameterNetwork(dg.models.ExpHydro(), ["a"], varying=varying, weather=["precipitation"], memory=3)
    x = torch.rand(3, 1, dtype=torch.float64)
    network.normalise(x, weather, reference=("2000-01-01", "2000-01-06"))
    back = way(network)
    assert back.reference == ("2000-01-01", "2000-01-06")
    found, known = (n(x, weather if varying else None, climate=weather) for n in (back, network))
    assert all(torch.equal(found[name], known[name]) for name in known)
    assert back.model.describe() == network.model.describe()


def test_solutions_are_pickled_by_their_values_and_copied_with_their_gradients() -> None:
    k = torch.tensor([[0.3], [0.6]], dtype=torch.float64, requires_grad=True)
    solution = dg.solve(reservoir(), {"k": k}, forcing={"rain": [1.0, 0.0, 2.0]}, times=TIMES, **SETTINGS)
    for way in (by_pickle, by_torch):
        back = way(solution)
        same(back, solution)
        assert back.stats == solution.stats
        assert not back.states["storage"].requires_grad
        assert torch.equal(back.select([1]).fluxes["out"], solution.select([1]).fluxes["out"])
        # What a computation with it would miss shows at once.
        with pytest.raises(RuntimeError, match="does not require grad"):
            back.fluxes["out"].sum().backward()
    # The copy has the history of the original, of which PyTorch frees what it saved unless told to keep it.
    own, copied = (
        torch.autograd.grad(s.fluxes["out"].sum(), k, retain_graph=True)[0] for s in (solution, copy.deepcopy(solution))
    )
    assert torch.equal(own, copied)
    # d/dk of what is left of an initial store after three days without rain, exp(-3 k), in both members.
    dry = dg.solve(reservoir(), {"k": k}, forcing={"rain": 0.0}, times=TIMES, initial={"storage": 1.0}, **SETTINGS)
    (slope,) = torch.autograd.grad(copy.deepcopy(dry).states["storage"][:, -1].sum(), k)
    torch.testing.assert_close(slope, -3 * torch.exp(-3 * k.detach()), rtol=1e-4, atol=1e-8)
    changed = copy.deepcopy(solution)
    with torch.no_grad():
        changed.states["storage"] += 1.0
    assert torch.equal(solution.states["storage"], by_pickle(solution).states["storage"])


def test_errors_keep_what_was_solved() -> None:
    with pytest.raises(SolverError) as caught:
        dg.solve(reservoir(), forcing={"rain": 1.0}, times=TIMES, max_steps=1, **SETTINGS)
    back = by_pickle(caught.value)
    assert str(back) == str(caught.value)
    assert back.solution.status == caught.value.solution.status


def work(thing: Any) -> Any:
    """What a worker does with what it is sent."""
    torch.set_num_threads(1)
    if isinstance(thing, Site):
        return thing.evaluate(np.array([[0.2]])).loss
    if isinstance(thing, dg.nn.ParameterNetwork):
        return {k: v.detach() for k, v in thing(torch.zeros(1, 1, dtype=torch.float64)).items()}
    return run(thing)


def test_workers_that_are_spawned_get_models_sites_and_networks_and_return_solutions() -> None:
    column, network = MODELS["column"](), dg.nn.ParameterNetwork(reservoir(), ["clay"])
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        solution, loss, values, own = pool.map(work, [column, site(), network, reservoir()])
    same(solution, run(column))
    same(own, run(reservoir()))
    assert np.array_equal(loss, work(site()))
    assert torch.equal(values["k"], work(network)["k"])
