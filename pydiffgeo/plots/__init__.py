"""Figures of results, from plain numbers or `xarray` arrays; each function returns a matplotlib `Figure`.

figure = dg.plots.hydrograph(data.time, data.runoff_observed[0], data.runoff_simulated[0], rain=data.precipitation[0])
figure.savefig("hydrograph.png")

Figures belong to no window and need no closing. Colours are those of Okabe and Ito, which the colour-blind can tell apart.
"""

from ..errors import MissingPackageError

try:
    from .fits import loss_curves, parameter_ranges
    from .flow_picture import balance_picture
    from .identified import combinations, curve_of_dimension, series_intervals, value_intervals
    from .panels import series_panels
    from .score_figures import score_cdf, score_map
    from .space import field_map, long_profile, one_to_one, profile_lines, residual_map
    from .time_series import hydrograph, moisture_profile
except ModuleNotFoundError as error:
    raise MissingPackageError(
        f"figures need {(error.name or 'matplotlib').split('.')[0]}: pip install 'pydiffgeo[plots]'"
    ) from error

__all__ = [
    "balance_picture",
    "combinations",
    "curve_of_dimension",
    "field_map",
    "hydrograph",
    "long_profile",
    "loss_curves",
    "moisture_profile",
    "one_to_one",
    "parameter_ranges",
    "profile_lines",
    "residual_map",
    "score_cdf",
    "score_map",
    "series_intervals",
    "series_panels",
    "value_intervals",
]
