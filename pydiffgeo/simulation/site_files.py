"""Sites of a configuration, made ready for calibration: of one, or of each row of a table of sites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..arrays import Array
from ..calibration import Site, Strategy, Term
from ..calibration.loss_terms import Function, Loss
from ..calibration.objective import MISFITS
from ..calibration.strategy_table import take_strategy
from ..errors import DataError, InputError, PydiffgeoError
from ..losses.measures import LOSSES
from ..observe import Observation
from ..toml_table import Table, as_text, as_within, read_toml
from .configuration import Configuration, read_configuration
from .csv_tables import read_csv
from .making import imported
from .observed_tables import read_observed, watched
from .run import problem
from .sought import read_sought
from .starting import rest_forcing, tensors

# Times as near to each other, as a share of the shortest interval, are the same but for rounding.
ROUNDING = 1e-6


@dataclass(frozen=True, eq=False)
class Prepared:
    """A site with what only its configuration knows.

    Attributes:
        evaluation: observations that are compared with, and not calibrated on. origin: the date that is time zero.
    """

    site: Site
    evaluation: tuple[Observation, ...]
    origin: np.datetime64 | None
    configuration: Configuration


@dataclass(frozen=True, eq=False)
class Calibration:
    """A checked configuration of a calibration; `sites` are those that can be used, `failures` says why others cannot."""

    path: Path
    output: Path
    text: str
    tables: Mapping[str, object]
    strategy: Strategy
    sites: Mapping[str, Prepared]
    failures: Mapping[str, str]


def is_of_any_model(path: str | Path, overrides: Sequence[str] = ()) -> bool:
    """Whether a configuration is one of `pydiffgeo run`, and not that of basins; raises `DataError` where it cannot be read."""
    _, tables = read_toml(Path(path), overrides)
    return isinstance(tables.get("model"), str)


def read_calibration(
    path: str | Path, *, overrides: Sequence[str] = (), code: bool = False, only: str | None = None
) -> Calibration:
    """Reads and checks a configuration with the tables of a calibration, and its data.

    Args:
        overrides, code: see `read_configuration`. only: the one site that is made ready; all where None.

    Raises:
        DataError: (or a subclass) it cannot be used, or none of its sites can.
    """
    path = Path(path)
    text, tables = read_toml(path, overrides)
    strategy, loss, warmup = _optimiser(Table(path, "optimiser", tables.get("optimiser", {})), code)
    rows = _sites(path, tables.get("sites"))
    sites, failures, output = dict[str, Prepared](), dict[str, PydiffgeoError](), path.with_suffix(".nc")
    for name, changes in rows.items():
        if only is not None and name != only:
            continue
        try:
            c = read_configuration(path, overrides=overrides, code=code, changes=changes, site=name)
            output, text = c.output, c.text
            sites[name] = _prepared(c, name, loss, warmup)
        except PydiffgeoError as error:
            failures[name] = error
    if not sites:
        raise next(iter(failures.values()))
    return Calibration(path, output, text, tables, strategy, sites, {k: str(error) for k, error in failures.items()})


def _sites(path: Path, given: object) -> dict[str, dict[str, object]]:
    """Name -> what is different there; one site, called like the file, where there is no table of them."""
    if given is None:
        return {path.stem: {}}
    t = Table(path, "sites", given)
    file = t.take("file", lambda v: path.parent / as_text(v), "the path of a CSV file")
    column = t.take("name", as_text, "the column with the names of the sites", "site")
    t.finish()
    table = read_csv(file)
    names = table.column(column)
    if not names or len({*names}) < len(names) or not all(names):
        raise DataError(f"{file}: {column!r} must name each site once, got {names[:20]}")
    others = {key: table.values(key) for key in table.names if "." in key}
    return {
        name: {key: values[row] for key, values in others.items() if values[row] is not None}
        for row, name in enumerate(names)
    }


def _prepared(c: Configuration, name: str, loss: Loss, warmup: float) -> Prepared:
    times, forcing, origin = problem(c)
    period = (float(times[0]), float(times[-1]))
    places = c.tables.get("places", {})
    seen = read_observed(c, c.tables.get("observations"), places, period=period, origin=origin, site=name)
    sought = read_sought(Table(c.path, "sought", c.tables.get("sought", {})), c.model)
    starts = {*(s.name for s in c.model.all_states), *c.model.initial_names} & {*sought.bounds}
    if c.rest is not None and starts:
        raise DataError(f"{c.path}: [sought] {min(starts)} is an initial value, and [initial] steady gives them all")
    site = Site(
        name=name,
        model=c.model,
        times=_with(times, watched((*seen.train, *seen.tuning, *seen.evaluation))),
        forcing=forcing,
        observations=seen.train,
        tuning=seen.tuning,
        bounds=sought.bounds,
        priors=sought.priors,
        logarithmic=sought.logarithmic,
        assemble=sought.assemble,
        fixed={k: v for k, v in tensors(c.parameters).items() if k not in sought.instead},
        initial={k: v for k, v in tensors(c.initial).items() if k not in sought.instead},
        loss=loss,
        warmup=warmup,
        rest=None if c.rest is None else rest_forcing(c, times, forcing),
        settings={
            "engine": c.engine,
            "solver": c.solver,
            "rtol": c.rtol,
            "atol": c.atol,
            # Compiling a basin to C pays for a search; of many cells it would take longer than that.
            "compiled": c.model.graph.cells == 1,
        },
    )
    return Prepared(site, seen.evaluation, origin, c)


def _with(times: Array, further: Array) -> Array:
    """Output times with those at which something was observed, but for rounding."""
    close = ROUNDING * float(np.diff(times).min())
    at = np.searchsorted(times, further).clip(1, len(times) - 1)
    apart = np.minimum(np.abs(further - times[at - 1]), np.abs(further - times[at]))
    return np.union1d(times, further[apart > close])


def _optimiser(t: Table, code: bool) -> tuple[Strategy, Loss, float]:
    known = (*LOSSES, *MISFITS)
    given = t.values.pop("loss", "mean_square")
    t.known.append("loss")
    loss: Loss
    if isinstance(given, str):
        if given not in known:
            raise t.fail("loss", f"must be one of {', '.join(known)}, or a list of terms, got {given!r}")
        loss = given
    elif isinstance(given, list) and given:
        loss = tuple(_term(Table(t.file, f"{t.name}.loss {k + 1}", term), known, code) for k, term in enumerate(given))
    else:
        raise t.fail("loss", f"must be one of {', '.join(known)}, or a list of terms, got {given!r}")
    warmup = t.take("warmup", lambda v: as_within(v, 0, 1e12), "a length of time, 0 or more", 0.0)
    strategy = take_strategy(t, loss)
    t.finish()
    return strategy, loss, warmup


def _term(t: Table, known: Sequence[str], code: bool) -> Term:
    name = t.take("name", as_text, f"one of {', '.join(known)}", None)
    function = t.take("function", as_text, "the name of a function, such as my_package:my_loss", None)
    weight = t.take("weight", lambda v: as_within(v, 1e-300, 1e300), "a positive number", 1.0)
    of = t.take("of", _names, "a list of names of what is observed", ())
    t.finish()
    if (name is None) == (function is None):
        raise t.fail("name", "or function must be given, one of the two")
    if name is not None and name not in known:
        raise t.fail("name", f"must be one of {', '.join(known)}, got {name!r}")
    return Term(name if function is None else _function(t, function, code), weight, of)  # type: ignore[arg-type]


def _function(t: Table, name: str, code: bool) -> Function:
    where = f"{t.file}: [{t.name}] function"
    if ":" not in name:
        raise DataError(f"{where} must be a package and a function, such as my_package:my_loss, got {name!r}")
    found = imported(name, code=code, where=where, folder=t.file.parent)
    if not callable(found):
        raise DataError(f"{where} {name!r} is no function")
    return found


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError
    return tuple(as_text(v) for v in value)


def site_of(calibration: Calibration, name: str | None) -> Site:
    """A site by its name, the first one where there is none.

    Raises:
        InputError: there is none of that name, or it cannot be used.
    """
    sites = calibration.sites
    if name is not None and name not in sites:
        raise InputError(
            f"{calibration.path}: {calibration.failures.get(name, f'has no site {name!r}; there are {[*sites]}')}"
        )
    return (sites[name] if name is not None else next(iter(sites.values()))).site


def site_by_name(path: Path, overrides: Sequence[str], code: bool, name: str) -> Site:
    """A site of a configuration, as a worker makes it from the files that it reads itself."""
    return read_calibration(path, overrides=overrides, code=code, only=name).sites[name].site


def compiled_no_more(site: Site) -> Site:
    """The site for a few solves, for which compiling does not pay."""
    return replace(site, settings={**site.settings, "compiled": False})
