"""Optimisers on functions whose minimum is known, with members that fail, stop and resume."""

from __future__ import annotations

import numpy as np
import pytest

from pydiffgeo.search import BFGS, Adam

START = np.array([[-1.2, 1.0], [2.0, 2.0], [0.0, 0.0]])


def rosenbrock(x):
    a, b = x[:, 0], x[:, 1]
    loss = (1 - a) ** 2 + 100 * (b - a**2) ** 2
    gradient = np.stack([-2 * (1 - a) - 400 * a * (b - a**2), 200 * (b - a**2)], axis=1)
    return loss, gradient


def bowl(x):
    scale = np.array([1.0, 30.0])
    return (scale * (x - 0.5) ** 2).sum(1), 2 * scale * (x - 0.5)


def run(method, function, x, steps, state=None):
    state = method.start(x) if state is None else state
    while state["step"] < steps and not state["done"].all():
        state = method.advance(state, *function(state["trial"]))
    return state


def test_bfgs_finds_the_minimum_of_a_curved_valley():
    state = run(BFGS(tolerance=1e-12), rosenbrock, START, 200)
    np.testing.assert_allclose(state["best_x"], 1.0, atol=1e-4)
    assert state["done"].all()


def test_bfgs_does_not_mind_the_scale_of_the_loss():
    def scaled(factor):
        return lambda x: tuple(factor * v for v in bowl(x))

    for factor in (1e-8, 1.0, 1e8):
        state = run(BFGS(), scaled(factor), START, 60)
        np.testing.assert_allclose(state["best_x"], 0.5, atol=1e-2)


def test_adam_finds_the_minimum_of_a_bowl():
    state = run(Adam(learning_rate=0.1), bowl, START, 300)
    np.testing.assert_allclose(state["best_x"], 0.5, atol=1e-2)
    assert state["step"] == 300


@pytest.mark.parametrize("method", [BFGS(), Adam()], ids=["bfgs", "adam"])
def test_members_are_independent(method):
    together = run(method, rosenbrock, START, 12)
    for m in range(3):
        alone = run(method, rosenbrock, START[m : m + 1], 12)
        np.testing.assert_array_equal(together["best_x"][m], alone["best_x"][0])


@pytest.mark.parametrize("method", [BFGS(), Adam()], ids=["bfgs", "adam"])
def test_the_state_is_never_changed_in_place(method):
    state = run(method, rosenbrock, START, 5)
    kept = {k: v.copy() for k, v in state.items()}
    method.advance(state, *rosenbrock(state["trial"]))
    for name, value in kept.items():
        np.testing.assert_array_equal(state[name], value)
    # Hence any state can be kept and taken up again.
    np.testing.assert_array_equal(
        run(method, rosenbrock, START, 12)["best_x"], run(method, rosenbrock, START, 12, kept)["best_x"]
    )


@pytest.mark.parametrize("method", [BFGS(), Adam()], ids=["bfgs", "adam"])
def test_failed_trials_are_stepped_back_from(method):
    def walled(x):
        loss, gradient = bowl(x)
        return np.where(x[:, 1] > 0.9, np.inf, loss), gradient

    start = np.array([[0.0, 0.0], [0.3, 0.8], [0.0, 2.0]])
    state = run(method, walled, start, 300)
    np.testing.assert_allclose(state["best_x"][:2], 0.5, atol=2e-2)
    # The last one starts where nothing can be computed: it is given up and the others go on.
    assert state["done"][2]
    assert state["best_loss"][2] == np.inf


def test_the_best_point_is_kept():
    losses = iter([3.0, 1.0, 2.0, 5.0])
    state = Adam().start(np.zeros((1, 1)))
    trials = []
    for loss in losses:
        trials.append(state["trial"].copy())
        state = Adam().advance(state, np.array([loss]), np.ones((1, 1)))
    assert state["best_loss"] == 1.0
    np.testing.assert_array_equal(state["best_x"], trials[1])


def test_bfgs_stops_where_the_gradient_is_zero_or_a_lie():
    flat = run(BFGS(), lambda x: (np.ones(len(x)), np.zeros_like(x)), START, 50)
    assert flat["done"].all()
    assert flat["step"] == 1
    # A gradient that points uphill: no step gains anything.
    wrong = run(BFGS(), lambda x: (bowl(x)[0], -bowl(x)[1]), START, 200)
    assert wrong["done"].all()
    np.testing.assert_array_equal(wrong["best_x"], START)
