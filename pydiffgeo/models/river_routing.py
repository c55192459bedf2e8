"""The four ways in which `River` passes water on: what each adds to the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter

import torch

from ..model import Graph, Local, Parameter, Place, Reduction, Stage, Values
from ..processes import channel, routing
from .reach_table import depth_of_network

DAY = 86400.0  # seconds


@dataclass(frozen=True)
class Routing:
    """Closure values, stages, and the discharge (m3/s) across a face; cells come to have `discharge`."""

    closure: Callable[[Place], Values]
    discharge: Callable[[Place, Place, Place], torch.Tensor]
    stages: tuple[Stage | Reduction, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    channel: bool = True
    source: str = ""


def section_of(cell: Place) -> channel.Section:
    """The cross-section of a reach that holds its water."""
    return channel.power_section(cell.storage / cell.length, cell.width, cell.width_exponent)


def _uniform(cell: Place) -> tuple[channel.Section, torch.Tensor]:
    section = section_of(cell)
    return section, channel.manning(section.area, section.hydraulic_radius, cell.slope, cell.manning_n)


def _geometry(section: channel.Section) -> dict[str, torch.Tensor]:
    return {"wetted_area": section.area, "depth": section.depth, "top_width": section.top_width}


def _kinematic(graph: Graph) -> Routing:
    def closure(cell: Place) -> Values:
        section, discharge = _uniform(cell)
        return {**_geometry(section), "discharge": discharge}

    return Routing(closure, lambda left, right, face: left.discharge, source="Lighthill and Whitham 1955")


def _diffusive(graph: Graph) -> Routing:
    def closure(cell: Place) -> Values:
        section, normal = _uniform(cell)
        return {**_geometry(section), "uniform": normal}

    def across(left: Place, right: Place, face: Place) -> Values:
        slope = face.fall + (left.depth - right.depth) / face.distance
        depth = routing.diffusive_depth(left.depth, right.depth, slope, face.distance)
        downwards = slope >= 0.0
        width = torch.where(downwards, left.width, right.width)
        exponent = torch.where(downwards, left.width_exponent, right.width_exponent)
        n = torch.where(downwards, left.manning_n, right.manning_n)
        area = width * depth ** (exponent + 1.0) / (exponent + 1.0)
        return {"flow": channel.conveyance(area, depth, n) * routing.root_of_slope(slope)}

    def discharge(cell: Place) -> Values:
        # Water leaves the last reach in uniform flow.
        return {"discharge": torch.where(cell.outlet > 0.5, cell.uniform, cell.passed_on)}

    stages = (
        Stage("across", across, on="face"),
        Reduction("passed_on", of="flow", sides="out_of"),
        Stage("discharge", discharge),
    )
    source = "Hayami 1951; Cunge, Holly and Verwey 1980"
    return Routing(closure, lambda left, right, face: face.flow, stages, source=source)


def _weighted(graph: Graph) -> tuple[Stage | Reduction, ...]:
    """Stages of a Muskingum routing: `uniform` flow and `weight` of each reach, and the inflow from above, give its outflow.

    Outflow depends on the inflow of the same instant, all the way from the sources: as many rounds as reaches follow
    one another make it exact.
    """

    def passing(number: int) -> Local:
        return lambda left, right, face: {f"flow_{number}": attrgetter(f"out_{number}")(left)}

    def leaving(number: int, name: str) -> Local:
        def function(cell: Place, forcing: Place) -> Values:
            inflow = forcing.inflow + attrgetter(f"in_{number}")(cell)
            return {name: routing.muskingum(cell.uniform, inflow, cell.weight)}

        return function

    rounds = depth_of_network(graph)
    first = Stage(
        "source", lambda cell, forcing: {"out_0": routing.muskingum(cell.uniform, forcing.inflow, cell.weight)}
    )
    stages: list[Stage | Reduction] = [first]
    for k in range(rounds - 1):
        stages.append(Stage(f"passing_{k}", passing(k), on="face"))
        stages.append(Reduction(f"in_{k}", of=f"flow_{k}", sides="into"))
        stages.append(Stage(f"leaving_{k}", leaving(k, f"out_{k + 1}")))
    last = f"out_{rounds - 1}"
    return (*stages, Stage("discharge", lambda cell, forcing: {"discharge": attrgetter(last)(cell)}))


def _muskingum(graph: Graph) -> Routing:
    def closure(cell: Place) -> Values:
        return {"uniform": cell.storage / (cell.travel_time * DAY), "weight": cell.X}

    parameters = (
        Parameter(
            "travel_time",
            "d",
            "time of travel K of the wave through a reach",
            0.1,
            0.0,
            open_low=True,
            log=True,
            typical=(0.01, 2.0),
            source="McCarthy 1938",
        ),
        Parameter(
            "X",
            "1",
            "weight of the inflow in what a reach stores",
            0.2,
            high=1.0,
            open_high=True,
            typical=(0.0, 0.5),
            source="McCarthy 1938",
        ),
    )
    stages = _weighted(graph)
    source = "McCarthy 1938; with X = 0 linear reservoirs, Nash 1957"
    return Routing(closure, lambda left, right, face: left.discharge, stages, parameters, False, source)


def _muskingum_cunge(graph: Graph) -> Routing:
    def closure(cell: Place) -> Values:
        section, normal = _uniform(cell)
        celerity = channel.power_celerity(normal, section, cell.width_exponent)
        weight = routing.cunge_weight(normal, section.top_width, cell.slope, celerity, cell.length)
        # A pond is no channel: deeper than long, it stores by its outflow alone, as if twice as diffusive.
        return {**_geometry(section), "uniform": normal, "weight": torch.clamp(weight, min=-1.0)}

    stages = _weighted(graph)
    source = "Cunge 1969, J. Hydraul. Res. 7; storage by the weighted discharge, which keeps mass: Todini 2007"
    return Routing(closure, lambda left, right, face: left.discharge, stages, source=source)


ROUTINGS: Mapping[str, Callable[[Graph], Routing]] = {
    "kinematic": _kinematic,
    "diffusive": _diffusive,
    "muskingum": _muskingum,
    "muskingum_cunge": _muskingum_cunge,
}
