"""Networks learn over sites: by `train`, in loops of one's own and under Lightning; and what they then predict."""

from __future__ import annotations

import importlib
import io
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from learning import DAYS, SETTINGS, TRAINING, efficiency, held_out, network, true_f
from stopping import weights
from terminal import Terminal

import pydiffgeo as dg
from pydiffgeo.errors import InputError, SolverError

# `dg.nn.train` is the function.
module = importlib.import_module("pydiffgeo.nn.train")


# --- training ------------------------------------------------------------------------------------


def test_training_learns_what_holds_where_nothing_was_seen(sites):
    kept, apart = held_out(sites)
    net = network(seed=0)
    before = efficiency(net.normalise(kept.attributes), apart)
    seen = dg.nn.train(net, kept, TRAINING)
    assert (1 - efficiency(net, apart)).mean() < 0.5 * (1 - before).mean()
    assert seen.solves == 240
    assert not seen.failures
    # f rises with the slope as it should, and by as much as it should.
    values = net(sites.attributes)["f"][:, 0].detach()
    true = true_f(sites.attributes[:, 0])
    assert torch.corrcoef(torch.stack([values, true]))[0, 1] > 0.9
    assert 0.5 < values.std() / true.std() < 2.0


def test_a_terminal_gets_a_bar(sites, monkeypatch):
    training = replace(TRAINING, steps=3)
    for shown, progress in ((Terminal(), True), (Terminal(), False), (io.StringIO(), True)):
        monkeypatch.setattr(sys, "stderr", shown)
        seen = dg.nn.train(network(), sites, training, progress=progress)
        if progress and shown.isatty():
            assert "training: 100%" in shown.getvalue()
            assert f"loss {seen.loss[-1]:.4g}" in shown.getvalue()
        else:
            assert shown.getvalue() == ""


def test_weights_are_averaged_over_the_steps(sites):
    plain = dg.nn.Training(steps=5, batch=9, window=40, warmup=20, settings=SETTINGS)
    net, seen = network().normalise(sites.attributes), []
    expected = weights(net)
    # Without an average the network shows the weights of each step.
    dg.nn.train(net, sites, plain, callback=lambda step, loss: seen.append(weights(net)))
    for step, present in enumerate(seen, 1):
        kept = min(0.6, step / (step + 9))
        expected = {k: kept * expected[k] + (1 - kept) * present[k] for k in expected}
    net = network()
    dg.nn.train(net, sites, replace(plain, average=0.6))
    for name, value in net.state_dict().items():
        torch.testing.assert_close(value, expected[name])
    assert not torch.equal(net.head.weight, seen[-1]["head.weight"])


def test_an_attribute_that_does_not_vary_leaves_the_averaged_scales_as_they_are(sites):
    same = replace(sites, attributes=torch.stack([sites.attributes[:, 0], torch.full((9,), 3.0)], dim=1))
    net = network()
    dg.nn.train(net, same, dg.nn.Training(steps=2, batch=4, window=20, warmup=5, average=0.9, settings=SETTINGS))
    assert net.scaling.spread[1] == torch.inf
    assert net.scaling.mean[1] == 3.0


def test_steps_are_those_of_adamw_at_a_rate_that_falls_along_a_cosine(sites):
    """Loshchilov and Hutter 2019, ICLR, algorithm 2, written out; the rate falls to a tenth along half a cosine."""
    part, count, rate, decay, clip = sites.days(slice(0, 50)), 6, 0.03, 0.2, 0.05
    # All sites and days in each step: there is nothing to be chosen at random.
    training = dg.nn.Training(
        steps=count, batch=9, window=40, warmup=10, learning_rate=rate, weight_decay=decay, clip=clip, settings=SETTINGS
    )
    net, own = network().normalise(part.attributes), network().normalise(part.attributes)
    dg.nn.train(net, part, training)
    spread = torch.from_numpy(np.nanstd(part.observed.numpy(), axis=1))
    first, second = ([torch.zeros_like(p) for p in own.parameters()] for _ in range(2))
    for t in range(1, count + 1):
        solution = own.simulate(part.attributes, part.forcing, np.arange(51.0), **SETTINGS)
        error = dg.nn.scaled_error(solution.fluxes["runoff"][:, 10:], part.observed[:, 10:], spread).mean()
        gradients = torch.autograd.grad(error, [*own.parameters()])
        norm = torch.sqrt(sum((g**2).sum() for g in gradients))
        assert norm > clip
        now = rate * (0.1 + 0.9 * (1 + np.cos(np.pi * (t - 1) / count)) / 2)
        with torch.no_grad():
            for p, g, m, v in zip(own.parameters(), gradients, first, second, strict=True):
                g = g * clip / norm
                m += 0.1 * (g - m)
                v += 0.001 * (g**2 - v)
                p -= now * (m / (1 - 0.9**t) / (torch.sqrt(v / (1 - 0.999**t)) + 1e-8) + decay * p)
    for name, value in net.state_dict().items():
        torch.testing.assert_close(value, own.state_dict()[name], rtol=1e-5, atol=1e-9)


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


def test_noise_is_normal_with_the_spread_given(sites, monkeypatch):
    added, real = [], dg.nn.ParameterNetwork._scaled

    def scaled(self, attributes, noise):
        added.append(noise)
        return real(self, attributes, noise)

    monkeypatch.setattr(dg.nn.ParameterNetwork, "_scaled", scaled)
    training = dg.nn.Training(steps=12, batch=9, window=40, warmup=20, noise=0.25, settings=SETTINGS)
    dg.nn.train(network(), sites, training)
    drawn = torch.cat([n.flatten() for n in added if n is not None])
    assert len(drawn) >= 100
    assert drawn.std().item() == pytest.approx(0.25, rel=0.25)
    assert drawn.abs().max() < 5 * 0.25


def test_days_held_back_choose_the_weights(sites):
    training = replace(
        TRAINING, steps=60, batch=9, window=40, warmup=20, tuning=60, check_every=2, patience=1, learning_rate=1.0
    )
    net = network()
    seen = dg.nn.train(net, sites, training)
    # Steps this large do not gain every time: it stops at the first check without a gain, with the weights before.
    assert 1 < len(seen.tuning) < 30
    assert [*seen.tuning[:-1]] == sorted(seen.tuning[:-1], reverse=True)
    assert min(seen.tuning) == seen.tuning[-2] < seen.tuning[-1]
    late = sites.days(slice(len(DAYS) - 80, None))
    spread = sites.observed[:, :-60].sub(sites.observed[:, :-60].nanmean(1, keepdim=True)).pow(2).nanmean(1).sqrt()
    with torch.no_grad():
        solution = net.simulate(late.attributes, late.forcing, np.arange(81.0), **SETTINGS)
    found = dg.nn.scaled_error(solution.fluxes["runoff"][:, 20:], late.observed[:, 20:], spread).mean()
    assert found.item() == pytest.approx(min(seen.tuning), rel=1e-9)


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
    trainer = lightning.Trainer(
        max_epochs=6,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(module, torch.utils.data.DataLoader(part, batch_size=9))
    assert len(module.seen) == 6
    assert module.seen[-1] < module.seen[0]


# --- what is predicted ---------------------------------------------------------------------------
