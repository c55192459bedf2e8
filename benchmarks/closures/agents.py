"""The closure of `examples/turbulence_closure.py` by multi-agent reinforcement learning, at as many steps of the solver.

    pip install 'pydiffgeo[rl]'
    python benchmarks/closures/agents.py DATA.npz

As published (Mojgani et al. 2023, arXiv 2312.00907): 16 agents on a lattice of 4 x 4 share one policy; each sees the six
invariants of its point and gives c = C^3 between -0.125 and 0.125, which is spread to the grid between agents; all share the
reward, 1 / |k (Z(k) - Z_wanted(k))|^2 of the enstrophy spectrum. Different: the learner is PPO of Stable-Baselines3, not
V-RACER of Korali; values between agents are those of a periodic quadratic B-spline with the actions as its coefficients; the
standard deviation of exploration begins at 0.25^3, as published, and the mean at Leith's closure with C = `--first`. The
published budget was ten million steps; here it is that of the gradient way, `--steps`, those of all fields together.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import gymnasium
import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from pydiffgeo.testbeds import BOUND, Flow, leith_scale

SIDE, CELLS, EVERY = 4, 32, 10


def example() -> ModuleType:
    """`examples/turbulence_closure.py`: the same system, the same fresh runs."""
    path = Path(__file__).resolve().parents[2] / "examples" / "turbulence_closure.py"
    spec = importlib.util.spec_from_file_location("turbulence_closure", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


EXAMPLE = example()


CENTRES = torch.arange(SIDE) * (CELLS // SIDE) + CELLS // SIDE // 2
# Of actions: what they are counted from, and in, the published exploration.
UNIT = 0.25**3


def spline() -> Tensor:
    """Weights `(cells, agents of a side)` of a periodic quadratic B-spline, agents at `CENTRES`."""
    x = (torch.arange(CELLS, dtype=torch.float64) - CENTRES[0]) * SIDE / CELLS
    away = (x[:, None] - torch.arange(SIDE, dtype=torch.float64) + SIDE / 2) % SIDE - SIDE / 2
    near, far = 0.75 - away**2, 0.5 * (1.5 - away.abs()) ** 2
    return torch.where(away.abs() < 0.5, near, torch.where(away.abs() < 1.5, far, 0.0))


WEIGHTS = spline()


def seen(flow: Flow) -> np.ndarray:
    """Invariants at the agents, `(fields * 16, 6)`, bent to a few units: of vorticity near 6 and second derivatives near 20."""
    sizes = torch.tensor([1.0, 20.0, 20.0, 20.0, 400.0, 400.0], dtype=torch.float64)
    there = flow.invariants[..., CENTRES[:, None], CENTRES, :] / sizes
    return torch.asinh(there).reshape(-1, 6).numpy().astype(np.float32)


@dataclass(frozen=True)
class Spread:
    """The closure of coefficients `(fields, 4, 4)`."""

    actions: Tensor

    def __call__(self, flow: Flow) -> Tensor:
        """`(fields, cells, cells)`."""
        return (WEIGHTS @ self.actions @ WEIGHTS.T) * leith_scale(flow)


def coefficients(actions: np.ndarray, first: float) -> Tensor:
    """c of the agents, `(fields, 4, 4)`, of actions `(fields * 16, 1)` in units of the exploration, zero being C = `first`."""
    raw = torch.from_numpy(actions.astype(float)).reshape(-1, SIDE, SIDE)
    return (first**3 + UNIT * raw).clamp(-BOUND, BOUND)


class Agents(VecEnv):
    """Fields of turbulence that are advanced together; each agent of each field is one environment of the library."""

    def __init__(self, fields: Tensor, wanted: Tensor, horizon: int, first: float) -> None:
        space = gymnasium.spaces.Box(-np.inf, np.inf, (6,), np.float32)
        acts = gymnasium.spaces.Box((-BOUND - first**3) / UNIT, (BOUND - first**3) / UNIT, (1,), np.float32)
        super().__init__(len(fields) * SIDE**2, space, acts)
        self.fields, self.wanted, self.horizon, self.first = fields, wanted, horizon, first
        self.w, self.age, self.steps, self.errors = fields, 0, 0, list[float]()

    def reset(self) -> np.ndarray:
        """Fields of the data again."""
        self.w, self.age = self.fields, 0
        return seen(EXAMPLE.SYSTEM.flow(self.w))

    def step_async(self, actions: np.ndarray) -> None:
        """Kept until `step_wait`."""
        self.actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Ten steps of the solver, and the reward of each field for all of its agents; after a horizon all begin again."""
        with torch.no_grad():
            self.w = EXAMPLE.SYSTEM.advance(self.w, EXAMPLE.DT, EVERY, Spread(coefficients(self.actions, self.first)))
        self.age, self.steps = self.age + 1, self.steps + EVERY * len(self.fields)
        lost = not bool(torch.isfinite(self.w).all())
        flow = EXAMPLE.SYSTEM.flow(self.fields if lost else self.w)
        k = torch.arange(CELLS // 2, dtype=torch.float64)
        away = (k * (flow.enstrophy_spectrum - self.wanted)).square().sum(-1)
        reward = torch.zeros_like(away) if lost else 1 / away
        self.errors.append(float(away.mean()))
        over = lost or self.age == self.horizon
        state, infos = seen(flow), [dict[str, Any]() for _ in range(self.num_envs)]
        if over:
            for info, last in zip(infos, state, strict=True):
                info |= {"terminal_observation": last, "TimeLimit.truncated": not lost}
            state = self.reset()
        rewards = reward.repeat_interleave(SIDE**2).numpy().astype(np.float32)
        return state, rewards, np.full(self.num_envs, over), infos

    def close(self) -> None:
        """Nothing is held."""

    def get_attr(self, attr_name: str, indices: Sequence[int] | None = None) -> list[Any]:
        """The same for all."""
        return [getattr(self, attr_name, None)] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Sequence[int] | None = None) -> None:
        """The same for all."""
        setattr(self, attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **keywords: Any) -> list[Any]:
        """There are none."""
        raise AttributeError(method_name)

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        """None is."""
        return [False] * self.num_envs


