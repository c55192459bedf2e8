"""What an aquifer computes between heads and rates: heads that are given, and recharge that dry cells pass on."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

import torch
from torch import Tensor

from ..model import Local, Place, Reduction, Stage, Values
from ..processes.groundwater.conditions import GivenHead, Recharge
from ..processes.groundwater.storage import supply

Stages = tuple[Stage | Reduction, ...]


def with_given_heads(held: Sequence[GivenHead], seen: Local) -> Stages:
    """`head`, and what `seen(head, cell)` makes of it: that which is given, elsewhere the `own_head` of the cell."""

    def given(condition: GivenHead) -> Local:
        return lambda cell, forcing, face: {"held": condition.head(forcing)}

    def head(cell: Place, forcing: Place) -> Values:
        return {**seen(torch.where(cell.given > 0, cell.held, cell.own_head), cell)}  # type: ignore[dict-item]

    stages = [Stage(f"head_of_{b.name}", given(b), on=b.name) for b in held]
    return (*stages, Reduction("held", of="held", sides="into"), Stage("head", head))


def net_inflow(flow: Local) -> Stages:
    """`flow` of every face, and the `net_inflow` of every cell."""
    return Stage("flow_between", flow, on="face"), Reduction("net_inflow", of="between", sides="net", weight="area")


def passed_on(sources: Sequence[Recharge], layers: int) -> Stages:
    """`passed_on`, per plan area: recharge that goes from a cell to the one below, since it holds no water.

    What arrives goes on as far as a cell is dry, layer by layer; the last one takes the rest.
    """

    def arriving(condition: Recharge) -> Local:
        return lambda cell, forcing, face: {"arrives_0": condition.rate(forcing) * face.outside}

    def passing(k: int) -> Local:
        def function(cell: Place, forcing: Place) -> Values:
            wet = torch.clamp(supply(cell.saturation), min=0.0)
            return {f"passes_{k}": attrgetter(f"arrives_{k}")(cell) * (1 - wet) * cell.above_another}

        return function

    def falling(k: int) -> Local:
        return lambda left, right, face: {
            f"falls_{k + 1}": torch.where(face.direction > 1, attrgetter(f"passes_{k}")(left), 0.0)
        }

    def total(cell: Place, forcing: Place) -> Values:
        amount: Tensor = cell.passes_0
        for k in range(1, layers - 1):
            amount = amount + attrgetter(f"passes_{k}")(cell)
        return {"passed_on": amount}

    stages: list[Stage | Reduction] = [Stage(f"arriving_{b.name}", arriving(b), on=b.name) for b in sources]
    for k in range(layers - 1):
        of = f"falls_{k}" if k else "arrives_0"
        stages += [Reduction(f"arrives_{k}", of=of, sides="into"), Stage(f"passing_{k}", passing(k))]
        if k < layers - 2:
            stages.append(Stage(f"falling_{k}", falling(k), on="face"))
    return (*stages, Stage("passed_on", total))
