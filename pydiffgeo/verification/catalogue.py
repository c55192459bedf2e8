"""Every problem: where it comes from, what is given, what is compared, and how closely."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import basin_models, infiltration, pollution, soil_exact, soil_losses, soil_weather, stiff, transport
from .problem import Problem, Quantity, quantities

GRID = (
    "the tolerance is about three times the error of the grid, and a fraction of what one percent of conductivity makes"
)
UNITS = {"theta_r": "1", "theta_s": "1", "alpha": "1/m", "n": "1", "K_s": "m/d", "S_s": "1/m", "A_theta": "m^B_theta",
         "B_theta": "1", "A_K": "m^B_K", "B_K": "1", "head": "m", "bottom_head": "m", "flux": "m/d"}  # fmt: skip
STIFF = "errors stay within a hundred times the relative tolerance of 1e-9, and the gap to a wrong rate is far wider"


def _given(*groups: Mapping[str, Any], **more: tuple[Any, str]) -> tuple[Quantity, ...]:
    known = {k: (v, UNITS[k]) for group in groups for k, v in group.items()}
    return quantities(**{**known, **more})


def _soil(
    name: str, title: str, source: str, case: infiltration.Infiltration, compared: str, **more: tuple[Any, str]
) -> Problem:
    return Problem(name, title, source, _given(case.parameters, case.forcing, **more), compared, GRID, "K_s", case.run)


def _system(name: str, title: str, system: stiff.System, sensitive: str, run: Any = None, note: str = "") -> Problem:
    return Problem(
        name, title,
        f"Mazzia and Magherini 2008, Test set for IVP solvers, release 2.4, University of Bari{note}; digits confirmed "
        "with SciPy's Radau method at 1e-12",
        (*(Quantity(k, f"{v:g}", "1") for k, v in system.coefficients.items()), Quantity("end", f"{system.end:g}", system.time_unit)),
        "all components at the end" + (", and the adjoint gradient" if run else ""), STIFF, sensitive, run or system.run,
    )  # fmt: skip


PROBLEMS: dict[str, Problem] = {p.name: p for p in (
    _soil("celia-1", "Infiltration into sand (Celia et al. 1990, problem 1)",
          "Celia, Bouloutas and Zarba 1990, Water Resour. Res. 26, 1483-1496, problem 1; closures of Haverkamp et al. 1977",
          infiltration.CELIA_1, "heads, depth of the front, infiltration and outflow after 360 s",
          initial_head=(-0.615, "m"), depth=(0.4, "m")),
    _soil("celia-2", "Infiltration into dry soil (Celia et al. 1990, problem 2)",
          "Celia, Bouloutas and Zarba 1990, Water Resour. Res. 26, 1483-1496, problem 2; van Genuchten-Mualem closures",
          infiltration.CELIA_2, "heads, depth of the front and infiltration after one day",
          initial_head=(-10.0, "m"), depth=(1.0, "m")),
    _soil("haverkamp-sand", "Constant rain on sand (Haverkamp et al. 1977)",
          "Haverkamp et al. 1977, Soil Sci. Soc. Am. J. 41, 285-294: sand under 13.69 cm/h",
          infiltration.HAVERKAMP, "heads after 0.7 h, depth of the front from 0.1 h to 0.7 h, outflow",
          initial_head=(-0.615, "m"), depth=(0.7, "m")),
    *(
        _soil(f"miller-{soil.replace(' ', '-')}", f"Ponded infiltration into {soil} (Miller et al. 1998)",
              "Miller, Williams, Kelley and Tocci 1998, Water Resour. Res. 34, 2599-2610, table 1",
              case, "infiltration and depth of the front at half time and at the end", initial_head=("depth below the water table", "m"),
              end=(case.times[-1], "d"))
        for soil, case in infiltration.MILLER.items()
    ),
    Problem("srivastava-yeh", "Transient infiltration to a water table (Srivastava and Yeh 1991)",
            "Srivastava and Yeh 1991, Water Resour. Res. 27, 753-762, eqs 9-16: exact series for Gardner's closures",
            quantities(theta_r=(0.06, "1"), theta_s=(0.4, "1"), alpha=(0.1, "1/cm"), K_s=(1.0, "cm/h"), length=(100.0, "cm"),
                       flux_before=(0.1, "cm/h"), flux_after=(0.9, "cm/h")),
            "heads at five heights after 5, 10, 20 and 50 h", GRID, "K_s", soil_exact.srivastava_yeh),
    Problem("linear-soil", "Infiltration into a linear soil (exact)",
            "Philip 1969, Adv. Hydrosci. 5: Gardner's closures make Richards' equation linear, with the solution of Ogata and Banks 1961",
            _given(soil_exact.LINEAR, saturation_before=(0.2, "1"), saturation_at_surface=(0.8, "1")),
            "water content after 1 d and cumulative infiltration", GRID, "K_s", soil_exact.linear_soil),
    Problem("layered-steady", "Steady flow through clay loam over sand",
            "Buckingham-Darcy law integrated upwards from the water table; soils of Carsel and Parrish 1988, table 3",
            (Quantity("clay loam", "0.095, 0.41, 1.9 1/m, 1.31, 0.0624 m/d", "theta_r, theta_s, alpha, n, K_s"),
             Quantity("sand", "0.045, 0.43, 14.5 1/m, 2.68, 7.128 m/d", "theta_r, theta_s, alpha, n, K_s"),
             Quantity("flux", "0.005", "m/d")),
            "head at six depths, and the flux through the base", GRID, "K_s", soil_exact.layered_steady),
    Problem("hydrostatic", "Hydrostatic equilibrium", "no flow means h = -z; van Genuchten 1980, Soil Sci. Soc. Am. J. 44, eq 3",
            _given(soil_exact.LOAM), "heads and water contents 2000 d after a start away from equilibrium",
            "finite volumes hold the equilibrium exactly on any grid: round-off and the tolerance of the solver remain",
            "alpha", soil_exact.hydrostatic),
    Problem("philip-sorptivity", "Sorptivity of loam at early time (Philip 1957)",
            "Philip 1957, Soil Sci. 83, 84; Bruce and Klute 1956, Soil Sci. Soc. Am. Proc. 20: Boltzmann's transform",
            _given(soil_exact.LOAM, initial_head=(-5.0, "m"), head=(-0.1, "m")),
            "coefficient of the square root of time in the infiltration of the first two minutes",
            "error of the grid and of the fitted series; one percent of conductivity changes the sorptivity by half a percent",
            "K_s", soil_exact.philip_sorptivity),
    Problem("green-ampt", "The limit of a sharp front (Green and Ampt 1911)", "Green and Ampt 1911, J. Agric. Sci. 4; drive after Neuman 1976, Water Resour. Res. 12",
            quantities(K_s=(soil_exact.GA_K, "m/d"), drop_of_water_content=(soil_exact.GA_SPAN, "1"), head_of_the_drop=(soil_exact.GA_HEAD, "m"),
                       exponents=(f"{soil_exact.GA_STEEP:g}, {3 * soil_exact.GA_STEEP:g}", "1")),
            "cumulative infiltration at four times",
            "a soil with finite exponents is half a percent away from the limit, which itself is not reached", "K_s", soil_exact.green_ampt),
    Problem("ponding-storm", "A storm that ponds and runs off", "soil of Carsel and Parrish 1988, table 3; no publication",
            _given(soil_weather.LOAM, rain=("0.48 for 3 h", "m/d"), initial_head=(-3.0, "m")),
            "cumulative infiltration and runoff after 1, 2 and 3 h", soil_weather.REASON, "K_s", soil_weather.ponding_storm),
    Problem("ten-years", "Ten years of daily rain (infiltration test of openRE)",
            "parameters of openRE's infiltration test (Ireson et al. 2023, Geosci. Model Dev. 16); rain from a generator",
            _given(soil_weather.TEN_YEARS, initial_head=(-3.59, "m"), depth=(1.5, "m"), cells=(15, "1")),
            "cumulative drainage and storage at the end of each year, on the same cells",
            "same cells, so only the errors of two solvers remain", "K_s", soil_weather.ten_years),
    Problem("bare-soil-evaporation", "Evaporation of bare soil: drying, and from a water table (exact)",
            "Gardner 1958, Soil Sci. 85, 228-232 (steady); for the drying, Gardner's closures with the solution of Ogata and Banks 1961",
            _given(soil_losses.GARDNER, depth_of_water_table=(soil_losses.WATER_TABLE, "m"), saturation_before=(soil_losses.WET, "1")),
            "cumulative evaporation of a wet soil, and rate and heads of steady flow to an air-dry surface", GRID, "K_s",
            soil_losses.bare_soil_evaporation),
    Problem("root-uptake", "Roots above a water table (exact)",
            "Yuan and Lu 2005, Vadose Zone J. 4, 1210-1218: steady flow to exponential roots in Gardner's soil",
            _given(soil_losses.ROOTED, rain=(soil_losses.RAIN, "m/d"), transpiration=(soil_losses.TRANSPIRATION, "m/d"),
                   root_depth=(soil_losses.ROOT_DEPTH, "m")),
            "heads at five depths, uptake, and what rises from the water table", GRID, "alpha", soil_losses.root_uptake),
    Problem("diffusion-raster", "Diffusion on a raster", "Crank 1975, The mathematics of diffusion: a Fourier mode on the unit square",
            quantities(D=(1.0, "m2/d"), end=(0.02, "d")), "concentrations at seven cells", GRID, "D", transport.diffusion_raster),
    Problem("heat-sine", "Heat conduction between two cold ends", "Carslaw and Jaeger 1959, Conduction of heat in solids, section 3.3",
            quantities(conductivity=(0.12, "MJ/m/d/K"), capacity=(2.1, "MJ/m3/K"), length=(1.0, "m")),
            "temperature at four depths and the heat left after 2 d", GRID, "conductivity", transport.heat_sine),
    Problem("heat-periodic", "Daily wave of soil temperature", "Carslaw and Jaeger 1959, Conduction of heat in solids, section 2.6",
            quantities(conductivity=(0.12, "MJ/m/d/K"), capacity=(2.1, "MJ/m3/K"), amplitude=(8.0, "K"), period=(1.0, "d")),
            "temperature at four depths, three times of the third day", GRID, "conductivity", transport.heat_periodic),
    Problem("ogata-banks", "Advection and dispersion of a solute (Ogata and Banks 1961)",
            "Ogata and Banks 1961, US Geological Survey Professional Paper 411-A, eq 26",
            quantities(velocity=(0.1, "m/d"), dispersion=(0.004, "m2/d"), time=(5.0, "d")),
            "concentration at five depths and solute entered", GRID, "velocity", transport.advection_dispersion),
    Problem("linear-reservoir", "A linear reservoir under daily rain", "exact within each day; Nash 1957, IASH Publ. 45",
            quantities(k=(3.5, "d"), initial_storage=(12.0, "mm")), "storage and daily discharge",
            "no grid; a hundred times the relative tolerance of 1e-9 on some ten millimetres", "k", basin_models.linear_reservoir),
    Problem("nash-cascade", "Cascade of four reservoirs (Nash 1957)", "Nash 1957, IASH Publ. 45: the gamma distribution",
            quantities(n=(4, "1"), k=(2.0, "d")), "share of a unit of water that has left", "a hundred times the relative tolerance of 1e-10",
            "k", basin_models.nash_cascade),
    Problem("exphydro", "EXP-HYDRO for three years", "Patil and Stieglitz 2014, Hydrol. Process. 28; Hoege et al. 2022, Hydrol. Earth Syst. Sci. 26",
            quantities(f=(0.017, "1/mm"), S_max=(900.0, "mm"), Q_max=(18.0, "mm/d"), D_f=(2.6, "mm/d/K"), T_max=(0.8, "degC"), T_min=(-1.2, "degC")),
            "stores, runoff and evapotranspiration every thirty days", "no grid; errors of two solvers at 1e-8 and 1e-10", "Q_max", basin_models.exphydro),
    Problem("exphydro-peer", "EXP-HYDRO against a peer implementation", "series of a peer implementation for CAMELS-US basin 13313000 (torchHydroNodes); Newman et al. 2015",
            (Quantity("parameters", "of the peer", "exphydro_parameters_60.csv"),), "daily runoff and evapotranspiration at the peer's own states",
            "the peer's numbers are in single precision; its series themselves are not comparable, since it interpolates the forcing",
            "Q_max", basin_models.exphydro_peer),
    _system("robertson", "Robertson's chemical kinetics", stiff.ROBERTSON, "k2", stiff.robertson),
    _system("van-der-pol", "Van der Pol's oscillator, mu = 1000", stiff.VAN_DER_POL, "mu"),
    _system("hires", "HIRES: high irradiance response of plants", stiff.HIRES, "a", note="; Schaefer 1975"),
    _system("orego", "OREGO: the Oregonator", stiff.OREGO, "w"),
    _system("pollu", "POLLU: air pollution, 20 species", pollution.POLLU, "k1", note="; Verwer 1994, SIAM J. Sci. Comput. 15"),
)}  # fmt: skip
