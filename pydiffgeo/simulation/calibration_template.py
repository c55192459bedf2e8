"""The tables of a calibration in an annotated configuration: `pydiffgeo init MODEL --calibrate`."""

from __future__ import annotations

from collections.abc import Iterator

from ..model import Model


def calibration(model: Model) -> list[str]:
    """Lines to be added to the configuration of a model; it then needs a file of observations, `observed.csv`."""
    return [*_sought(model), *_observations(model), *REST]


def _sought(model: Model) -> Iterator[str]:
    yield from (
        "",
        "[sought]                            # what is found, whatever [parameters] and [initial] say of it",
    )
    found = [p for p in model.parameters if p.typical]
    for k, p in enumerate(found):
        assert p.typical is not None
        yield (
            f"{'' if k < 2 else '# '}{p.name} = [{p.typical[0]:g}, {p.typical[1]:g}]".ljust(36) + f"# {p.unit}, bounds"
        )
    name = found[0].name if found else "NAME"
    yield f"# {name} = {{ bounds = [low, high], prior = {{ mean = 1.0, spread = 0.5, log = true }}, zones = {{ file = 'zones.csv' }} }}"
    yield "#                                   # with zones, one value for each of them; initial values may be sought as well"


def _observations(model: Model) -> Iterator[str]:
    seen = [*(o.name for o in model.outputs), *(s.name for s in model.all_states)]
    yield from (
        "",
        "[[observations]]                    # as many of these tables as there are files",
        'file = "observed.csv"',
    )
    yield (
        f'quantity = "{seen[0]}"'.ljust(36)
        + f"# a column `quantity` may say so instead; there are {', '.join(seen[:5])}"
    )
    yield "error = 0.01                        # standard deviation in the unit of the values, or a column `error`"
    if "depth" in model.graph.cell:
        yield "depth = 0.1                         # where; a column `depth`, or `place`, as [places] names them"
    elif model.graph.cells > 1:
        yield "cell = 0                            # where; columns cell, row and column, x and y, or `place`"
    yield '# units = "m"                       # where the file has other units than the model'
    yield '# columns = { time = "date", value = "level" }    # what the file calls its columns time, value, error, place, ...'
    yield (
        '# as = "mean"                       # over windows, or "sum", of fluxes: '
        + ", ".join(f.name for f in model.fluxes)[:60]
    )
    yield "# window = 1.0                      # of means and sums, from each time on; or columns start and end"
    yield '# use = "train"                     # or "tuning", held back for early stopping, or "evaluation", compared with only'
    yield "# series = { t10 = { depth = 0.1 } } # a file with a column for each place, instead of a row for each value"


REST = (
    "",
    "# [places]                          # names of places in tables: depths, or cells",
    "# P1 = { depth = 0.3 }",
    "",
    "[optimiser]",
    '# loss = "mean_square"              # in units of the errors; or "gaussian", "nse", "kge", ...; or weighted terms:',
    '# loss = [{ name = "nse", of = ["runoff"], weight = 2.0 }, { function = "my_package:my_loss" }]',
    "# warmup = 0.0                      # time at the start that is solved and not compared",
    "candidates = 16                     # points tried, of which the best `starts` are explored and `finalists` refined",
    "starts = 4",
    "finalists = 2",
    "# steps = 30",
    '# method = "auto"                   # "gauss_newton" for sums of squares and few values, "bfgs", "lbfgs", "adam"',
    "# window = 0.0                      # explore on a part of the record that is so long",
    "# seed = 0",
    "",
    '# [sites]                           # a row for each site; "{site}" in any text here stands for its name',
    '# file = "sites.csv"                # columns site, and keys with a dot that differ: parameters.K_s, forcing.file, ...',
)
