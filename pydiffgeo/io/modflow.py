"""Groundwater models of MODFLOW 6, read by flopy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from ..arrays import Array, Indices, Mask
from ..errors import DataError, MissingPackageError
from ..model import Model, raster
from ..models import Aquifer
from ..models.aquifer import Kind
from .modflow_packages import LISTS, Package, stress_of
from .opening import check_path

STRESSES = {*LISTS, "rch", "rcha", "evt", "evta"}
# Packages without an effect on heads.
SILENT = {"oc", "obs", "ts", "dis", "npf", "sto", "ic", "nam", "gwf"}
AVERAGING = {None: "harmonic", "logarithmic": "logarithmic", "amt-lmk": "amt-lmk", "amt-hmk": "amt-hmk"}
LENGTHS, TIMES = (
    {"feet": "ft", "meters": "m", "centimeters": "cm"},
    {"seconds": "s", "minutes": "min", "hours": "h", "days": "d", "years": "a"},
)


@dataclass(frozen=True, eq=False)
class ModflowAquifer:
    """What MODFLOW's input makes of an aquifer, ready for `dg.groundwater.steady` and `dg.solve`.

    Attributes:
        parameters: name -> field `(layers, rows, columns)`, or `(places,)` of a boundary.
        initial: the starting heads.
        times: ends of the stress periods, from zero on, `(periods + 1,)`.
        forcing: name -> `(periods, places)`.
        steady: which periods are steady.

    `dg.groundwater.steady(m.model, m.parameters, forcing=m.period(0), initial=m.initial)` is the first period; `dg.solve(m.model,
    m.parameters, forcing=m.forcing, times=m.times, initial=m.initial)` all of them, transient. After a steady period,
    `m.after(1)` has the others.
    """

    model: Model
    parameters: Mapping[str, Array]
    initial: Mapping[str, Array]
    times: Array
    forcing: Mapping[str, Array]
    steady: tuple[bool, ...]

    def period(self, number: int) -> Mapping[str, Array]:
        """The forcings of one period, `(places,)`."""
        return {name: values[number] for name, values in self.forcing.items()}

    def after(self, number: int) -> ModflowAquifer:
        """The same from a period on, counted from zero."""
        forcing = {name: values[number:] for name, values in self.forcing.items()}
        return ModflowAquifer(
            self.model, self.parameters, self.initial, self.times[number:], forcing, self.steady[number:]
        )


def open_modflow(folder: str | Path) -> ModflowAquifer:
    """The groundwater flow model in a folder of MODFLOW 6 (`mfsim.nam`), as an `Aquifer`.

    Read are DIS, NPF, STO, IC, CHD, GHB, RIV, DRN, WEL, RCH and EVT (lists or arrays); OC and OBS have no effect. Newton's
    formulation becomes `upstream=True`, VARIABLECV `vertical="saturated"`, with DEWATERED "dewatered". What differs from MODFLOW: elastic storage
    below a water table is left out, time steps are those of the solver, and a well that is not reduced ends with the last
    hundredth of the water of its cell.

    Raises:
        MissingPackageError: flopy is not installed (`pip install pydiffgeo[modflow]`).
        DataError: the folder cannot be read, or asks for what is not supported; names it.
    """
    folder = check_path(folder)
    try:
        from flopy.mf6 import MFSimulation
    except ImportError as error:
        raise MissingPackageError(
            f"{folder}: reading MODFLOW needs the package flopy: pip install 'pydiffgeo[modflow]'"
        ) from error
    if not (folder / "mfsim.nam").is_file():
        raise DataError(f"{folder}: no file mfsim.nam, which lists the models of a simulation of MODFLOW 6")
    try:
        simulation: Any = MFSimulation.load(sim_ws=str(folder), verbosity_level=0)
        names = [*simulation.model_names]
        model: Any = simulation.get_model(names[0]) if names else None
    # Flopy raises kinds of its own, and what Python does where a file is cut off.
    except Exception as error:
        raise DataError(f"{folder}: flopy cannot read it ({error})") from error
    if len(names) != 1 or model.model_type != "gwf6":
        raise DataError(f"{folder}: it needs one model of groundwater flow (gwf6), got {names}")
    try:
        return _Reader(folder, simulation, model).read()
    except DataError as error:
        raise DataError(f"{folder}: {error}") from error


class _Reader:
    """What is read of one model, step by step."""

    def __init__(self, folder: Path, simulation: Any, model: Any) -> None:
        self.simulation, self.model = simulation, model
        self.packages: dict[str, Package] = {p.package_type: p for p in model.packagelist}
        for needed in ("dis", "npf", "ic"):
            if needed not in self.packages:
                raise DataError(f"package {needed.upper()} is missing")
        for package in model.packagelist:
            kind = package.package_type
            if kind not in STRESSES | SILENT:
                raise DataError(f"package {kind.upper()} ({package.package_name!r}) is not supported")
        self.shape = tuple(
            int(n) for n in (model.dis.nlay.get_data(), model.dis.nrow.get_data(), model.dis.ncol.get_data())
        )

    def read(self) -> ModflowAquifer:
        dis, tdis = self.model.dis, self.simulation.tdis
        lengths = np.array([float(p[0]) for p in tdis.perioddata.get_data()])
        top, bottom, domain = self._geometry()
        active = domain > 0
        ceiling = np.concatenate([top[None], bottom[:-1]])
        grid = raster(
            self.shape,
            (np.asarray(dis.delc.get_data(), float), np.asarray(dis.delr.get_data(), float)),
            active=active,
            layers=ceiling - bottom,
        )
        kinds, convertible = self._kinds(active)
        newton = self._option(self.model.name_file, "newtonoptions") is not None
        steady = self._steady(len(lengths))
        fixed = newton or self.shape[0] == 1 or not convertible
        stresses = [
            stress_of(p, p.package_type, len(lengths), fixed)
            for p in self.model.packagelist
            if p.package_type in STRESSES
        ]
        model = Aquifer(
            grid,
            kinds,
            top=top,
            boundaries=[s.condition for s in stresses],
            mean=self._mean(),
            upstream=newton,
            vertical=self._vertical(),
            pinched=domain < 0 if (domain < 0).any() else None,
            perched=bool(self._option(self.model.npf, "perched")),
            units=self._units(),
        )
        parameters = {**self._conductivity(), **self._storage(convertible, all(steady))}
        parameters = {k: v for k, v in parameters.items() if k in {p.name for p in model.parameters}}
        return ModflowAquifer(
            model,
            parameters | _of_places(model, [(s.condition.name, s.parameters) for s in stresses]),
            {"head": self._field(self.model.ic.strt)},
            np.concatenate([[0.0], np.cumsum(lengths)]),
            _of_places(model, [(s.condition.name, s.forcing) for s in stresses]),
            steady,
        )

    def _option(self, package: Package, name: str) -> Any:
        data = getattr(package, name, None)
        value = None if data is None else data.get_data()
        return None if value is False else value

    def _field(self, data: Any) -> Array:
        return np.array(np.broadcast_to(np.asarray(data.get_data(), np.float64), self.shape))

    def _geometry(self) -> tuple[Array, Array, Indices]:
        dis = self.model.dis
        domain = dis.idomain.get_data()
        domain = np.ones(self.shape, int) if domain is None else np.broadcast_to(domain, self.shape)
        return np.asarray(dis.top.get_data(), float), self._field(dis.botm), np.asarray(domain)

    def _kinds(self, active: Mask) -> tuple[list[Kind], bool]:
        """The kind of each layer, and whether any is convertible."""
        types = self._field(self.model.npf.icelltype)
        found = list[str]()
        for layer, inside in zip(types, active, strict=True):
            own = {*np.unique(layer[inside]).tolist()} or {0.0}
            if len({t > 0 for t in own}) > 1 or min(own) < 0:
                raise DataError(
                    f"package NPF: icelltype {sorted(own)} in layer {len(found) + 1}; a layer is supported where it is all "
                    "confined (0), or all convertible (above 0)"
                )
            found.append("convertible" if max(own) > 0 else "confined")
        return [cast(Kind, kind) for kind in found], "convertible" in found

    def _mean(self) -> Any:
        npf = self.model.npf
        for option in ("rewet_record", "xt3doptions", "thickstrt", "highest_cell_saturation"):
            if self._option(npf, option) is not None:
                raise DataError(f"package NPF: option {option} is not supported")
        for angle in ("angle1", "angle2", "angle3"):
            values = getattr(npf, angle).get_data()
            if values is not None and np.any(np.asarray(values) != 0):
                raise DataError(f"package NPF: {angle}, anisotropy at an angle to the grid, is not supported")
        given = self._option(npf, "alternative_cell_averaging")
        name = None if given is None else str(given).lower()
        if name not in AVERAGING:
            raise DataError(f"package NPF: averaging {given!r} is not supported; known are {[*AVERAGING][1:]}")
        return AVERAGING[name]

    def _vertical(self) -> Any:
        options = self._option(self.model.npf, "cvoptions")
        words = [str(w).lower() for row in (options if options is not None else ()) for w in row]
        if any("dewatered" in w for w in words):
            return "dewatered"
        return "saturated" if words else "constant"

    def _conductivity(self) -> dict[str, Array]:
        npf = self.model.npf
        K = self._field(npf.k)

        def ratio(name: str) -> Array:
            data = getattr(npf, name)
            if data.get_data() is None:
                return np.ones(self.shape)
            return self._field(data) / (1.0 if self._option(npf, f"{name}overk") else K)

        return {"K": K, "horizontal_anisotropy": ratio("k22"), "vertical_anisotropy": ratio("k33")}

    def _storage(self, convertible: bool, steady: bool) -> dict[str, Array]:
        if steady:  # storage has no effect
            return {}
        sto = self.packages["sto"]
        converts = self._field(sto.iconvert) > 0
        if (converts != (self._field(self.model.npf.icelltype) > 0)).any():
            raise DataError("package STO: iconvert differs from icelltype of NPF, which is not supported")
        found = {"S_s": self._field(sto.ss)}
        if self._option(sto, "storagecoefficient"):
            top, bottom, _ = self._geometry()
            found["S_s"] = found["S_s"] / (np.concatenate([top[None], bottom[:-1]]) - bottom)
        return found | ({"S_y": self._field(sto.sy)} if convertible else {})

    def _steady(self, periods: int) -> tuple[bool, ...]:
        """Whether each period is steady: without storage all are; with it, transient unless it says otherwise."""
        if "sto" not in self.packages:
            return (True,) * periods
        found, last = list[bool](), False
        for period in range(periods):
            if self.packages["sto"].steady_state.get_data(period):
                last = True
            elif self.packages["sto"].transient.get_data(period):
                last = False
            found.append(last)
        return tuple(found)

    def _units(self) -> tuple[str, str]:
        length, time = (
            self._option(p, n) for p, n in ((self.model.dis, "length_units"), (self.simulation.tdis, "time_units"))
        )
        return LENGTHS.get(str(length).lower(), "m"), TIMES.get(str(time).lower(), "d")


def _of_places(model: Model, given: list[tuple[str, Mapping[str, Array]]]) -> dict[str, Array]:
    """Values of the places of boundaries: of fields `(..., rows, columns)`, those at their cells."""
    cells = {b.name: np.array(b.cells) for b in model.boundaries}
    row, column = (model.graph.cell[k].astype(int) for k in ("row", "column"))
    found = dict[str, Array]()
    for name, values in given:
        at = cells[name]
        found |= {
            k: v[..., row[at], column[at]] if v.shape[-2:] == (model.graph.shape or ())[-2:] else v
            for k, v in values.items()
        }
    return found