class Learned:
    """The mean of the policy as a closure; it acts every ten steps, as it was trained."""

    def __init__(self, policy: Any, first: float) -> None:
        self.policy, self.first, self.calls, self.held = policy, first, 0, torch.zeros(())

    def __call__(self, flow: Flow) -> Tensor:
        """`(fields, cells, cells)`."""
        if self.calls % EVERY == 0:
            self.held = coefficients(self.policy.predict(seen(flow), deterministic=True)[0], self.first)
        self.calls += 1
        return Spread(self.held)(flow)


def main(data: Path, steps: int, members: int, until: float, seed: int, first: float) -> None:
    """Trains, and prints the rows of the table: of the policy before and after."""
    torch.set_num_threads(1)
    fields, wanted = EXAMPLE.read(data)
    agents = Agents(fields, wanted, 200, first)
    # 40 decisions of 80 agents each to an update; networks as published, the rate of the library.
    learner = PPO(
        "MlpPolicy",
        agents,
        n_steps=40,
        batch_size=640,
        n_epochs=5,
        gamma=0.995,
        learning_rate=3e-4,
        seed=seed,
        device="cpu",
        policy_kwargs={"net_arch": [128, 128], "activation_fn": torch.nn.Tanh, "log_std_init": 0.0},
    )
    runs = {"members": members, "until": until, "spin_up": 20.0}
    EXAMPLE.fresh_runs({f"agents from {first}, before": Learned(learner, first)}, wanted, **runs)
    began = time.process_time()
    learner.learn(steps // (EVERY * len(fields)) * agents.num_envs)
    spent = time.process_time() - began
    parts = np.array_split(np.array(agents.errors), 5)
    print(f"{agents.steps} steps of the solver, {len(agents.errors) * agents.num_envs} experiences, {spent:.0f} s")
    print("squared distance of k Z(k) by fifths:", " ".join(f"{np.mean(part):.3g}" for part in parts))
    acted = coefficients(learner.predict(seen(EXAMPLE.SYSTEM.flow(fields)), deterministic=True)[0], first)
    print(f"C of the policy's mean: {math.copysign(abs(float(acted.mean())) ** (1 / 3), float(acted.mean())):.3f}")
    EXAMPLE.fresh_runs({f"agents from {first}, learned": Learned(learner, first)}, wanted, **runs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--steps", type=int, default=75_000, help="of the solver, of all fields together")
    parser.add_argument("--members", type=int, default=4)
    parser.add_argument("--until", type=float, default=100.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=float, default=0.25, help="C of Leith's closure that actions of zero are")
    asked = parser.parse_args()
    main(asked.data, asked.steps, asked.members, asked.until, asked.seed, asked.first)
