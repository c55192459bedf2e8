"""What a network predicts for sites, gauged or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from typing_extensions import Unpack

from ..arrays import Numbers
from ..checks import check_whole
from ..errors import InputError
from ..solve import Method, Solution
from .network import ParameterNetwork
from .sites import SiteData


def predict(
    network: ParameterNetwork,
    data: SiteData,
    *,
    warmup: int = 365,
    throw: bool = False,
    climate: SiteData | None = None,
    initial: Mapping[str, Numbers] | None = None,
    **settings: Unpack[Method],
) -> Solution:
    """Solves the sites of `data` with the values the network gives, without gradients.

    The first `warmup` days are run ahead of the record; times count from its first day.

    Args:
        climate: the same sites over the reference period of a network with weather, where `data` do not hold it;
            see `ParameterNetwork.reference`.
        initial: initial values that the network does not give.
        settings: keywords of `solve`.

    Raises:
        SolverError: a site cannot be solved and `throw` is set.
        DataError: the reference period is not in the data.
        InputError: `climate` has other sites, or the record is shorter than the warm-up.
    """
    check_whole(0, warmup=warmup)
    if warmup > (days := data.observed.shape[1]):
        raise InputError(f"warmup={warmup} days of the record are to be run ahead of it, and it has {days}")
    lead = {k: torch.cat([v[:, :warmup], v], dim=1) for k, v in data.forcing.items()}
    times = np.arange(days + warmup + 1.0) - warmup
    weather = replace(data, forcing=lead).weather(network.weather) if network.varying else None
    with torch.no_grad():
        past = network.climate(data, climate)
        return network.simulate(
            data.attributes, lead, times, weather, climate=past, initial=initial, throw=throw, **settings
        )
