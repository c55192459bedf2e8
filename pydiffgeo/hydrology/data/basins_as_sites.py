"""Basins of a dataset as sites for parameter networks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr

from ...checks import check_names
from ...errors import DataError, InputError, UnknownNameError, UnknownSiteError
from ...model import Model
from ...nn.sites import SiteData
from ..basin import FORCINGS
from .basin_series import basin_data


def site_data(
    data: xr.Dataset,
    inputs: Sequence[str],
    *,
    basins: Sequence[str] | None = None,
    start: object = None,
    end: object = None,
    model: Model | None = None,
) -> SiteData:
    """Basins of a dataset as `dg.hydrology.open_camels`, `open_caravan` or `open_cf` return it, with static attributes.

    Args:
        data: with the dimensions `(basin, time)`, the forcings of a basin model, and runoff; where the dataset has
            no runoff at all, as of basins without gauges, observations are NaN: enough to predict, not to train.
        inputs: names of numeric variables `(basin,)`: the attributes.
        basins: labels; all of them where not given. start, end: first and last day.
        model: what is to be solved, such as `dg.models.HBV()`: its forcings are there as well, potential
            evapotranspiration by Hamon's formula.

    Raises:
        UnknownNameError: an attribute is not there, or is no number per basin.
        DataError: forcing has gaps, or other days in some basins, or anything else `dg.hydrology.basin_data` refuses.
    """
    inputs = check_names("inputs", inputs, least=1)
    if "basin" not in getattr(data, "coords", ()):
        raise DataError("the data must be a dataset with basins, as dg.hydrology.open_camels returns it")
    if basins is not None and (isinstance(basins, str) or not len(basins)):
        raise InputError(f"basins must be a list of labels, 1 or more, got {basins!r}")
    labels = [str(b) for b in data["basin"].values]
    chosen = labels if basins is None else [str(b) for b in basins]
    for name in inputs:
        if name not in data or data[name].dims != ("basin",) or data[name].dtype.kind not in "fiu":
            numeric = [str(k) for k, v in data.data_vars.items() if v.dims == ("basin",) and v.dtype.kind in "fiu"]
            raise UnknownNameError(
                f"there is no attribute {name!r} that is a number for each basin; there are {numeric}"
            )
    for name in chosen:
        if name not in labels:
            raise UnknownSiteError(f"there is no basin {name!r} among {len(labels)}")
    series = [basin_data(data, name, start=start, end=end, gauged=False) for name in chosen]
    for one in series:
        if len(one) != len(series[0]) or one.dates[0] != series[0].dates[0]:
            raise DataError(
                f"basin {one.basin} has forcing from {one.dates[0]} to {one.dates[-1]}, basin {chosen[0]} from "
                f"{series[0].dates[0]} to {series[0].dates[-1]}; choose start and end within what all have"
            )
    at = [labels.index(name) for name in chosen]
    table = [data[name].values[at].astype(np.float64) for name in inputs]
    rows = [{k: getattr(one, k) for k in FORCINGS} | ({} if model is None else one.forcing(model)) for one in series]
    forcing = {k: torch.from_numpy(np.stack([row[k] for row in rows])) for k in rows[0]}
    observed = torch.from_numpy(np.stack([one.runoff for one in series]))
    attributes = torch.from_numpy(np.stack(table, axis=1))
    return SiteData(tuple(chosen), series[0].dates, forcing, observed, attributes, tuple(inputs), "runoff")
