"""torchdiffeq, by backpropagation through its steps and by its adjoint."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
import torchdiffeq
from arrays import torch_rates
from cases import Case, Values


class TooSlowError(Exception):
    """The solve will not end within the cap."""


class Field(torch.nn.Module):
    """The right-hand side of one interval; it gives up where progress says that the cap will be passed."""

    def __init__(self, rates: Any, p: Any) -> None:
        super().__init__()
        self.rates, self.p = rates, p
        self.f: Any = None
        self.began = self.done = self.length = self.whole = 0.0
        self.cap, self.calls = float("inf"), 0

    def forward(self, t: Any, y: Any) -> Any:
        self.calls += 1
        seconds = time.perf_counter() - self.began
        if self.calls % 200 == 0 and seconds > 0.15 * self.cap:
            now = self.done + float(t.detach())
            part = now / self.whole
            if seconds / max(part, 1e-12) > 3 * self.cap or seconds > self.cap:
                raise TooSlowError(f"reached t = {now:.3g} of {self.whole:g} in {seconds:.0f} s, {self.calls} calls")
        return self.rates(y, self.p, self.f)


def prepare(
    case: Case, rtol: float, method: str = "dopri5", adjoint: bool = False, cap: float = 60.0
) -> Callable[[], tuple[float, Values]]:
    rates, n = torch_rates(case.system, case.fluxes), case.system.n_states
    extra = torch.zeros(len(case.fluxes), dtype=torch.float64)
    settings: dict[str, Any] = {"rtol": rtol, "atol": rtol * case.absolute, "method": method}
    if method == "implicit_adams":  # of fixed step
        settings["options"] = {"step_size": rtol}

    def gradient() -> tuple[float, Values]:
        y0, p, f = (torch.from_numpy(v).requires_grad_() for v in case.numbers())
        field = Field(rates, p)
        field.began, field.whole, field.cap = time.perf_counter(), float(case.times[-1]), cap
        y, states, fluxes = y0, [], []
        for j, length in enumerate(case.lengths):
            field.f, field.length = f[j], float(length)
            start, times = torch.cat([y, extra]), torch.tensor([0.0, float(length)], dtype=torch.float64)
            if adjoint:
                one = Field(rates, p)  # the adjoint comes back to the forcing of its own interval
                one.__dict__.update({k: v for k, v in field.__dict__.items() if not k.startswith("_")})
                end = torchdiffeq.odeint_adjoint(one, start, times, adjoint_params=(p, f), **settings)[-1]
                field.calls = one.calls
            else:
                end = torchdiffeq.odeint(field, start, times, **settings)[-1]
            field.done += float(length)
            y = end[:n]
            states.append(y)
            fluxes.append(end[n:])
        loss = case.loss(torch.stack(states), torch.stack(fluxes), torch.from_numpy, torch.sum)
        bars = torch.autograd.grad(loss, (y0, p, f))
        return loss.item(), case.groups(*(b.numpy() for b in bars))

    return gradient
