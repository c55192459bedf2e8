"""A basin and a column in so cheap steps that thousands of them are solved at once: of which `coverage.py` makes calibrations.

Too long for the equations, the steps change the model, for truth and calibrations alike.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from types import SimpleNamespace

import numpy as np
import torch

import pydiffgeo as dg
from pydiffgeo.identify.inverse_problem import InverseProblem, of_function
from pydiffgeo.transforms import Transforms, bounded


@dataclass(frozen=True, eq=False)
class Stepped(InverseProblem):
    """A problem whose function is many small steps of PyTorch: further members cost nothing, dual numbers a hundred times as much."""

    def linearised(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """By central differences, whose errors are about 1e-8 of a derivative."""
        n, h = x.shape[1], 1e-4
        moved = torch.cat([torch.zeros(1, n), h * torch.eye(n), -h * torch.eye(n)]).to(x)
        value = self.simulate((x.detach().unsqueeze(1) + moved).reshape(-1, n)).reshape(len(x), 2 * n + 1, -1)
        value, slope = value[:, 0], ((value[:, 1 : n + 1] - value[:, n + 1 :]) / (2 * h)).transpose(1, 2)
        ok = torch.isfinite(value).all(1) & torch.isfinite(slope).all(2).all(1)
        return torch.where(ok[:, None], value, 0.0), torch.where(ok[:, None, None], slope, 0.0), ok

    def simulate(self, x: torch.Tensor) -> torch.Tensor:
        """All at once."""
        with torch.no_grad():
            return self.function(x)


def stepped(problem: InverseProblem) -> Stepped:
    return Stepped(**{field.name: getattr(problem, field.name) for field in fields(problem)})


def basin() -> InverseProblem:
    """Five months of EXP-HYDRO without snow after a month of warm-up; three values are sought.

    The rates of the model are stepped in PyTorch, explicitly by days, all members in one tensor. Its melt is far too steep in
    the storage of snow for such steps.
    """
    random, days, warmup = np.random.default_rng(1), 180, 30
    t, model = np.arange(days), dg.models.ExpHydro()
    rain, warmth = random.gamma(0.4, 9.0, days), random.normal(0, 3, days)
    forcing = {
        "precipitation": torch.from_numpy(rain),
        "temperature": torch.from_numpy(14 - 6 * np.cos(2 * np.pi * t / 365) + warmth),
        "daylength": torch.from_numpy(12 - 4 * np.cos(2 * np.pi * t / 365)),
    }
    bounds = {"f": (0.01, 0.06), "S_max": (200.0, 600.0), "Q_max": (5.0, 20.0)}
    given = {"D_f": 2.5, "T_max": 1.0, "T_min": -1.0}
    transforms = Transforms(tuple(bounded(p, bounds[p.name]) for p in model.parameters if p.name in bounds))

    def runoff(x: torch.Tensor) -> torch.Tensor:
        fixed = {k: torch.tensor(v, dtype=torch.float64) for k, v in given.items()}
        values, snow, water = transforms.unpack(x), torch.zeros_like(x[:, :1]), torch.full_like(x[:, :1], 200.0)
        course = list[torch.Tensor]()
        for day in range(days):
            today = SimpleNamespace(**{k: v[day] for k, v in forcing.items()})
            rates = model.source(SimpleNamespace(**values, **fixed, snow_storage=snow, water_storage=water), today)
            snow, water = snow + rates["snow_storage"], water + rates["water_storage"]
            course.append(rates["runoff"])
        return torch.cat(course[warmup:], dim=1)

    problem = of_function(
        runoff, [*bounds], np.zeros(len(bounds)), np.zeros(days - warmup), 0.3, transforms=transforms, name="basin"
    )
    return stepped(problem)


def column() -> InverseProblem:
    """Eight days of rain on half a metre of unsaturated soil with three probes; three values are sought.

    Richards' equation on four cells: implicit steps of three hours of the mixed form, of four iterations each that hold the
    conductivities (Celia et al. 1990, Water Resour. Res. 26), with the curves of van Genuchten 1980 and Mualem 1976.
    """
    random, days, steps, cells, depth, dry, wet = np.random.default_rng(2), 8, 8, 4, 0.5, 0.06, 0.42
    rain = [float(v) for v in np.where(random.random(days) < 0.4, random.gamma(1.5, 0.012, days), 0.0)]
    bounds = {"K_s": (0.2, 2.0), "alpha": (1.0, 6.0), "n": (1.3, 2.2)}
    model = dg.models.RichardsColumn(depth=depth, cells=cells)
    transforms = Transforms(tuple(bounded(p, bounds[p.name]) for p in model.parameters if p.name in bounds))
    size = depth / cells

    def soil(h: torch.Tensor, v: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Water content, its slope and the conductivity at heads `(cells, members)`; logarithms are cheaper than powers."""
        m = 1 - 1 / v["n"]
        log = v["n"] * torch.log(v["alpha"] * -h.clamp(max=-1e-4))
        u, u_m = torch.exp(log), torch.exp(m * log)
        s = torch.exp(-m * torch.log1p(u))
        slope = (wet - dry) * v["alpha"] * (v["n"] - 1) * u_m * s / (1 + u)
        return dry + (wet - dry) * s, slope, v["K_s"] * s.sqrt() * (1 - u_m * s) ** 2

    def after(
        h: torch.Tensor, now: tuple[torch.Tensor, ...], v: dict[str, torch.Tensor], flux: float
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        """Heads after a step, and what `soil` says of them, from those before."""
        before = now[0]
        for _ in range(4):
            theta, slope, k = now
            face = (k[:-1] + k[1:]) / 2
            off = face / size**2
            # Rain above, unit gradient below.
            falling = torch.cat([torch.full_like(k[:1], flux), face, k[-1:]])
            capacity, none = slope * steps, torch.zeros_like(face[:1])
            diagonal = [*(capacity + torch.cat([none, off]) + torch.cat([off, none]))]
            right = [*(capacity * h - (theta - before) * steps + (falling[:-1] - falling[1:]) / size)]
            # Elimination of a tridiagonal matrix.
            for i in range(1, cells):
                share = off[i - 1] / diagonal[i - 1]
                diagonal[i] = diagonal[i] - share * off[i - 1]
                right[i] = right[i] + share * right[i - 1]
            right[-1] = right[-1] / diagonal[-1]
            for i in range(cells - 2, -1, -1):
                right[i] = (right[i] + off[i] * right[i + 1]) / diagonal[i]
            h = torch.stack(right)
            now = soil(h, v)
        return h, now

    def probes(x: torch.Tensor) -> torch.Tensor:
        values = {k: v[:, 0] for k, v in transforms.unpack(x).items()}
        h = x.new_full((cells, len(x)), -1.0)
        now, course = soil(h, values), list[torch.Tensor]()
        for step in range(days * steps):
            h, now = after(h, now, values, rain[step // steps])
            if step % 2:
                course.append(now[0])
        return torch.stack(course)[:, [0, 1, 3]].permute(2, 1, 0).flatten(1)

    count = 3 * days * steps // 2
    problem = of_function(
        probes, transforms.names, np.zeros(3), np.zeros(count), 0.01, transforms=transforms, name="column"
    )
    distance = problem.record.distance.clone()
    distance[:: count // 3] = torch.inf
    return stepped(replace(problem, record=replace(problem.record, distance=distance)))
