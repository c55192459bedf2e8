"""What records tell, as variables of a result: a row for each basin, missing where nothing could be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ...io import Variable
from .told import Told


class ToldVariables(NamedTuple):
    """For a NetCDF file."""

    variables: dict[str, Variable]
    coordinates: dict[str, Variable]


def told_variables(names: Sequence[str], found: Mapping[str, Told], days: int) -> ToldVariables:
    """Those of `Findings.variables` with the dimension of basins, and between which values runoff is expected."""
    if not found:
        return ToldVariables({}, {})
    rows = {name: told.findings.variables() for name, told in found.items()}
    first = next(iter(rows.values()))
    shared = {"sought": "sought value", "told_unit": "its unit"}
    texts = {k: Variable(("sought",), first[k][1], None, about) for k, about in shared.items()}
    variables = {"told_unit": texts["told_unit"]}
    for key, (dims, values, about) in first.items():
        if key in shared:
            continue
        missing = np.full(values.shape, "") if values.dtype.kind == "U" else np.full(values.shape, np.nan)
        table = np.stack([rows[name][key][1] if name in rows else missing for name in names])
        variables[key] = Variable(("basin", *dims), table, about.get("units"), about["long_name"])
    for key, text in (("low", "lower"), ("high", "upper")):
        level = next(iter(found.values())).runoff.level
        series = np.full((len(names), days), np.nan)
        for i, name in enumerate(names):
            if name in found:
                series[i] = getattr(found[name].runoff, f"observed_{key}")
        described = f"{text} end of the {100 * level:g} % interval of observed daily runoff"
        variables[f"runoff_{key}"] = Variable(("basin", "time"), series, "mm d-1", described)
    return ToldVariables(variables, {"sought": texts["sought"]})
