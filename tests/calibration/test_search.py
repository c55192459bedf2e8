"""Optimisers on functions whose minimum is known, with members that fail, stop and resume."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pydiffgeo.calibration.least_squares import GaussNewton
from pydiffgeo.calibration.search import BFGS, LBFGS, Adam, Evaluation

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
        state = method.advance(state, Evaluation(*function(state["trial"])))
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


@pytest.mark.parametrize(
    ("loss", "gradient", "accepted"),
    [(0.5 + 1e-7, 0.01, True), (0.5 + 1e-7, -0.1, True), (0.5 + 1e-7, -0.24, False), (0.5 + 1e-4, 0.01, False)],
)
def test_bfgs_goes_by_the_slope_where_the_loss_is_known_no_better(loss, gradient, accepted):
    method = BFGS(tolerance=1e-3)
    state = method.start(np.array([[1.0]]))
    for value, slope in ((1.0, 1.0), (0.5, 0.25)):
        state = method.advance(state, Evaluation(np.array([value]), np.array([[slope]])))
    trial = state["trial"].copy()
    state = method.advance(state, Evaluation(np.array([loss]), np.array([[gradient]])))
    assert (state["x"] == trial).all() == accepted


def test_adam_finds_the_minimum_of_a_bowl():
    state = run(Adam(learning_rate=0.1), bowl, START, 300)
    np.testing.assert_allclose(state["best_x"], 0.5, atol=1e-2)
    assert state["step"] == 300


@pytest.mark.parametrize("method", [BFGS(), LBFGS(), Adam()], ids=["bfgs", "lbfgs", "adam"])
def test_members_are_independent(method):
    together = run(method, rosenbrock, START, 12)
    for m in range(3):
        alone = run(method, rosenbrock, START[m : m + 1], 12)
        np.testing.assert_array_equal(together["best_x"][m], alone["best_x"][0])


@pytest.mark.parametrize("method", [BFGS(), LBFGS(), Adam()], ids=["bfgs", "lbfgs", "adam"])
def test_the_state_is_never_changed_in_place(method):
    state = run(method, rosenbrock, START, 5)
    kept = {k: v.copy() for k, v in state.items()}
    method.advance(state, Evaluation(*rosenbrock(state["trial"])))
    for name, value in kept.items():
        np.testing.assert_array_equal(state[name], value)
    # Hence any state can be kept and taken up again.
    np.testing.assert_array_equal(
        run(method, rosenbrock, START, 12)["best_x"], run(method, rosenbrock, START, 12, kept)["best_x"]
    )


@pytest.mark.parametrize("method", [BFGS(), LBFGS(), Adam()], ids=["bfgs", "lbfgs", "adam"])
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
        state = Adam().advance(state, Evaluation(np.array([loss]), np.ones((1, 1))))
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


# --- Gauss-Newton --------------------------------------------------------------------------------


def squares(x):
    """Rosenbrock's function as a sum of squares, with its residuals' Jacobian."""
    a, b = x[:, 0], x[:, 1]
    r = np.stack([1 - a, 10 * (b - a**2)], axis=1)
    j = np.stack([np.stack([-np.ones_like(a), 0 * a], axis=1), np.stack([-20 * a, 10 + 0 * b], axis=1)], axis=1)
    gradient, normal = 2 * np.einsum("mrn,mr->mn", j, r), np.einsum("mrn,mrk->mnk", j, j)
    return Evaluation((r**2).sum(1), gradient, normal=normal)


def test_gauss_newton_finds_the_minimum_in_few_steps():
    method = GaussNewton(tolerance=1e-12, longest_step=10.0)
    state = method.start(START)
    while not state["done"].all():
        state = method.advance(state, squares(state["trial"]))
    np.testing.assert_allclose(state["best_x"], 1.0, atol=1e-6)
    assert state["step"] < 60
    np.testing.assert_array_equal(state["best_loss"], squares(state["best_x"]).loss)


@pytest.mark.parametrize("restraint", [0.5, 10.0])
def test_gauss_newton_goes_a_bounded_way_along_what_the_loss_hardly_depends_on(restraint):
    method = GaussNewton(restraint=restraint)
    state = method.start(np.zeros((1, 2)))
    found = Evaluation(np.ones(1), np.array([[0.3, -0.1]]), normal=1e-12 * np.eye(2)[None])
    step = method.advance(state, found)["trial"][0]
    # No longer than half the reciprocal of the restraint, along the gradient.
    np.testing.assert_allclose(step, np.array([-1.0, 1 / 3]) / (2 * restraint), rtol=1e-6)


def test_gauss_newton_steps_back_from_what_fails():
    method = GaussNewton()
    state = method.advance(method.start(START), squares(START))
    length = np.linalg.norm(state["trial"] - START, axis=1)
    failed = replace(squares(state["trial"]), loss=np.full(3, np.inf))
    again = state
    for _ in range(6):
        again = method.advance(again, failed)
    assert (np.linalg.norm(again["trial"] - START, axis=1) < length / 2).all()
    assert (again["best_loss"] == state["best_loss"]).all()
    # There is nowhere to go back to from a start that fails.
    assert method.advance(method.start(START), failed)["done"].all()


# --- early stopping ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method",
    [BFGS(patience=3), LBFGS(patience=3), Adam(patience=3), GaussNewton(patience=3)],
    ids=lambda m: type(m).__name__,
)
def test_held_back_observations_choose_the_point_and_end_the_search(method):
    # What is held back is best at the start of the first member, and falls for ever for the second.
    state, seen = method.start(START[:2]), []
    while state["step"] < 8 and not state["done"].all():
        seen.append(state["trial"].copy())
        step = float(state["step"])
        state = method.advance(state, replace(squares(state["trial"]), tuning=np.array([1 + step, 1 - step])))
        if state["step"] == 4:
            assert state["done"][0]
    np.testing.assert_array_equal(state["best_x"][0], START[0])
    assert state["best_loss"][0] == squares(START[:1]).loss[0]
    np.testing.assert_array_equal(state["best_x"][1], seen[-1][1])
    assert not state["done"][1]


def test_adam_does_not_mind_the_unit_of_the_loss():
    def path(unit):
        search, state = Adam(0.1), Adam(0.1).start(np.array([[1.0, -2.0]]))
        for _ in range(20):
            x = state["trial"]
            state = search.advance(state, Evaluation(unit * (x**2 * [1.0, 30.0]).sum(1), unit * 2 * x * [1.0, 30.0]))
        return state["trial"]

    np.testing.assert_allclose(path(1e-14), path(1.0), rtol=1e-9)
