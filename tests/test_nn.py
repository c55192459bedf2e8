"""Networks that give parameters: what they map to, what they keep, and that they learn over sites."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import xarray as xr

import pydiffgeo as dg
from pydiffgeo.errors import (
    BoundsError,
    DataError,
    InputError,
    ModelError,
    ShapeError,
    SolverError,
    UnknownNameError,
    UnknownSiteError,
)
from pydiffgeo.nn.parabola import parabolas

MODEL = dg.models.ExpHydro()
FIXED = {"Q_max": 15.0, "T_max": 1.0, "T_min": -1.0, "S_max": 200.0}
BOUNDS = {"f": (0.01, 0.1), "D_f": (0.5, 5.0)}
SETTINGS = {"engine": "sundials", "rtol": 1e-5, "atol": 1e-5, "initial": {"water_storage": 150.0}}
DAYS = np.arange("2000-01-01", "2000-07-01", dtype="datetime64[D]")


def network(**settings):
    return dg.nn.ParameterNetwork(MODEL, ["slope", "noise"], bounds=BOUNDS, fixed=FIXED, hidden=(8,), **settings)


def true_f(slope):
    return 0.012 * 7.0 ** ((slope + 1) / 2)


@pytest.fixture(scope="module")
def sites():
    """Nine sites whose `f` follows from their slope; a tenth of the observations is missing."""
    random, n, count = np.random.default_rng(2), len(DAYS), 9
    slope = np.linspace(-1.0, 1.0, count)
    forcing = {
        "precipitation": random.gamma(0.4, 12.0, (count, n)),
        "temperature": -4.0 + 28.0 * np.arange(n) / n + random.normal(0.0, 3.0, (count, n)),
        "daylength": np.full((count, n), 12.0),
    }
    forcing = {k: torch.from_numpy(v) for k, v in forcing.items()}
    f = torch.from_numpy(true_f(slope)).unsqueeze(1)
    runoff = dg.solve(MODEL, {**FIXED, "f": f, "D_f": 2.0}, forcing=forcing, times=np.arange(n + 1.0), **SETTINGS)
    observed = runoff.fluxes["runoff"].clone()
    observed[torch.from_numpy(random.random(observed.shape) < 0.1)] = torch.nan
    attributes = torch.from_numpy(np.stack([slope, random.normal(size=count)], axis=1))
    names = tuple(f"site {i}" for i in range(count))
    return dg.nn.SiteData(names, DAYS, forcing, observed, attributes, ("slope", "noise"))


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
    net.normalise(x, weather)
    back = dg.nn.ParameterNetwork.load(net.save(tmp_path / "net.npz"), MODEL)
    for name, value in net(x, weather).items():
        assert torch.equal(back(x, weather)[name], value), name
    assert back.settings == net.settings


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
        net(torch.zeros(3, 2))
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


def test_splits_hold_out_each_site_once():
    names = [f"s{i}" for i in range(11)]
    kept, out = dg.nn.held_out(names, 3, seed=1)
    assert (len(out), sorted(kept + out)) == (3, sorted(names))
    assert dg.nn.held_out(names, 3, seed=1) == (kept, out)
    assert dg.nn.held_out(names, 3, seed=2)[1] != out
    folds = [*dg.nn.k_fold(names, 4)]
    assert sorted(n for _, test in folds for n in test) == sorted(names)
    assert all(not {*a} & {*b} and len(a) + len(b) == 11 for a, b in folds)
    with pytest.raises(InputError, match="from 1 to 10"):
        dg.nn.held_out(names, 11)
    with pytest.raises(InputError, match="2 to 11 folds"):
        [*dg.nn.k_fold(names, 1)]


def test_sites_come_from_a_dataset():
    n = 40
    days = DAYS[:n].astype("datetime64[ns]")
    daily = {"precipitation": "mm d-1", "temperature": "degC", "daylength": "h", "runoff": "mm d-1"}
    random = np.random.default_rng(0)
    data = xr.Dataset(
        {k: (("basin", "time"), random.random((3, n)), {"units": u}) for k, u in daily.items()}
        | {"slope": ("basin", [1.0, 2.0, 3.0]), "rock": ("basin", np.array(["a", "b", "c"], dtype=object))},
        {"basin": ["x", "y", "z"], "time": days},
    )
    found = dg.nn.site_data(data, ["slope"], basins=["z", "x"], start="2000-01-11", end="2000-01-30")
    assert found.names == ("z", "x")
    assert found.attributes[:, 0].tolist() == [3.0, 1.0]
    np.testing.assert_array_equal(found.forcing["precipitation"][1], data.precipitation.values[0, 10:30])
    assert found.between("2000-01-12", "2000-01-13").observed.shape == (2, 2)
    with pytest.raises(UnknownNameError, match=r"no attribute 'rock' .* there are \['slope'\]"):
        dg.nn.site_data(data, ["rock"])
    with pytest.raises(UnknownSiteError, match="no basin 'w'"):
        dg.nn.site_data(data, ["slope"], basins=["w"])
    with pytest.raises(DataError, match="does not cover"):
        found.between("2000-01-01", "2000-01-13")
    with pytest.raises(UnknownNameError, match="no site 'w'"):
        found.take(["w"])


# --- training ------------------------------------------------------------------------------------

TRAINING = dg.nn.Training(steps=40, batch=6, window=60, warmup=60, learning_rate=0.05, settings=SETTINGS)


def efficiency(net, data):
    # The record begins with the storage that the sites began with.
    solution = dg.nn.predict(net, data, warmup=0, **SETTINGS)
    return dg.losses.nse(solution.fluxes["runoff"], data.observed)


def test_training_learns_what_holds_where_nothing_was_seen(sites):
    out = ["site 1", "site 4", "site 7"]
    kept = [name for name in sites.names if name not in out]
    net, apart = network(seed=0), sites.take(out)
    before = efficiency(net.normalise(sites.take(kept).attributes), apart)
    seen = dg.nn.train(net, sites.take(kept), TRAINING)
    assert (1 - efficiency(net, apart)).mean() < 0.5 * (1 - before).mean()
    assert seen.solves == 240
    assert not seen.failures
    # f rises with the slope as it should, and by as much as it should.
    values = net(sites.attributes)["f"][:, 0].detach()
    true = true_f(sites.attributes[:, 0])
    assert torch.corrcoef(torch.stack([values, true]))[0, 1] > 0.9
    assert 0.5 < values.std() / true.std() < 2.0


@pytest.mark.parametrize(("steps", "reuse"), [(3, 1), (7, 1), (5, 4)])
def test_training_goes_on_to_the_last_bit(sites, tmp_path, steps, reuse):
    training = dg.nn.Training(
        steps=9, batch=4, window=30, warmup=10, selection=40, check_every=3, measure="log", noise=0.3, average=0.9,
        reuse=reuse, settings=SETTINGS,
    )  # fmt: skip
    whole, parts = network(), network()
    seen = dg.nn.train(whole, sites, training)

    def stop(step, loss):
        if step == steps:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dg.nn.train(parts, sites, training, checkpoint=tmp_path / "c.npz", callback=stop)
    parts = network()
    again = dg.nn.train(parts, sites, training, checkpoint=tmp_path / "c.npz")
    assert (again.loss, again.selection) == (seen.loss, seen.selection)
    for name, value in whole.state_dict().items():
        assert torch.equal(parts.state_dict()[name], value), name
    with pytest.raises(DataError, match=r"belongs to another training \(different: training\)"):
        dg.nn.train(network(), sites, dg.nn.Training(steps=8, settings=SETTINGS, window=30, warmup=10, selection=40), checkpoint=tmp_path / "c.npz")  # fmt: skip


def test_training_on_parabolas_needs_fewer_solves(sites):
    out = ["site 1", "site 4", "site 7"]
    kept = [name for name in sites.names if name not in out]
    net, apart = network(seed=0), sites.take(out)
    before = efficiency(net.normalise(sites.take(kept).attributes), apart)
    training = replace(TRAINING, steps=12, reuse=60, learning_rate=0.02)
    seen = dg.nn.train(net, sites.take(kept), training)
    assert seen.solves == 72
    assert len(seen.loss) == 12
    assert (1 - efficiency(net, apart)).mean() < 0.5 * (1 - before).mean()


@pytest.mark.parametrize("measure", ["scaled", "log"])
def test_parabolas_touch_the_loss(sites, measure):
    net, part = network().normalise(sites.attributes), sites.days(slice(0, 60))
    spread = sites.observed.sub(sites.observed.nanmean(1, keepdim=True)).pow(2).nanmean(1).sqrt()
    # One site was not observed in these days.
    part = replace(part, observed=part.observed.clone())
    part.observed[4] = torch.nan
    found = parabolas(
        net, part, spread, flux="runoff", warmup=20, measure=measure, damping=0.3, settings=SETTINGS
    )  # fmt: skip
    assert found.usable.tolist() == [i != 4 for i in range(9)]

    def loss(variables):
        solution = net.solve(net.values(variables), part.forcing, np.arange(61.0), **SETTINGS)
        error = dg.nn.scaled_error(solution.fluxes["runoff"][:, 20:], part.observed[:, 20:], spread)[found.usable]
        return error.mean() if measure == "scaled" else torch.log(error + 0.02).mean()

    def both(function):
        x = found.at.clone().requires_grad_()
        value = function(x)
        value.backward()
        return value.item(), x.grad

    (a, slope_a), (b, slope_b) = both(loss), both(found)
    assert a == pytest.approx(b, rel=1e-6)
    torch.testing.assert_close(slope_a, slope_b, rtol=1e-4, atol=1e-6)
    # Gauss-Newton's curvature and the damping make it rise on all sides.
    assert (torch.linalg.eigvalsh(found.curvature) > 0.29).all()


def test_networks_with_weather_have_no_parabolas(sites):
    net = dg.nn.ParameterNetwork(
        dg.models.ExpHydro(), sites.inputs, varying=["f"], weather=["precipitation"], fixed={"T_max": 1.0}
    )  # fmt: skip
    with pytest.raises(InputError, match="weather"):
        dg.nn.train(net, sites, replace(TRAINING, steps=1, reuse=5))


def test_weights_are_averaged_over_the_steps(sites):
    training = dg.nn.Training(steps=5, batch=9, window=40, warmup=20, average=0.6, settings=SETTINGS)
    net = network().normalise(sites.attributes)
    expected, seen = {k: v.clone() for k, v in net.state_dict().items()}, []

    def note(step, loss):
        seen.append({k: v.clone() for k, v in net.state_dict().items()})

    dg.nn.train(net, sites, training, callback=note)
    for step, weights in enumerate(seen, 1):
        kept = min(0.6, step / (step + 9))
        expected = {k: kept * expected[k] + (1 - kept) * weights[k] for k in expected}
    for name, value in net.state_dict().items():
        torch.testing.assert_close(value, expected[name])
    assert not torch.equal(net.head.weight, seen[-1]["head.weight"])


def test_the_logarithm_of_the_error_is_taken_of_each_site(sites):
    settings = {"steps": 1, "batch": 9, "window": 40, "warmup": 20, "settings": SETTINGS}
    net = network().normalise(sites.attributes)
    spread = sites.observed.sub(sites.observed.nanmean(1, keepdim=True)).pow(2).nanmean(1).sqrt()
    first = int(np.random.default_rng([0, 1, 0]).integers(0, len(DAYS) - 60 + 1))
    part = sites.days(slice(first, first + 60))
    with torch.no_grad():
        solution = net.simulate(part.attributes, part.forcing, np.arange(61.0), **SETTINGS)
        error = dg.nn.scaled_error(solution.fluxes["runoff"][:, 20:], part.observed[:, 20:], spread)
    for measure, expected in (("scaled", error.mean()), ("log", torch.log(error + 0.02).mean())):
        seen = dg.nn.train(network().normalise(sites.attributes), sites, dg.nn.Training(measure=measure, **settings))
        assert seen.loss[0] == pytest.approx(expected.item(), rel=1e-6), measure


def test_noise_is_in_units_of_each_attribute(sites):
    seen = []

    def train(scale):
        moved = replace(sites, attributes=sites.attributes * scale)
        training = dg.nn.Training(steps=3, batch=9, window=40, warmup=20, noise=0.5, settings=SETTINGS)
        seen.append(dg.nn.train(network(), moved, training).loss)
        return seen[-1]

    np.testing.assert_allclose(train(1.0), train(1000.0), rtol=1e-6)
    calm = dg.nn.Training(steps=3, batch=9, window=40, warmup=20, settings=SETTINGS)
    assert dg.nn.train(network(), sites, calm).loss[0] != seen[0][0]


def test_days_held_back_choose_the_weights(sites):
    training = dg.nn.Training(
        steps=60, batch=9, window=40, warmup=20, selection=60, check_every=2, patience=1, learning_rate=1.0,
        settings=SETTINGS,
    )  # fmt: skip
    net = network()
    seen = dg.nn.train(net, sites, training)
    # Steps this large do not gain every time: it stops at the first check without a gain, with the weights before.
    assert 1 < len(seen.selection) < 30
    assert seen.selection[:-1] == sorted(seen.selection[:-1], reverse=True)
    assert min(seen.selection) == seen.selection[-2] < seen.selection[-1]
    late = sites.days(slice(len(DAYS) - 80, None))
    spread = sites.observed[:, :-60].sub(sites.observed[:, :-60].nanmean(1, keepdim=True)).pow(2).nanmean(1).sqrt()
    with torch.no_grad():
        solution = net.simulate(late.attributes, late.forcing, np.arange(81.0), **SETTINGS)
    found = dg.nn.scaled_error(solution.fluxes["runoff"][:, 20:], late.observed[:, 20:], spread).mean()
    assert found.item() == pytest.approx(min(seen.selection), rel=1e-9)


def test_sites_that_fail_are_left_out_and_counted(sites, monkeypatch):
    training = dg.nn.Training(steps=2, batch=9, window=40, warmup=20, settings=SETTINGS)
    others = [name for name in sites.names if name != "site 2"]
    alone = network()
    expected = dg.nn.train(alone.normalise(sites.attributes), sites.take(others), training)
    simulate = dg.nn.ParameterNetwork.simulate

    def failing(self, *args, **kwargs):
        solution = simulate(self, *args, **kwargs)
        if len(solution.status) == 9:
            solution.report.status[2] = dg.Status.CONVERGENCE
            hole = torch.zeros(9, 1, dtype=torch.bool)
            hole[2] = True
            solution = replace(
                solution, fluxes={k: torch.where(hole, torch.nan, v) for k, v in solution.fluxes.items()}
            )
        return solution

    monkeypatch.setattr(dg.nn.ParameterNetwork, "simulate", failing)
    net = network()
    seen = dg.nn.train(net.normalise(sites.attributes), sites, training)
    assert (seen.failures, expected.failures) == ({"site 2": 2}, {})
    # It leaves no trace in the others.
    np.testing.assert_allclose(seen.loss, expected.loss, rtol=1e-12)
    for name, value in alone.state_dict().items():
        torch.testing.assert_close(net.state_dict()[name], value, rtol=1e-9, atol=1e-12)


def test_where_no_site_can_be_solved_training_stops(sites):
    training = dg.nn.Training(steps=1, window=40, warmup=20, settings={**SETTINGS, "max_steps": 1})
    with pytest.raises(SolverError, match=r"no site of step 1 could be solved and compared; member 0: .* steps"):
        dg.nn.train(network(), sites, training)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"window": 400}, "181|182"),
        ({"steps": 0}, "steps must be a whole number, 1 or more"),
        ({"learning_rate": 0.0}, "learning_rate must be a positive number"),
        ({"measure": "nse"}, "measure must be one of scaled, log"),
        ({"noise": -0.1}, "noise must be zero or positive"),
        ({"average": 1.0}, "average must be a number from 0 to below 1"),
    ],
)
def test_a_training_that_does_not_fit_is_named(sites, change, message):
    with pytest.raises(InputError, match=message):
        dg.nn.train(network(), sites, dg.nn.Training(**{"settings": SETTINGS, "window": 30, "warmup": 10, **change}))


# --- in a user's own loop ------------------------------------------------------------------------


def step_loss(net, batch):
    solution = net.simulate(batch["attributes"], batch["forcing"], np.arange(41.0), **SETTINGS)
    observed = batch["observed"][:, 10:]
    valid = ~torch.isnan(observed)
    return ((solution.fluxes["runoff"][:, 10:] - observed)[valid] ** 2).mean()


def test_it_trains_in_a_loop_of_ones_own(sites):
    part = sites.days(slice(100, 140))
    net = network().normalise(part.attributes)
    loader = torch.utils.data.DataLoader(part, batch_size=9)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.05)
    losses = []
    for _ in range(6):
        for batch in loader:
            optimiser.zero_grad()
            loss = step_loss(net, batch)
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())


def test_it_trains_under_lightning(sites, tmp_path):
    lightning = pytest.importorskip("lightning", reason="lightning is not installed")

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.network, self.seen = network(), []

        def training_step(self, batch, _):
            loss = step_loss(self.network, batch)
            self.seen.append(loss.item())
            return loss

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=0.05)

    part = sites.days(slice(100, 140))
    module = Module()
    module.network.normalise(part.attributes)
    trainer = lightning.Trainer(max_epochs=6, accelerator="cpu", logger=False, enable_checkpointing=False,
                                enable_progress_bar=False, enable_model_summary=False, default_root_dir=tmp_path)  # fmt: skip
    trainer.fit(module, torch.utils.data.DataLoader(part, batch_size=9))
    assert len(module.seen) == 6
    assert module.seen[-1] < module.seen[0]


# --- what is predicted ---------------------------------------------------------------------------


def test_predictions_hold_scores_over_seeds_beside_baselines(sites, tmp_path):
    part = sites.take(sites.names[:3])
    networks = [network(seed=s, initial={"water_storage": (50.0, 300.0)}).normalise(sites.attributes) for s in (0, 1)]
    settings = {k: v for k, v in SETTINGS.items() if k != "initial"}
    seen = [dg.nn.Trained(loss=[0.5, 0.4]), dg.nn.Trained(loss=[0.6])]
    train, validation = ("2000-01-01", "2000-04-30"), ("2000-05-01", "2000-06-30")
    found = dg.nn.predictions(networks, part, train, validation, seen=seen, warmup=20, **settings)
    path = dg.io.write_dataset(tmp_path / "learnt.nc", found)
    with xr.open_dataset(path) as data:
        assert data.sizes == {"seed": 2, "basin": 3, "time": len(DAYS), "period": 2, "baseline": 3, "step": 2}
        late = data.time.values >= np.datetime64("2000-05-01")
        simulated, observed = data.runoff_simulated.values[1, 2, late], data.runoff_observed.values[2, late]
        own = dg.losses.nse(torch.from_numpy(simulated), observed).item()
        assert data.nse.values[1, 2, 1] == pytest.approx(own, rel=1e-9)
        # Half a year says nothing about the climate of the other half.
        assert np.isnan(data.baseline_nse.sel(baseline="climatology").values[:, 1]).all()
        assert np.isfinite(data.baseline_nse.values[1:]).all()
        assert (data.baseline_nse.values[1:, 0, 0] != data.baseline_nse.values[1:, 1, 0]).all()
        assert data.f.attrs["valid_max"] == 0.1
        assert data.initial_water_storage.attrs["units"] == "mm"
        assert np.isnan(data.loss.values[1, 1])
        assert (data.balance_error < 1e-6).all()
    page = dg.report.write_report(path, tmp_path / "learnt.html").read_text()
    assert "standard deviation over 2 seeds" in page
    assert "climatology" in page
    assert "decline of base flow with storage" in page
    with pytest.raises(InputError, match="2 networks and what 1 trainings"):
        dg.nn.predictions(networks, part, train, validation, seen=seen[:1], **settings)
