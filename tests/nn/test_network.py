"""Networks that give parameters: what they map to and what they keep; sites, splits, and attributes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from learning import BOUNDS, FIXED, MODEL, SETTINGS, network

import pydiffgeo as dg
from pydiffgeo.errors import BoundsError, DataError, InputError, ModelError, ShapeError, UnknownNameError

# --- the network ---------------------------------------------------------------------------------


def test_values_lie_within_bounds_and_start_where_told():
    net = network(start={"f": 0.03})
    values = net(torch.zeros(4, 2))
    assert {k: tuple(v.shape) for k, v in values.items()} == {"f": (4, 1), "D_f": (4, 1)}
    # The first weights are small: places are nearly alike at first.
    torch.testing.assert_close(values["f"], torch.full((4, 1), 0.03, dtype=torch.float64), rtol=0.2, atol=0)
    far = net(1e6 * torch.randn(50, 2, dtype=torch.float64))
    for name, (low, high) in BOUNDS.items():
        assert ((far[name] > low) & (far[name] < high)).all()


def test_weights_follow_from_the_seed_alone_and_leave_other_random_numbers_alone():
    torch.manual_seed(5)
    first = torch.rand(3)
    torch.manual_seed(5)
    a, b, c = network(seed=1), network(seed=1), network(seed=2)
    torch.testing.assert_close(torch.rand(3), first, rtol=0, atol=0)
    x = torch.randn(3, 2, dtype=torch.float64)
    assert torch.equal(a(x)["f"], b(x)["f"])
    assert not torch.equal(a(x)["f"], c(x)["f"])


def test_inputs_are_normalised_and_gaps_count_as_the_mean():
    x = torch.tensor([[1.0, 7.0], [3.0, 7.0], [5.0, torch.nan]], dtype=torch.float64)
    net = network().normalise(x)
    torch.testing.assert_close(net.scaling(x)[:, 0], torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64) * 1.5**0.5)
    # An input that does not vary says nothing, whatever it is elsewhere.
    assert (net.scaling(torch.tensor([[3.0, 99.0]], dtype=torch.float64)) == 0).all()
    missing, mean = torch.tensor([[torch.nan, 7.0]]), torch.tensor([[3.0, 7.0]])
    assert torch.equal(net(missing)["f"], net(mean)["f"])


def test_a_saved_network_comes_back_with_its_normalisation(tmp_path):
    x = 100 + 20 * torch.randn(5, 2, dtype=torch.float64)
    weather = torch.randn(5, 12, 3, dtype=torch.float64)
    net = network(initial={"water_storage": (50.0, 300.0)}, varying=["f"], weather=["a", "b", "c"], memory=4)
    net.normalise(x, weather, reference=("2001-01-01", "2001-01-12"))
    back = dg.nn.ParameterNetwork.load(net.save(tmp_path / "net.npz"), MODEL)
    for name, value in net(x, weather, climate=weather).items():
        assert torch.equal(back(x, weather, climate=weather)[name], value), name
    assert back.settings == net.settings
    assert back.reference == ("2001-01-01", "2001-01-12")


def test_files_that_are_no_network_are_refused(tmp_path):
    path = tmp_path / "net.npz"
    for content in (b"", b"PK half", b"\x80\x04pickle"):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"net.npz: is no network for ExpHydro"):
            dg.nn.ParameterNetwork.load(path, MODEL)
    np.savez(path, about=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match="is no network"):
        dg.nn.ParameterNetwork.load(path, MODEL)
    with pytest.raises(DataError, match="is no network for RichardsColumn"):
        dg.nn.ParameterNetwork.load(network().save(path), dg.models.RichardsColumn(depth=1.0, cells=5))


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"bounds": {"g": (0, 1)}}, UnknownNameError, "bounds: ExpHydro has no 'g'"),
        ({"fixed": {"g": 1.0}}, UnknownNameError, "fixed: ExpHydro has no 'g'"),
        ({"fixed": {"f": -1.0}}, BoundsError, "'f' must lie in"),
        ({"initial": {"g": (0, 1)}}, UnknownNameError, "initial: ExpHydro has no 'g'"),
        ({"varying": ["f"]}, InputError, "with weather"),
        ({"varying": ["f"], "fixed": {"f": 0.1}, "weather": ["a"]}, InputError, "'f' is fixed and learnt"),
        ({"start": {"T": 0.1}}, UnknownNameError, "start is given for 'T'"),
        ({"bounds": {"f": (0.1, 0.01)}}, BoundsError, "'f'"),
    ],
)
def test_what_does_not_fit_is_named(settings, error, message):
    with pytest.raises(error, match=message):
        dg.nn.ParameterNetwork(MODEL, ["slope"], **settings)


def test_inputs_of_the_wrong_shape_are_named():
    net = network(varying=["f"], weather=["a"])
    with pytest.raises(ShapeError, match=r"attributes must be \(places, 2\), for \['slope', 'noise'\]"):
        net(torch.zeros(3, 5))
    with pytest.raises(InputError, match=r"needs weather: \['a'\]"):
        net(torch.zeros(3, 2), climate=torch.zeros(3, 7, 1))
    with pytest.raises(InputError, match=r"climate=: \['D_f'\] follow from it, not from the days at hand"):
        net(torch.zeros(3, 2), torch.zeros(3, 7, 1))
    with pytest.raises(ShapeError, match=r"weather must be \(places, time, 1\)"):
        net(torch.zeros(3, 2), torch.zeros(3, 7, 2))


# --- parameters that vary in time ----------------------------------------------------------------


def test_a_parameter_that_varies_but_does_not_change_is_a_parameter(sites, engine):
    part = sites.days(slice(0, 30))
    settings = {**SETTINGS, "engine": engine, "rtol": 1e-8, "atol": 1e-8}
    times = np.arange(31.0)
    plain = dg.solve(MODEL, {**FIXED, "f": 0.04}, forcing=part.forcing, times=times, **settings)
    f = torch.full((9, 30), 0.04, dtype=torch.float64, requires_grad=True)
    model = dg.nn.time_varying(MODEL, ["f"])
    varying = dg.solve(model, FIXED, forcing={**part.forcing, "f": f}, times=times, **settings)
    torch.testing.assert_close(varying.fluxes["runoff"], plain.fluxes["runoff"], rtol=1e-6, atol=1e-7)
    # The runoff of a day does not depend on the parameter of later days, but on that of this one.
    varying.fluxes["runoff"][:, 10].sum().backward()
    assert (f.grad[:, 11:] == 0).all()
    assert (f.grad[:, 10] != 0).all()


def test_what_cannot_vary_is_named():
    with pytest.raises(UnknownNameError, match="ExpHydro has no parameter 'g'"):
        dg.nn.time_varying(MODEL, ["g"])
    column = dg.nn.time_varying(dg.models.RichardsColumn(depth=1.0, cells=4), ["K_s"])
    with pytest.raises(ModelError, match="K_s"):
        dg.solve(
            column, forcing={"flux": 0.001, "K_s": 0.1}, times=[0.0, 1.0], initial={"head": -1.0}, engine="sundials"
        )


# --- sites ---------------------------------------------------------------------------------------


def test_normal_scores_are_those_of_ranks(tmp_path):
    random = np.random.default_rng(0)
    seen = torch.from_numpy(np.stack([np.exp(3 * random.normal(size=500)), np.zeros(500), np.full(500, 7.0)], axis=1))
    seen[::2, 1] = torch.from_numpy(random.random(250))
    net = dg.nn.ParameterNetwork(dg.models.ExpHydro(), ["skewed", "often zero", "constant"], scaling="normal_scores")
    assert not net.scaling.fitted
    z = net.normalise(seen).scaling(seen)
    assert net.scaling.fitted
    assert (z.argsort(0)[:, 0] == seen.argsort(0)[:, 0]).float().mean() > 0.9  # but for those beyond the last quantile
    assert abs(z[:, 0].mean()) < 0.05
    assert abs(z[:, 0].std() - 1) < 0.1
    # Half of the second are zero: their score is that of the middle of the lower half.
    torch.testing.assert_close(z[1, 1].item(), torch.special.ndtri(torch.tensor(0.25)).item(), atol=0.03, rtol=0)
    assert (z[:, 2] == 0).all()
    odd = torch.tensor([[1e9, -5.0, 8.0], [torch.nan, torch.nan, torch.nan]], dtype=torch.float64)
    far = net.scaling(odd)
    assert far[0, 0] == z[:, 0].max()
    assert far[0, 1] <= z[:, 1].min()
    assert far[0, 2] == 0
    assert (far[1] == 0).all()
    again = dg.nn.ParameterNetwork.load(net.save(tmp_path / "n.npz"), dg.models.ExpHydro())
    for name, value in net(odd).items():
        assert torch.equal(again(odd)[name], value), name
    with pytest.raises(InputError, match="scaling must be one of standard, normal_scores"):
        dg.nn.ParameterNetwork(dg.models.ExpHydro(), ["a"], scaling="rank")


def test_a_network_belongs_to_its_model_and_ranges(tmp_path):
    # As many values, but others: nothing in the weights tells them apart.
    path = network(seed=1).save(tmp_path / "n.npz")
    other = dg.models.RichardsColumn(depth=1.0, cells=5)
    with pytest.raises(DataError, match="is no network for RichardsColumn"):
        dg.nn.ParameterNetwork.load(path, other)
    shifted = [replace(p, typical=(0.0, 0.2)) if p.name == "f" else p for p in MODEL.parameters]
    whole = dg.nn.ParameterNetwork(MODEL, ["slope"]).save(tmp_path / "whole.npz")
    with pytest.raises(DataError, match="another model of that name, with other equations"):
        dg.nn.ParameterNetwork.load(whole, replace(MODEL, parameters=tuple(shifted)))
    with pytest.raises(DataError, match=r"what it learnt, and within which ranges"):
        dg.nn.ParameterNetwork.load(whole, replace(MODEL, parameters=tuple(shifted)), same_model=False)


def reservoir(power: float, name: str = "Reservoir", cells: int = 1) -> dg.Model:
    return dg.Model(
        name=name,
        graph=dg.column(1.0, cells),
        states=(dg.State("storage", "mm", "water", default=3.0),),
        parameters=(dg.Parameter("k", "d-1", "outflow per storage", 0.5, low=0.0, typical=(0.1, 0.9)),),
        source=lambda cell, forcing: {"storage": -cell.k * cell.storage**power},
    )


def test_a_network_knows_its_model_by_its_equations_not_by_its_name(tmp_path):
    path = dg.nn.ParameterNetwork(reservoir(1.0), ["slope"], seed=3).save(tmp_path / "n.npz")
    x = torch.ones(1, 1, dtype=torch.float64)
    known = dg.nn.ParameterNetwork(reservoir(1.0), ["slope"], seed=3)(x)["k"]
    for model in (reservoir(1.0), reservoir(1.0, "Tank")):
        assert torch.equal(dg.nn.ParameterNetwork.load(path, model)(x)["k"], known)
    # Another power, which is closed over; another graph.
    for model in (reservoir(1.2), reservoir(1.0, cells=2)):
        with pytest.raises(DataError, match=r"with other equations, geometry.*same_model=False accepts"):
            dg.nn.ParameterNetwork.load(path, model)
        assert torch.equal(dg.nn.ParameterNetwork.load(path, model, same_model=False)(x)["k"], known)


# --- the climate of a place ----------------------------------------------------------------------
