"""Differentiable geoscience: stiff process models as PyTorch layers.

A model is declared once, in plain PyTorch, on a graph of control volumes; `solve` runs it in Julia's
SciML solvers or in embedded SUNDIALS and hands adjoint gradients back to PyTorch.
"""

from importlib import import_module
from types import ModuleType

from . import errors, groundwater, losses, models, observe, processes
from .check import GradientReport, check_gradients
from .engines.base import Status
from .engines.ir.implicit import implicit
from .hessian import HessianVectorProduct, gauss_newton_vector_product, hessian_vector_product
from .jacobian import jacobian
from .model import (
    Boundary,
    Constraint,
    ForcingVariable,
    Graph,
    IntegratedFlux,
    Limit,
    Link,
    Model,
    Output,
    Parameter,
    Reduction,
    Stage,
    State,
    TimeSeries,
    column,
    couple,
    network,
    raster,
    single_cell,
)
from .solve import Layer, Solution, solve
from .steady import SteadySolution, steady

__version__ = "0.1.0"

__all__ = [
    "Boundary",
    "Constraint",
    "ForcingVariable",
    "GradientReport",
    "Graph",
    "HessianVectorProduct",
    "IntegratedFlux",
    "Layer",
    "Limit",
    "Link",
    "Model",
    "Output",
    "Parameter",
    "Reduction",
    "Solution",
    "Stage",
    "State",
    "Status",
    "SteadySolution",
    "TimeSeries",
    "check_gradients",
    "column",
    "couple",
    "errors",
    "gauss_newton_vector_product",
    "groundwater",
    "hessian_vector_product",
    "implicit",
    "jacobian",
    "losses",
    "models",
    "network",
    "observe",
    "processes",
    "raster",
    "single_cell",
    "solve",
    "steady",
]


def __getattr__(name: str) -> ModuleType:
    # These bring xarray, pandas and matplotlib along: they are loaded when first asked for.
    if name == "assimilate":
        return import_module(".assimilate", __name__)
    if name == "baselines":
        return import_module(".baselines", __name__)
    if name == "calibration":
        return import_module(".calibration", __name__)
    if name == "closures":
        return import_module(".closures", __name__)
    if name == "discover":
        return import_module(".discover", __name__)
    if name == "hydrology":
        return import_module(".hydrology", __name__)
    if name == "identify":
        return import_module(".identify", __name__)
    if name == "io":
        return import_module(".io", __name__)
    if name == "manage":
        return import_module(".manage", __name__)
    if name == "nn":
        return import_module(".nn", __name__)
    if name == "plots":
        return import_module(".plots", __name__)
    if name == "report":
        return import_module(".report", __name__)
    if name == "series":
        return import_module(".series", __name__)
    if name == "simulation":
        return import_module(".simulation", __name__)
    if name == "testbeds":
        return import_module(".testbeds", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
