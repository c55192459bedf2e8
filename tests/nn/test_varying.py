"""Networks with weather: what does not vary follows from a reference period."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from learning import BOUNDS, DAYS, MODEL, SETTINGS, network

import pydiffgeo as dg
from pydiffgeo.errors import DataError, InputError


def climatic(**settings):
    """A network whose values follow from the weather much more than from chance."""
    net = network(weather=["precipitation", "temperature"], memory=4, **settings)
    with torch.no_grad():
        net.head.weight *= 30
        net.recurrent.bias_ih_l0 += 0.5
    return net


def test_what_does_not_vary_follows_from_the_reference_period_alone(sites):
    early, late = sites.days(slice(0, 80)), sites.days(slice(80, 182))
    net = climatic()
    net.normalise(early.attributes, early.weather(net.weather), reference=(early.dates[0], early.dates[-1]))
    with torch.no_grad():
        # By definition: the mean over the reference period of what the recurrent unit puts out.
        scaled = (early.weather(net.weather) - net.scaling_weather.mean) / net.scaling_weather.spread
        course = net.recurrent(scaled)[0].sum(1) / 80
        inner = net.head(net.layers(torch.cat([net.scaling(early.attributes), course], dim=1)))
        low, high = BOUNDS["D_f"]
        expected = low + (high - low) / (1 + torch.exp(-inner[:, 1:2]))
    assert expected.std() > 0.01
    runs = {
        "reference": dg.nn.predict(net, early, warmup=20, **SETTINGS),
        "whole": dg.nn.predict(net, sites, warmup=20, **SETTINGS),
        "window": dg.nn.predict(net, sites.days(slice(0, 100)), warmup=0, **SETTINGS),
        "later": dg.nn.predict(net, late, warmup=0, climate=early, **SETTINGS),
    }
    for name, run in runs.items():
        torch.testing.assert_close(run.parameters["D_f"], expected, rtol=1e-6, atol=0, msg=name)
        assert torch.equal(run.parameters["D_f"], runs["reference"].parameters["D_f"]), name
    # So does what is simulated, however long the record goes on.
    a, b = (runs[name].fluxes["runoff"][:, 20:100] for name in ("reference", "whole"))
    torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)
    daily = {k: v for k, v in SETTINGS.items() if k != "initial"}
    found = dg.hydrology.predictions(
        [net], sites, ("2000-01-01", "2000-04-30"), ("2000-05-01", "2000-06-30"), warmup=20, **daily
    )
    np.testing.assert_allclose(found.D_f.values[0], expected[:, 0].numpy(), rtol=1e-6)


def test_where_the_reference_period_is_not_known_or_not_there_nothing_is_guessed(sites):
    early, late = sites.days(slice(0, 80)), sites.days(slice(80, 182))
    net = climatic().normalise(early.attributes, torch.zeros(9, 3, 2))
    with pytest.raises(
        InputError, match=r"\['f', 'D_f'\] follow from the weather of a reference period.*normalise\(.*reference="
    ):
        dg.nn.predict(net, early, warmup=0, **SETTINGS)
    net = climatic(reference=("2000-01-01", "2000-03-20"))
    with pytest.raises(
        DataError,
        match=r"weather of 2000-01-01 to 2000-03-20, the reference period.*give data of these days as climate=",
    ):
        dg.nn.predict(net, late, warmup=0, **SETTINGS)
    brief = dg.nn.Training(steps=1, batch=3, window=20, warmup=10, learning_rate=1e-12, settings=SETTINGS)
    with pytest.raises(DataError, match="give data of these days as climate="):
        dg.nn.train(net, late, brief)
    before = net(late.attributes, climate=net.climate(early))["D_f"]
    dg.nn.train(net, late, brief, climate=early)
    torch.testing.assert_close(dg.nn.predict(net, late, warmup=0, climate=early, **SETTINGS).parameters["D_f"], before)
    with pytest.raises(InputError, match="warmup=365 days of the record are to be run ahead of it, and it has 102"):
        dg.nn.predict(net, late, climate=early, **SETTINGS)
    with pytest.raises(InputError, match="climate must hold the sites of the data in their order"):
        dg.nn.predict(net, late, climate=early.take(early.names[::-1]), warmup=0, **SETTINGS)
    for wrong, error in (
        (("2000-02-01", "2000-01-01"), InputError),
        (("2000-02-01",), InputError),
        (("soon", "later"), DataError),
    ):
        with pytest.raises(error, match="reference"):
            climatic(reference=wrong)
    with pytest.raises(InputError, match="the network has none"):
        network(reference=("2000-01-01", "2000-03-20"))


@pytest.mark.parametrize("varying", [(), ("f",)])
def test_training_prediction_and_saved_networks_have_the_same_climate(sites, tmp_path, varying, monkeypatch):
    training = dg.nn.Training(
        steps=2, batch=9, window=40, warmup=20, tuning=60, check_every=1, learning_rate=1e-12, settings=SETTINGS
    )
    net, seen = climatic(varying=varying), []
    simulate = dg.nn.ParameterNetwork.simulate

    def noted(self, *args, **settings):
        seen.append(simulate(self, *args, **settings))
        return seen[-1]

    monkeypatch.setattr(dg.nn.ParameterNetwork, "simulate", noted)
    dg.nn.train(net, sites, training)
    assert net.reference == ("2000-01-01", str(DAYS[-61]))
    dg.nn.predict(net, sites, warmup=10, **SETTINGS)
    dg.nn.predict(dg.nn.ParameterNetwork.load(net.save(tmp_path / "n.npz"), MODEL), sites, warmup=0, **SETTINGS)
    # Windows of two steps and their checks, a record with a warm-up, and one without: of as many lengths.
    assert [len(s.grid) for s in seen] == [61, 81, 61, 81, 193, 183]
    for run in seen[1:]:
        torch.testing.assert_close(run.parameters["D_f"], seen[0].parameters["D_f"], rtol=1e-9, atol=0)
    assert seen[0].parameters["D_f"].std() > 0.01


def test_quadratic_surrogates_take_the_climate_as_well(sites):
    training = dg.nn.Training(steps=2, batch=9, window=40, warmup=20, inner_steps=3, settings=SETTINGS)
    plain = replace(training, inner_steps=1)
    losses = [dg.nn.train(climatic(), sites, t).loss[0] for t in (training, plain)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
