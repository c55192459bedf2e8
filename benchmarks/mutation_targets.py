"""Where mistakes are made, which test files are to notice them, which mistakes are always made, and what may go unnoticed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """`scopes`: functions and constants of a file, and how many mutants each gets. `tests`: files, or tests, about it."""

    tests: tuple[str, ...]
    scopes: Mapping[str, int]


def _each(count: int, names: str) -> dict[str, int]:
    return dict.fromkeys(names.split(), count)


def _of(file: str, *tests: str) -> tuple[str, ...]:
    return tuple(f"{file}::test_{test}" for test in tests)


def _beside(file: str) -> str:
    """The test file that lies in the tests as the file does in the package."""
    folder, _, name = file.rpartition("/")
    return f"{folder}/test_{name}".lstrip("/")


SCOPES: dict[str, dict[str, int]] = {
    "processes/soil/retention.py": {
        **_each(2, "_extend_head"),
        **_each(3, "_vg_curves _vg_head_and_conductivity _extend_water_content"),
        **_each(1, "_saturation _vg_water_content _gardner_head_and_conductivity _gardner_water_content"),
        **_each(1, "_gardner_conductivity _haverkamp_curve _haverkamp_water_content _haverkamp_conductivity"),
        **_each(1, "_brooks_corey_curve _brooks_corey_head_and_conductivity _brooks_corey_water_content"),
    },
    "processes/soil/drainage.py": _each(2, "_free_drainage _given_head _given_flux _seepage_face"),
    "processes/soil/faces.py": _each(2, "_shares _arithmetic _geometric _upstream _harmonic"),
    "processes/soil/roots.py": _each(2, "Stress.uptake _s_shape _feddes with_roots"),
    "processes/soil/surface.py": {
        **_each(2, "infiltration_capacity given_head"),
        **{"evaporation_supply": 3, "given_flux": 1, "atmosphere": 4},
    },
    "models/richards.py": {"RichardsColumn.darcy": 2, "_water_content": 1},
    "models/exphydro.py": {"_source": 4},
    "processes/smoothing.py": _each(2, "smooth_step smooth_minimum withdrawal smooth_ramp"),
    "processes/snow.py": _each(2, "partition degree_day_melt"),
    "processes/evaporation.py": {"hamon": 3, "from_store": 2},
    "processes/reservoir.py": {"linear": 1, "exponential_base_flow": 2, "overflow": 2},
    "processes/heat.py": _each(2, "conduction conduction_from"),
    "processes/solute.py": _each(2, "diffusion carried fitted inflow"),
    "losses/measures.py": {
        **_each(1, "Measure.badness mse bias percent_bias log_nse heteroscedastic_log_likelihood"),
        **_each(2, "kge_components _from_components gaussian_log_likelihood"),
    },
    "losses/masked.py": _each(1, "mean efficiency ratio root flows"),
    "losses/flow_duration.py": _each(2, "fhv fms flv _duration_curves _exceeded"),
    "calibration/objective.py": {
        **_each(2, "Prior.deviation residuals with_priors"),
        **{"squares_with_priors": 3, "least": 1, "gains": 1},
    },
    "calibration/uncertainty.py": {"covariance": 4, "_freedom": 2},
    "calibration/site.py": _each(1, "Site.seen Site.coarse Site.standard_errors"),
    "calibration/record.py": _each(1, "after_warmup between"),
    "calibration/least_squares.py": _each(2, "GaussNewton._step GaussNewton._member"),
    "hydrology/scores.py": {"_prediction": 1},
    "observe/operators.py": {**_each(1, "values_at flux_means"), **_each(2, "flux_sums depth_weights _place")},
    "observe/observation.py": _each(1, "misfit _mean_square"),
    "baselines/series.py": {
        **_each(2, "Climatology.fit LinearRegression.fit _design compare"),
        **_each(1, "Persistence.predict LinearRegression.predict"),
    },
    "days.py": {"days_of_year": 1},
    "hydrology/years.py": {"even_years": 2, "_variance": 1, "_years": 1},
    "transforms.py": _each(2, "Bounded.forward Bounded.inverse"),
    "engines/sundials/rosenbrock.py": {
        **_each(1, "GAMMA TIMES D"),
        **_each(2, "A C Rosenbrock.__init__ Rosenbrock._march"),
    },
    "nn/train.py": _each(1, "_Run._worker _Run._averaged _Run._batch _Run._loss _Run._noise"),
    "nn/quadratic_surrogate.py": {
        **_each(1, "scaled_error measured QuadraticSurrogate.__call__"),
        "quadratic_surrogate": 2,
    },
    "nn/scaling.py": _each(
        1, "Standardise.fit Standardise.forward NormalScores.fit NormalScores.forward NormalScores._place"
    ),
    "hydrology/basin.py": {"daylength": 4},
    "io/units.py": _each(1, "convert _base _is_water"),
    "hydrology/data/quantities.py": {},
    "hydrology/data/assemble.py": _each(1, "NANOSECONDS periods_of _in_unit"),
    "io/packed.py": _each(1, "meant equal _outside"),
    "hydrology/data/camels.py": {"_runoff": 1},
    "io/solutions.py": {"as_dates": 2},
}

POSTERIOR = _of(
    "calibration/test_priors.py",
    "standard_errors_of_a_line_are_those_of_least_squares",
    "what_its_prior_alone_knows_has_the_spread_of_the_prior",
    "the_covariance_is_that_of_the_posterior_whose_errors_are_estimated",
    "what_observations_do_not_tell_is_told_by_a_prior",
    "what_gains_are_measured_by_does_not_depend_on_the_unit",
    "modes_and_standard_errors_with_priors_are_those_of_the_posterior",
    "standard_errors_that_cannot_be_told_are_refused",
)
MODES = _of(
    "calibration/test_priors.py",
    "the_best_value_is_the_mode_of_its_posterior_in_any_unit",
    "every_method_finds_the_mode_from_far_away_under_a_narrow_prior",
)
LOSS = _of(
    "calibration/test_site.py",
    "residuals_are_those_of_the_loss",
    "losses_of_both_ways_to_differentiate_agree",
    "gradients_of_every_kind_of_loss_are_those_of_differences",
)
LOGARITHM = _of("nn/test_train.py", "the_logarithm_of_the_error_is_taken_of_each_site")
STEPS = _of(
    "nn/test_train.py",
    "steps_are_those_of_adamw_at_a_rate_that_falls_along_a_cosine",
    "the_logarithm_of_the_error_is_taken_of_each_site",
    "noise_is_in_units_of_each_attribute",
    "noise_is_normal_with_the_spread_given",
    "weights_are_averaged_over_the_steps",
    "days_held_back_choose_the_weights",
)
PARABOLAS = _of("nn/test_quadratic_surrogate.py", "quadratic_surrogates_touch_the_loss")
BASELINES = (
    *_of("baselines/test_series.py", "persistence_begins_on_the_day_after_the_first_that_was_seen"),
    *_of("hydrology/test_scores.py", "the_regression_that_a_model_has_to_beat_knows_the_three_days_before"),
)
COLUMN = tuple(f"processes/soil/test_{name}.py" for name in ("faces", "surface", "roots", "drainage"))
RANGES = "models/test_richards.py"


def _in_column(file: str, *more: str) -> tuple[str, ...]:
    """The test file beside it, then those of the other processes of a soil column, which it takes part in."""
    return tuple(dict.fromkeys([_beside(file), *COLUMN, *more]))


# Of files that are noticed by other tests than those beside them, or by more.
TESTS: dict[str, tuple[str, ...]] = {
    "processes/soil/drainage.py": _in_column("processes/soil/drainage.py", RANGES),
    "processes/soil/faces.py": _in_column("processes/soil/faces.py"),
    "processes/soil/roots.py": _in_column("processes/soil/roots.py"),
    "processes/soil/surface.py": _in_column("processes/soil/surface.py", RANGES),
    "models/richards.py": (*COLUMN, RANGES),
    "losses/masked.py": ("losses/test_measures.py",),
    "losses/flow_duration.py": ("losses/test_flow_duration.py", "losses/test_measures.py"),
    "calibration/objective.py": (*LOSS, *POSTERIOR, *MODES),
    "calibration/uncertainty.py": POSTERIOR,
    "calibration/site.py": (*POSTERIOR[:1], "calibration/test_warmup.py"),
    "calibration/record.py": ("calibration/test_warmup.py",),
    "calibration/least_squares.py": ("calibration/test_search.py",),
    "hydrology/scores.py": ("hydrology/calibrate/test_result_file.py", *BASELINES),
    "engines/sundials/rosenbrock.py": ("engines/sundials/test_rosenbrock.py", "engines/test_fallback.py"),
    "nn/train.py": STEPS,
    "nn/quadratic_surrogate.py": (*PARABOLAS, *LOGARITHM),
    "nn/scaling.py": ("nn/test_network.py",),
    "io/units.py": ("io/test_units.py", "hydrology/data/test_cf.py"),
    "hydrology/data/quantities.py": ("hydrology/data/test_cf.py", "hydrology/data/test_basin_series.py"),
    "hydrology/data/assemble.py": (
        *("hydrology/data/test_cf.py", "hydrology/data/test_basin_series.py"),
        *("hydrology/data/test_text_files.py", "io/test_dates.py"),
    ),
    "hydrology/data/camels.py": ("hydrology/data/test_camels.py", "hydrology/data/test_text_files.py"),
    "io/solutions.py": ("io/test_results.py",),
}
TARGETS = {file: Target(TESTS.get(file, (_beside(file),)), scopes) for file, scopes in SCOPES.items()}

# Files whose mistakes are drawn by a name they had before, so that a move does not draw others.
DRAWN_AS = {
    "observe/operators.py": "observe.py",
    "observe/observation.py": "observe.py",
    "processes/soil/retention.py": "closures.py",
    "processes/soil/drainage.py": "models/base.py",
    "processes/soil/faces.py": "models/faces.py",
    "processes/soil/roots.py": "models/roots.py",
    "processes/soil/surface.py": "models/surface.py",
    "losses/measures.py": "losses.py",
    "losses/masked.py": "pairs.py",
    "losses/flow_duration.py": "flow_duration.py",
    "hydrology/years.py": "years.py",
    "hydrology/scores.py": "calibration/scores.py",
    "baselines/series.py": "baselines.py",
    "nn/quadratic_surrogate.py": "nn/parabola.py",
    "hydrology/basin.py": "basin.py",
    "hydrology/data/quantities.py": "io/quantities.py",
    "hydrology/data/assemble.py": "io/series.py",
    "hydrology/data/camels.py": "io/camels.py",
    "engines/sundials/rosenbrock.py": "engines/rosenbrock.py",
}

WEIGHT, STEP_WEIGHT = "total = observed / p *", "weight = 0.5 * observed /"
# File, name -> what stands there once, and the mistake. Most of these went unnoticed by all tests at some time.
MISTAKES: dict[str, dict[str, tuple[str, str]]] = {
    "processes/soil/roots.py": {
        "root uptake: exponent + 1": ("** cell.p_50)", "** (cell.p_50 + 1))"),
        "root uptake: suction x 2": ("torch.clamp(-cell.head, min=1e-9)", "torch.clamp(-2 * cell.head, min=1e-9)"),
    },
    "processes/soil/surface.py": {
        "bare soil: suction x 2": ("suction = torch.clamp(-head,", "suction = torch.clamp(-2 * head,"),
        "bare soil: sign of gravity": (
            "conductivity / (torch.exp(face.distance / torch.clamp(length, min=face.distance / 50.0)) - 1.0)",
            "conductivity / (1.0 - torch.exp(-face.distance / torch.clamp(length, min=face.distance / 50.0)))",
        ),
        "surface: capacity with K_s alone": ("0.5 * (conductivity + cell.K_s) *", "cell.K_s *"),
    },
    "processes/soil/faces.py": {
        "faces: geometric mean x 1.05": ("torch.sqrt(a * b) *", "1.05 * torch.sqrt(a * b) *"),
        "faces: upstream and downstream exchanged": ("gradient > 0.0", "gradient < 0.0"),
        "faces: saturated layers not weighted by thickness": (
            "series = (left.thickness + right.thickness) / (left.thickness * right.K_s + right.thickness * left.K_s)",
            "series = 2.0 / (right.K_s + left.K_s)",
        ),
    },
    "models/richards.py": {
        "bare soil: air-dry at -15 m": ("air_dry: float = -150.0", "air_dry: float = -15.0"),
        "column: sign of gravity between cells": ("/ face.distance + 1.0", "/ face.distance - 1.0"),
    },
    "calibration/uncertainty.py": {
        "standard errors: Gaussian x sqrt 2": ("2 * data + prior", "data + prior"),
        "standard errors: degrees of freedom n": ("return observed * (low + high) / 2", "return float(observed)"),
    },
    "calibration/objective.py": {
        "priors: weight x 1/2 in mean_square": (
            WEIGHT,
            'total = (2 if name == "mean_square" else 1) * observed / p *',
        ),
        "priors: weight x 10 in nse": (WEIGHT, 'total = (0.1 if name == "nse" else 1) * observed / p *'),
        "priors: weight x 1/2 in Gauss-Newton steps of mean_square": (
            STEP_WEIGHT,
            'weight = (1.0 if name == "mean_square" else 0.5) * observed /',
        ),
        "priors: weight x 10 in Gauss-Newton steps of nse": (
            STEP_WEIGHT,
            'weight = (0.05 if name == "nse" else 0.5) * observed /',
        ),
    },
    "nn/train.py": {
        "training: learning rate does not fall": ("0.55 + 0.45 * np.cos(np.pi * now.step / plan.steps)", "1.0"),
        "training: no average": ("kept = min(self.training.average, done / (done + 9))", "kept = 0.0"),
    },
    "engines/sundials/rosenbrock.py": {
        "Rodas5P: a stage time": ("0.4095798393397535", "0.4595798393397535"),
        "Rodas5P: no trend in time": (" + h * d * ca.densify(trend)", ""),
    },
    "io/solutions.py": {
        "results: hours of 360 s": ('"h": 3600', '"h": 360'),
        "results: minutes of 100 s": ('"min": 60', '"min": 100'),
    },
    "hydrology/data/assemble.py": {
        "runoff: cubic metres on hectares": ("areas[:, None] / 1000", "areas[:, None] / 10"),
    },
    "hydrology/scores.py": {"baselines: regression without lags": ("lags=3", "lags=0")},
    "baselines/series.py": {
        "baselines: regression on lags of the future": (
            "np.concatenate([np.full(min(lag, n), np.nan), series[name][: max(n - lag, 0)]])",
            "np.concatenate([series[name][min(lag, n) :], np.full(min(lag, n), np.nan)])",
        ),
    },
    "hydrology/basin.py": {
        "day length x 1.1": (
            "return 24 - 24 / np.pi * np.arccos(np.clip(cosine, -1.0, 1.0))",
            "return 1.1 * (24 - 24 / np.pi * np.arccos(np.clip(cosine, -1.0, 1.0)))",
        ),
    },
    "io/units.py": {"units: density of water x 1.1": ("WATER_DENSITY = 1000.0", "WATER_DENSITY = 1100.0")},
    "hydrology/data/quantities.py": {
        "quantities: precipitation in cm/d": ('"mm d-1", "precipitation"', '"cm d-1", "precipitation"'),
        "quantities: snow in metres": ('"mm", "water equivalent', '"m", "water equivalent'),
        "quantities: day length in minutes": ('"h", "time from sunrise', '"min", "time from sunrise'),
    },
}
NAMED = [(name, file, *change) for file, changes in MISTAKES.items() for name, change in changes.items()]

# Of survivors: why no test can or need notice.
REASONS: dict[str, str] = {
    "losses/measures.py Measure.badness: value - best -> value + best": (
        "all measures of which less is better are zero at best"
    ),
    "losses/flow_duration.py _duration_curves: floor / 2 -> floor": (
        "what is missing stays behind the others, or equals the last"
    ),
    "baselines/series.py LinearRegression.predict: 1.0 -> 1.1": ("fills gaps of the column of ones, which has none"),
}
