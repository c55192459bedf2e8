"""An annotated configuration of a training to start from: `pydiffgeo init MODEL --train`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from ...errors import DataError
from ...model import Model
from ...nn.training import Training
from ...simulation.making import maker
from ..basin import DRIVERS
from ..named_models import MODELS, basin_model, full_name
from .configured_training import ELSEWHERE

HEAD = """\
# Trains networks that give the parameters of {model} from attributes of basins:
#
#     pydiffgeo train {file}
#
# Ctrl-C stops it; the same command goes on where it stopped. Paths are relative to this file.
# What is commented out shows the default, unless it says otherwise.
{code}
[data]
# One of the four: a table of basins (CSV, identifiers in the first column, attributes in the others) with a file of daily
# series for each; a NetCDF file or Zarr store with the dimensions basin and time; a folder of CAMELS-US; or of Caravan.
table = "basins.csv"
series = "series/{{basin}}.csv"       # columns time or date, {drivers}, runoff
# file = "basins.nc"
# camels = "basin_dataset_public_v1p2"
# caravan = "Caravan"
# product = "daymet"                # of the CAMELS-US folder: "daymet", "maurer" or "nldas"
# basins = ["01", "02"]             # identifiers; all that are there by default
# attributes = "attributes.csv"     # further attributes, with the identifiers in the first column; none by default
held_out = 2                        # basins that are predicted and not trained on: how many, or a list; none by default
# held_out_seed = 0                 # of drawing them
# variables = {{ runoff = "q_obs" }}  # where names are others than those above; no default
# units = {{ runoff = "mm d-1" }}     # where a file states none or a wrong one; of CSV mm d-1, degC and h
# latitude = 46.4                   # degrees; for the day length, where there is none, nor an attribute gauge_lat

[periods]
train = [1990-10-01, 2000-09-30]    # first and last day
# tuning = [2000-10-01, 2002-09-30] # held back for early stopping; begins where training ends; none by default
evaluation = [2002-10-01, 2010-09-30]
# warmup = 365                      # days solved ahead of each window that is compared

[model]
name = {name}
"""
NETWORK = """
[network]
inputs = ["aridity", "slope"]       # attributes, by their names in the data
# scaling = "standard"              # or "normal_scores", by rank: for few basins and skewed attributes
# hidden = [32]                     # widths of the layers
# weather = []                      # forcings that a recurrent unit reads, which parameters then follow from as well
# varying = []                      # parameters that vary in time with the weather
# memory = 16                       # width of the recurrent unit
# reference = [1990-10-01, 2000-09-30]    # whose weather stands for the climate; the days of training by default
{start}# where training begins; the middle of the range by default
# seeds = [0]                       # a network for each; three or more tell what chance does

[training]
"""
REST = """
[solve]
# engine = "auto"                   # "julia", "sundials", or Julia where it is ready, else SUNDIALS
# rtol = 1e-4
# atol = 1e-4                       # mm

[output]
{result}# beside it: its networks (.npz) and its scores (.json)
"""
SAID = {
    "weight_decay": "per unit of it",
    "clip": "largest norm of the gradient",
    "damping": "of the quadratic surrogates that inner_steps > 1 go by",
    "steps": "of training; in each a batch of basins is solved",
    "batch": "basins in it",
    "window": "days compared in each step",
    "learning_rate": "at first; it falls to a tenth",
    "measure": 'or "log", where basins that cannot be followed shall not decide for the others',
    "noise": "added to the scaled attributes, against learning few basins by heart",
    "average": "share kept in a moving average of the weights",
    "inner_steps": "steps of the optimiser for each solve",
    "check_every": "steps between looks at the tuning period",
    "patience": "looks without a gain after which it stops",
}


def training_template(name: str, *, code: bool, folder: Path) -> str:
    """The text of a configuration; raises `DataError` where there is no such basin model, or it may not be imported."""
    if ":" in name:
        model = maker(name, code=code, where="the model", folder=folder)()
        if not isinstance(model, Model):
            raise DataError(f"{name!r} makes no model")
    elif name.lower() not in {key.lower() for key in MODELS}:
        raise DataError(
            f"networks are trained for models of basins: {', '.join(MODELS)}, or my_package:MyModel; got {name!r}"
        )
    else:
        name = full_name(name)
        model = basin_model(name)
    stem = model.name.lower()
    drivers = [f.name for f in model.forcings if f.name in DRIVERS]
    if "potential_evapotranspiration" in drivers:  # which follows from these
        drivers = [d for d in dict.fromkeys([*drivers, "temperature"]) if d != "potential_evapotranspiration"]
    own = "# The model is code: running this file takes --run-code.\n" if ":" in name else ""
    first = next(p for p in model.parameters if p.typical)
    assert first.typical is not None
    start = f"# start = {{ {first.name} = {sum(first.typical) / 2:g} }}".ljust(36)
    drawn = ", ".join(d for d in drivers if d != "daylength")
    head = HEAD.format(model=model.name, file=f"{stem}.toml", code=own, name=json.dumps(name), drivers=drawn)
    return "".join(
        (
            head,
            *_of_model(model),
            NETWORK.format(start=start),
            *_training(),
            REST.format(result=f'file = "{stem}.nc"'.ljust(36)),
        )
    )


def _of_model(model: Model) -> Iterator[str]:
    yield "\n[model.bounds]                      # ranges that are learnt within; what is left out takes its usual one\n"
    for p in model.parameters:
        if p.typical is not None:
            yield f"# {p.name} = [{p.typical[0]:g}, {p.typical[1]:g}]".ljust(36) + f"# {p.unit}, {p.description}\n"
    yield "\n# [model.fixed]                     # parameters that are not learnt; none by default\n"
    yield "\n# [model.initial]                   # numbers, or bounds within which they are learnt\n"
    for s in model.all_states:
        yield f"# {s.name} = {0.0 if s.default is None else s.default:g}".ljust(36) + f"# {s.unit}\n"


def _training() -> Iterator[str]:
    for f in fields(Training):
        if f.name not in ELSEWHERE:
            said = f"# {SAID[f.name]}" if f.name in SAID else ""
            yield f"{f'# {f.name} = {json.dumps(f.default)}':<36}{said}".rstrip() + "\n"
