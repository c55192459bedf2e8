"""Policies against a published table, a sum over all policies, chains worked out by hand, and runs."""

from __future__ import annotations

import itertools

import pytest
import torch

import pydiffgeo as dg
from pydiffgeo.errors import InputError, ShapeError


@pytest.fixture
def small() -> dg.manage.DecisionProblem:
    random = torch.Generator().manual_seed(4)
    rows = torch.rand(3, 4, 4, generator=random, dtype=torch.float64)
    reward = torch.rand(3, 4, generator=random, dtype=torch.float64)
    return dg.manage.DecisionProblem(torch.arange(4.0), torch.arange(3.0), rows / rows.sum(-1, True), reward, 0.9)


def test_no_policy_is_better_in_any_state(small) -> None:
    """All 81 policies, each valued by adding up what it earns in 600 steps."""
    best = small.solve()
    each = torch.arange(4)
    values = []
    for choices in itertools.product(range(3), repeat=4):
        number = torch.tensor(choices)
        rows, reward = small.transitions[number, each], small.reward[number, each]
        value, there = torch.zeros(4, dtype=torch.float64), torch.eye(4, dtype=torch.float64)
        for step in range(600):
            value = value + 0.9**step * there @ reward
            there = there @ rows
        torch.testing.assert_close(small.value(number), value, rtol=1e-12, atol=0)
        values.append(value)
    torch.testing.assert_close(best.value, torch.stack(values).max(0).values, rtol=1e-12, atol=0)
    assert small.cost(best).abs().max() < 1e-12
    worst = torch.stack(values).sum(1).argmin()
    policy = torch.tensor(list(itertools.product(range(3), repeat=4))[int(worst)])
    torch.testing.assert_close(small.cost(policy), 1 - values[int(worst)] / best.value, rtol=1e-12, atol=0)


def test_the_published_policy_of_a_fishery_on_all_points() -> None:
    """Allen's growth: take all up to 4.29, nothing to 6.73, then all above it (Boettiger et al. 2015, archived code)."""
    grid = torch.linspace(0, 15, 50, dtype=torch.float64)
    grown = grid * torch.exp(2 * (1 - grid / 8) * (grid - 5) / 8)
    rows = dg.manage.cell_probabilities(torch.distributions.LogNormal(grown.clamp(min=1e-300).log(), 0.05), grid)
    assert rows[0, 0] == 1
    left = (torch.arange(50)[None] - torch.arange(50)[:, None]).clamp(min=0)
    found = dg.manage.DecisionProblem(grid, grid, rows[left], torch.minimum(grid[:, None], grid[None]), 0.99).solve()
    stock = [round(float(s), 2) for s in grid]
    kept = [0.0 if s <= 4.29 else min(s, 6.73) for s in stock]
    harvest = torch.minimum(found.actions, grid)
    assert [round(float(s - h), 2) for s, h in zip(grid, harvest, strict=True)] == kept


def test_crashes_of_a_chain_worked_out_by_hand() -> None:
    rows = torch.tensor([[[1.0, 0.0], [0.2, 0.8]]], dtype=torch.float64)
    chain = dg.manage.DecisionProblem(torch.arange(2.0), torch.zeros(1), rows, torch.zeros(1, 2).double(), 0.5)
    found = chain.crash_probability(torch.zeros(2, dtype=torch.long), torch.tensor([True, False]), 3)
    assert found.tolist() == pytest.approx([1.0, 1 - 0.8**3])


def test_runs_earn_what_the_value_says_and_crash_as_often() -> None:
    """A queue of three places: served or not."""
    grid = torch.arange(3, dtype=torch.float64)
    stay = torch.tensor([[0.7, 0.3, 0.0], [0.0, 0.7, 0.3], [0.0, 0.0, 1.0]], dtype=torch.float64)
    serve = torch.tensor([[0.7, 0.3, 0.0], [0.5, 0.4, 0.1], [0.0, 0.5, 0.5]], dtype=torch.float64)
    reward = torch.tensor([[0.0, 1.0, -2.0], [-0.2, 0.6, -2.2]], dtype=torch.float64)
    queue = dg.manage.DecisionProblem(grid, torch.arange(2.0), torch.stack([stay, serve]), reward, 0.8)
    policy = queue.solve()

    def step(state, action, random):
        chance = queue.transitions[action.long(), state.long()].cumsum(-1)
        drawn = torch.rand(len(state), 1, generator=random, dtype=torch.float64)
        return (drawn > chance).sum(1).double()

    found = dg.manage.follow(
        policy,
        step,
        lambda s, a: reward[a.long(), s.long()],
        start=1.0,
        steps=40,
        runs=4000,
        crashed=lambda s: s == 2,
    )
    discounted = found.rewards @ 0.8 ** torch.arange(40, dtype=torch.float64)
    error = discounted.std() / 4000**0.5
    assert abs(discounted.mean() - policy.value[1]) < 4 * error
    low, high = found.crash_interval
    rows = queue.transitions[policy.choices, torch.arange(3)]
    assert low < torch.linalg.matrix_power(rows, 40)[1, 2] < high
    assert found.total[0] == found.rewards[0].sum()


@pytest.mark.parametrize(("crashed", "low", "high"), [(0, 0.0, 0.0370), (5, 0.0215, 0.1118), (100, 0.9630, 1.0)])
def test_the_interval_of_a_share(crashed: int, low: float, high: float) -> None:
    """Wilson's interval, by tables."""
    ends = dg.manage.Outcome(*(torch.zeros(100, 1) for _ in range(3)), torch.arange(100) < crashed).crash_interval
    assert ends == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"discount": 1.0}, InputError, "discount must be"),
        ({"states": torch.tensor([0.0, 1.0, 1.0, 2.0])}, InputError, "states must be two or more, and rise"),
        ({"reward": torch.zeros(3, 3)}, ShapeError, r"3 actions in 4 states need transitions \(3, 4, 4\)"),
        ({"reward": torch.full((3, 4), torch.nan)}, InputError, "rewards must be finite"),
        ({"transitions": torch.ones(3, 4, 4)}, InputError, "the row of action 0 in state 0 is no distribution"),
    ],
)
def test_what_is_no_problem_is_refused(small, change, error, message: str) -> None:
    given = {name: getattr(small, name) for name in ("states", "actions", "transitions", "reward", "discount")}
    with pytest.raises(error, match=message):
        dg.manage.DecisionProblem(**{**given, **change})


def test_a_run_that_fails_says_when() -> None:
    with pytest.raises(InputError, match="after 2 steps"):
        dg.manage.follow(
            lambda s: s,
            lambda s, a, random: 1 / (1 - s),
            lambda s, a: s,
            start=0.0,
            steps=3,
            runs=2,
            crashed=lambda s: s < 0,
        )
