"""What the calibration of several sites has found, as one table."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from ..errors import PydiffgeoError
from ..io import provenance
from .dataset import described
from .loss_terms import told
from .result import CalibrationResult, prior_values, reached, training_loss


def several_dataset(found: CalibrationResult, failures: Mapping[str, str] = {}) -> xr.Dataset:
    """Calibrated values of all sites, with bounds, values ahead of calibration, standard errors and losses, `(site,)`.

    Args:
        failures: further sites -> why they have no result.

    Values that a site has not, and those of sites that failed, are missing; `status` says why.
    """
    names = [*found.sites, *(name for name in failures if name not in found.sites)]
    why = {**found.failures, **failures}
    data = xr.Dataset(coords={"site": ("site", names, {"long_name": "site"})})
    errors = {name: _errors(found, name) for name in found.searches}
    items = {item.name: item for site in found.sites.values() for item in site.transforms.items}
    for key, item in items.items():
        best, ahead, spread = (np.full(len(names), np.nan) for _ in range(3))
        unit, text = "1", key
        for k, name in enumerate(names):
            if name not in found.searches or key not in (values := found.values(name)):
                continue
            unit, text = described(found.sites[name], key)
            best[k], ahead[k] = values[key], float(prior_values(found.sites[name])[key].reshape(-1)[0])
            spread[k] = errors[name].get(key, np.nan)
        bounds = {"valid_min": item.low, "valid_max": item.high}
        data[key] = ("site", best, {"units": unit, **bounds, "long_name": f"{text} (calibrated)"})
        data[f"{key}_prior"] = ("site", ahead, {"units": unit, "long_name": f"{text} ahead of calibration"})
        if np.isfinite(spread).any():
            data[f"{key}_standard_error"] = ("site", spread, {"units": unit, "long_name": f"standard error of {key}"})
    losses = [float(reached(found.searches[n]).min()) if n in found.searches else np.nan for n in names]
    one = next(iter(found.sites.values()))
    about = {"units": "1", "long_name": f"smallest {training_loss(one.loss, bool(one.priors))}"}
    data["best_loss"] = ("site", losses, about)
    data["status"] = ("site", [why.get(name, "ok") for name in names], {"long_name": "how the calibration ended"})
    title = f"{one.model.name} calibrated with pydiffgeo, {len(names)} sites"
    data.attrs = provenance(action="calibrated", title=title, loss=told(one.loss))
    return data


def _errors(found: CalibrationResult, name: str) -> dict[str, float]:
    try:
        return found.standard_errors(name)
    except PydiffgeoError:
        return {}
