"""What a trained model of series is for: gaps filled, days ahead, and places told apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..checks import check_names, check_whole, is_whole
from ..days import days_of_year
from ..errors import InputError, UnknownNameError
from ..io import SiteTable
from ..nn import SiteData
from .normals import Normals, values_of
from .series_model import SeriesModel


def reconstruct(model: SeriesModel, data: SiteData, *, climate: SiteData | None = None) -> Tensor:
    """What the model makes of all that was seen, every variable on every day `(sites, days, variables)`; no gradients.

    On days on which a variable was seen, its value here is not exactly that: `fill` keeps it.

    Args:
        climate: the same sites over the period of the model, where `data` do not hold it; see `SeriesModel.normals`.

    Raises:
        InputError: (or a subclass) the model has not been trained, or takes other series or attributes.
    """
    return _predicted(model, data, (0,), climate)[0]


def fill(model: SeriesModel, data: SiteData, *, climate: SiteData | None = None) -> SiteData:
    """The same data with what is missing in the model's variables filled in; what was observed stays as it is.

    Reconstructions of what cannot be negative, such as runoff, may be slightly so: they are cut at the smallest value
    seen over all sites.

    Args:
        climate: see `reconstruct`.
    """
    found = reconstruct(model, data, climate=climate)
    seen = values_of(data, model.variables)
    forcing, observed = dict(data.forcing), data.observed
    for i, name in enumerate(model.variables):
        gap = torch.isnan(seen[:, :, i])
        lowest = torch.nan_to_num(seen[:, :, i], nan=torch.inf).min()
        filled = torch.where(gap, found[:, :, i].clamp(min=lowest.item()), seen[:, :, i])
        if name in forcing:
            forcing[name] = filled
        else:
            observed = filled
    return replace(data, forcing=forcing, observed=observed)


def forecast(
    model: SeriesModel, data: SiteData, leads: Sequence[int] = (1, 3, 7), *, climate: SiteData | None = None
) -> dict[int, Tensor]:
    """Forecasts from the end of every day, of what was seen up to it: lead -> `(sites, days, variables)`.

    Entry `t` of lead `l` is what was expected on day `t` for day `t + l`; the last are beyond the record. No later day has
    any influence on it, but for the normals, which are those of the model's period.

    Args:
        leads: days ahead, 1 or more. climate: see `reconstruct`.
    """
    leads = tuple(leads)
    if not leads or not all(is_whole(lead, 1) for lead in leads):
        raise InputError(f"leads must be whole days, 1 or more, got {leads!r}")
    return dict(zip(leads, _predicted(model, data, leads, climate), strict=True))


def embed(
    model: SeriesModel,
    data: SiteData,
    *,
    hidden: Sequence[str] = (),
    size: int | None = None,
    like: SiteData | None = None,
    climate: SiteData | None = None,
) -> SiteTable:
    """What the model remembers of each site on average over the days given: numbers that may serve as attributes.

    Args:
        hidden: variables that are hidden, with their normals; where sites without a gauge are to be embedded too, hide the flux
            of all.
        size: how many principal components are kept; all that the recurrent units remember, twice the width, if None.
        like: the sites whose embeddings decide the components, those of a training say; `data` if None.
        climate: see `reconstruct`, for `data`.

    Raises:
        InputError: (or a subclass) `size` is larger than the number of sites allows, a variable is unknown, and as
            `reconstruct`.
    """
    found = _remembered(model, data, hidden, climate)
    if size is None:
        return SiteTable(data.names, tuple(f"embedding_{i}" for i in range(found.shape[1])), found.numpy())
    source = found if like is None else _remembered(model, like, hidden, None)
    check_whole(1, size=size)
    if size >= len(source):
        raise InputError(f"{len(source)} sites have {len(source) - 1} principal components at most, size is {size}")
    mean = source.mean(0)
    axes = torch.linalg.svd(source - mean, full_matrices=False).Vh[:size]
    # A component has no sign of its own: its largest entry is positive.
    axes = axes * axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign()
    return SiteTable(data.names, tuple(f"embedding_{i}" for i in range(size)), ((found - mean) @ axes.T).numpy())


def _remembered(model: SeriesModel, data: SiteData, hidden: Sequence[str], climate: SiteData | None) -> Tensor:
    """Mean over the days of what both recurrent units remember, `(sites, 2 width)`."""
    for name in check_names("hidden", hidden):
        if name not in model.variables:
            raise UnknownNameError(f"hidden: the model has no {name!r}; it has {list(model.variables)}")
    seen, normals = _seen(model, data, climate)
    for name in hidden:
        at = model.variables.index(name)
        normals = normals.without(torch.ones(len(data), dtype=torch.bool), at, model.usual)
        seen[:, :, at] = torch.nan
    with torch.no_grad():
        states = model.states(normals.anomalies(seen, data.dates), *_context(model, data, normals), 1)
        return torch.cat(states, dim=2).mean(1).to(torch.float64)


def _predicted(model: SeriesModel, data: SiteData, leads: tuple[int, ...], climate: SiteData | None) -> list[Tensor]:
    seen, normals = _seen(model, data, climate)
    anomalies = normals.anomalies(seen, data.dates)
    known, season = _context(model, data, normals)
    out = []
    with torch.no_grad():
        states = model.states(anomalies, known, season, 1)
        for lead in leads:
            normal = normals.at(data.dates + lead)
            found = model.anomaly(states, anomalies, normals.course(normal), known, lead)
            out.append(normal + normals.spread.unsqueeze(1) * found.to(torch.float64))
    return out


def _seen(model: SeriesModel, data: SiteData, climate: SiteData | None) -> tuple[Tensor, Normals]:
    if tuple(data.inputs) != model.inputs:
        raise InputError(f"the model takes the attributes {list(model.inputs)}, the data hold {list(data.inputs)}")
    return values_of(data, model.variables), model.normals(data, climate)


def _context(model: SeriesModel, data: SiteData, normals: Normals) -> tuple[Tensor, Tensor]:
    """What is known of each place, and the part of the year on each day, `(sites, days)`."""
    season = torch.from_numpy(days_of_year(data.dates)) / 366
    return model.known_of(data.attributes, normals), season.expand(len(data), -1)
