"""Agents of the closure of turbulence: how they act on the grid, and what they are paid."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("stable_baselines3", reason="Stable-Baselines3 is not installed")
FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "closures"
sys.path.insert(0, str(FOLDER))
import agents  # noqa: E402

sys.path.remove(str(FOLDER))


def test_equal_actions_are_a_constant_and_each_acts_most_at_its_own_place() -> None:
    spread = agents.WEIGHTS @ torch.full((4, 4), 0.02, dtype=torch.float64) @ agents.WEIGHTS.T
    torch.testing.assert_close(spread, torch.full((32, 32), 0.02, dtype=torch.float64))
    assert agents.WEIGHTS.argmax(0).tolist() == agents.CENTRES.tolist()


def test_agents_of_a_field_see_their_points_and_share_the_reward() -> None:
    fields = agents.EXAMPLE.SYSTEM.start(2, seed=1)
    wanted = agents.EXAMPLE.SYSTEM.flow(fields).enstrophy_spectrum.mean(0)
    world = agents.Agents(fields, wanted, horizon=2, first=0.17)
    state = world.reset()
    assert state.shape == (32, 6)
    # The second invariant of the agent in row 1 and column 2 of the second field.
    there = agents.EXAMPLE.SYSTEM.flow(fields).invariants[1, agents.CENTRES[1], agents.CENTRES[2], 1]
    assert state[16 + 4 + 2, 1] == pytest.approx(float(torch.asinh(there / 20)), rel=1e-5)
    for last in (False, True):
        state, rewards, over, infos = world.step(torch.zeros(32, 1).numpy())
        assert (rewards[:16] == rewards[0]).all()
        assert rewards[0] != rewards[16]
        assert over.all() == last
    assert infos[0]["TimeLimit.truncated"]
    assert world.steps == 2 * 10 * 2
    # Actions of zero are Leith's closure.
    expected = agents.EXAMPLE.SYSTEM.advance(fields, agents.EXAMPLE.DT, 10, agents.EXAMPLE.Leith(0.17))
    world.reset()
    world.horizon = 99
    world.step(torch.zeros(32, 1).numpy())
    torch.testing.assert_close(world.w, expected)


def test_flows_that_are_lost_begin_again_unpaid() -> None:
    fields = agents.EXAMPLE.SYSTEM.start(1, seed=2)
    world = agents.Agents(fields * 1e200, fields[0, 0, :16].abs(), horizon=9, first=0.17)
    world.reset()
    _, rewards, over, infos = world.step(torch.zeros(16, 1).numpy())
    assert (rewards == 0).all()
    assert over.all()
    assert not infos[0]["TimeLimit.truncated"]
