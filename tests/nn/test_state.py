"""Trainings that are stopped go on to the same bits; checkpoints of others are refused."""

from __future__ import annotations

import importlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from learning import BRIEF, network
from stopping import equal, stopped_at, weights

import pydiffgeo as dg
from pydiffgeo.errors import DataError

# `dg.nn.train` is the function.
module = importlib.import_module("pydiffgeo.nn.train")


@pytest.mark.parametrize("inner_steps", [1, 4])
def test_a_stop_at_any_moment_leaves_no_trace(sites, tmp_path, monkeypatch, inner_steps):
    training, shown, whole = replace(BRIEF, inner_steps=inner_steps), [], network()
    shown.append(weights(whole.normalise(sites.attributes)))
    # What is built at the first solve is not counted.
    dg.nn.train(network(), sites, replace(training, steps=1))
    with stopped_at() as calls:
        seen = dg.nn.train(whole, sites, training, callback=lambda step, loss: shown.append(weights(whole)))
    assert seen.checked == (2, 4, 6)
    random = np.random.default_rng(inner_steps)
    for attempt, often in enumerate((True, False)):
        monkeypatch.setattr(module, "SAVE_EVERY", 0.0 if often else 10.0)
        path, stops, net = tmp_path / f"{attempt}.npz", 0, network()
        for _ in range(5):
            try:
                with stopped_at(int(random.integers(1, calls[0] // 2))):
                    dg.nn.train(net, sites, training, checkpoint=path, progress=False)
            except KeyboardInterrupt:
                stops += 1
            # It holds what the training would have ended with after one of its steps, as a whole.
            if net.scaling.fitted:
                assert any(equal(weights(net), known) for known in shown)
            # The next one begins with what is there, as in a notebook, or anew, as in another process.
            net = net if attempt == 1 else network()
        again = dg.nn.train(net, sites, training, checkpoint=path)
        assert stops > 1
        assert replace(again, seconds=0) == replace(seen, seconds=0)
        assert equal(weights(net), weights(whole))


@pytest.mark.parametrize("what", ["_checked", "_stepped", "save", "commit"])
def test_a_stop_within_each_part_of_a_training_leaves_no_trace(sites, tmp_path, monkeypatch, what):
    whole, net = network(), network()
    seen = dg.nn.train(whole, sites, BRIEF)
    monkeypatch.setattr(module, "SAVE_EVERY", 0.0)
    part, calls = getattr(module._Run, what), []

    def stop(self, *args):
        calls.append(None)
        # Ahead of what is done, and after it.
        if len(calls) == 2:
            part(self, *args)
        if len(calls) in (2, 4):
            raise KeyboardInterrupt
        return part(self, *args)

    monkeypatch.setattr(module._Run, what, stop)
    stops = 0
    while True:
        try:
            again = dg.nn.train(net, sites, BRIEF, checkpoint=tmp_path / "c.npz")
            break
        except KeyboardInterrupt:
            stops += 1
    assert stops == 2
    assert replace(again, seconds=0) == replace(seen, seconds=0)
    assert equal(weights(net), weights(whole))


def test_a_stop_says_where_the_training_stands_and_shows_the_average(sites, tmp_path):
    def stop(step, loss):
        if step == 2:
            raise KeyboardInterrupt

    net, two = network(), network()
    with pytest.raises(KeyboardInterrupt, match=r"after step 2 of 6; the same call goes on from .*c\.npz"):
        dg.nn.train(net, sites, BRIEF, checkpoint=tmp_path / "c.npz", callback=stop)
    shown = []
    dg.nn.train(two, sites, BRIEF, callback=lambda step, loss: shown.append(weights(two)))
    assert equal(weights(net), shown[1])
    with pytest.raises(DataError, match=r"belongs to another training \(different: training\)"):
        dg.nn.train(network(), sites, replace(BRIEF, steps=5), checkpoint=tmp_path / "c.npz")


def test_an_error_of_the_callback_costs_nothing(sites, tmp_path):
    def fail(step, loss):
        if step == 4:
            raise ZeroDivisionError("its own affair")

    net, whole, steps = network(), network(), []
    with pytest.raises(ZeroDivisionError, match="its own affair"):
        dg.nn.train(net, sites, BRIEF, checkpoint=tmp_path / "c.npz", callback=fail)
    dg.nn.train(net, sites, BRIEF, checkpoint=tmp_path / "c.npz", callback=lambda step, loss: steps.append(step))
    assert steps == [5, 6]
    dg.nn.train(whole, sites, BRIEF)
    assert equal(weights(net), weights(whole))


def test_the_default_type_of_pytorch_may_change_between(sites, tmp_path):
    def stop(step, loss):
        if step == 3:
            raise KeyboardInterrupt

    whole, net, before = network(), network(), torch.get_default_dtype()
    seen = dg.nn.train(whole, sites, BRIEF)
    try:
        torch.set_default_dtype(torch.float32)
        with pytest.raises(KeyboardInterrupt):
            dg.nn.train(net, sites, BRIEF, checkpoint=tmp_path / "c.npz", callback=stop)
        torch.set_default_dtype(torch.float64)
        assert dg.nn.train(net, sites, BRIEF, checkpoint=tmp_path / "c.npz").loss == seen.loss
    finally:
        torch.set_default_dtype(before)
    assert equal(weights(net), weights(whole))


def test_random_layers_of_ones_own_network_go_on_as_well(sites, tmp_path):
    def dropping():
        net = network()
        net.layers.append(torch.nn.Dropout(0.5))
        return net

    def stop(step, loss):
        if step == 5:
            raise KeyboardInterrupt

    whole, net = dropping(), dropping()
    seen = dg.nn.train(whole, sites, BRIEF)
    torch.manual_seed(77)
    with pytest.raises(KeyboardInterrupt):
        dg.nn.train(net, sites, BRIEF, checkpoint=tmp_path / "c.npz", callback=stop)
    before = torch.get_rng_state()
    again = dg.nn.train(net, sites, BRIEF, checkpoint=tmp_path / "c.npz")
    assert again.loss == seen.loss != dg.nn.train(network(), sites, BRIEF).loss
    assert equal(weights(net), weights(whole))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("change", [{"seed": 1}, {"start": {"f": 0.02}}])
def test_a_checkpoint_of_another_network_is_refused(sites, tmp_path, change):
    training = replace(BRIEF, steps=1)
    dg.nn.train(network(), sites, training, checkpoint=tmp_path / "c.npz")
    with pytest.raises(
        DataError, match=r"belongs to another training \(different: first weights; give the network as it was"
    ):
        dg.nn.train(network(**change), sites, training, checkpoint=tmp_path / "c.npz")
