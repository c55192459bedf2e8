"""Where mistakes are made, which test files are to notice them, which mistakes are always made, and what may go unnoticed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """`scopes`: functions and constants of a file, and how many mutants each gets. `tests`: files, or tests, about it."""

    tests: tuple[str, ...]
    scopes: Mapping[str, int]


def _each(count: int, *names: str) -> dict[str, int]:
    return dict.fromkeys(names, count)


def _of(file: str, *tests: str) -> tuple[str, ...]:
    return tuple(f"{file}::test_{test}" for test in tests)


POSTERIOR = _of(
    "test_priors.py",
    "standard_errors_of_a_line_are_those_of_least_squares",
    "what_its_prior_alone_knows_has_the_spread_of_the_prior",
    "the_covariance_is_that_of_the_posterior_whose_errors_are_estimated",
    "what_observations_do_not_tell_is_told_by_a_prior",
    "what_gains_are_measured_by_does_not_depend_on_the_unit",
    "modes_and_standard_errors_with_priors_are_those_of_the_posterior",
    "standard_errors_that_cannot_be_told_are_refused",
)
LOSS = _of(
    "test_sites.py",
    "residuals_are_those_of_the_loss",
    "losses_of_both_ways_to_differentiate_agree",
    "gradients_of_every_kind_of_loss_are_those_of_differences",
)
STEPS = _of(
    "test_training.py",
    "steps_are_those_of_adamw_at_a_rate_that_falls_along_a_cosine",
    "the_logarithm_of_the_error_is_taken_of_each_site",
    "noise_is_in_units_of_each_attribute",
    "noise_is_normal_with_the_spread_given",
    "weights_are_averaged_over_the_steps",
    "days_held_back_choose_the_weights",
)
PARABOLAS = _of(
    "test_training.py", "quadratic_surrogates_touch_the_loss", "the_logarithm_of_the_error_is_taken_of_each_site"
)
SOIL = ("test_soil_rates.py", "test_soil_ranges.py")
TARGETS: dict[str, Target] = {
    "processes/soil/retention.py": Target(
        ("test_closures.py",),
        {
            **_each(2, "_extend_head"),
            **_each(3, "_vg_curves", "_vg_head_and_conductivity", "_extend_water_content"),
            **_each(
                1,
                "_saturation",
                "_vg_water_content",
                "_gardner_head_and_conductivity",
                "_gardner_water_content",
                "_gardner_conductivity",
                "_haverkamp_curve",
                "_haverkamp_water_content",
                "_haverkamp_conductivity",
                "_brooks_corey_curve",
                "_brooks_corey_head_and_conductivity",
                "_brooks_corey_water_content",
            ),
        },
    ),
    "processes/soil/drainage.py": Target(
        SOIL, _each(2, "_free_drainage", "_given_head", "_given_flux", "_seepage_face")
    ),
    "processes/soil/faces.py": Target(
        SOIL[:1], _each(2, "_shares", "_arithmetic", "_geometric", "_upstream", "_harmonic")
    ),
    "processes/soil/roots.py": Target(SOIL[:1], _each(2, "Stress.uptake", "_s_shape", "_feddes", "with_roots")),
    "processes/soil/surface.py": Target(
        SOIL, {"infiltration_capacity": 2, "evaporation_supply": 3, "given_flux": 1, "given_head": 2, "atmosphere": 4}
    ),
    "models/richards.py": Target(SOIL, {"RichardsColumn.darcy": 2, "_water_content": 1}),
    "models/exphydro.py": Target(("test_exphydro.py",), {"_source": 4}),
    "processes/smoothing.py": Target(
        ("processes/test_smoothing.py",), _each(2, "smooth_step", "smooth_minimum", "withdrawal", "smooth_ramp")
    ),
    "processes/snow.py": Target(("processes/test_snow.py",), _each(2, "partition", "degree_day_melt")),
    "processes/evaporation.py": Target(("processes/test_evaporation.py",), {"hamon": 3, "from_store": 2}),
    "processes/reservoir.py": Target(
        ("processes/test_reservoir.py",), {"linear": 1, "exponential_base_flow": 2, "overflow": 2}
    ),
    "processes/heat.py": Target(("processes/test_heat.py",), _each(2, "conduction", "conduction_from")),
    "processes/solute.py": Target(
        ("processes/test_solute.py",), _each(2, "diffusion", "advection_dispersion", "inflow")
    ),
    "losses/measures.py": Target(
        ("test_losses.py",),
        {
            **_each(1, "Measure.badness", "mse", "bias", "percent_bias", "log_nse", "heteroscedastic_log_likelihood"),
            **_each(2, "kge_components", "_from_components", "gaussian_log_likelihood"),
        },
    ),
    "losses/masked.py": Target(("test_losses.py",), _each(1, "mean", "efficiency", "ratio", "root", "flows")),
    "losses/flow_duration.py": Target(
        ("test_losses.py",), _each(2, "fhv", "fms", "flv", "_duration_curves", "_exceeded")
    ),
    "calibration/objective.py": Target(
        (
            *LOSS,
            *POSTERIOR,
            *_of(
                "test_priors.py",
                "the_best_value_is_the_mode_of_its_posterior_in_any_unit",
                "every_method_finds_the_mode_from_far_away_under_a_narrow_prior",
            ),
        ),
        {**_each(2, "Prior.deviation", "residuals", "with_priors"), "squares_with_priors": 3, "least": 1, "gains": 1},
    ),
    "calibration/uncertainty.py": Target(POSTERIOR, {"covariance": 4, "_freedom": 2}),
    "calibration/site.py": Target(
        (*POSTERIOR[:1], "test_warmup.py"), _each(1, "Site.seen", "Site.coarse", "Site.standard_errors")
    ),
    "calibration/record.py": Target(("test_warmup.py",), _each(1, "after_warmup", "between")),
    "calibration/least_squares.py": Target(("test_search.py",), {"GaussNewton._step": 2, "GaussNewton._member": 2}),
    "hydrology/scores.py": Target(
        (
            "test_calibration_results.py",
            *_of("test_baselines.py", "persistence_begins_on_the_day_after_the_first_that_was_seen"),
            *_of("test_warmup.py", "the_regression_that_a_model_has_to_beat_knows_the_three_days_before"),
        ),
        {"_prediction": 1},
    ),
    "observe/operators.py": Target(
        ("test_observe.py",),
        {**_each(1, "values_at", "flux_means"), **_each(2, "flux_sums", "depth_weights", "_place")},
    ),
    "observe/observation.py": Target(("test_observe.py",), _each(1, "misfit", "_mean_square")),
    "hydrology/baselines.py": Target(
        ("test_baselines.py",),
        {
            **_each(2, "Climatology.fit", "LinearRegression.fit", "_design", "compare"),
            **_each(1, "Persistence.predict", "LinearRegression.predict", "_days_of_year"),
        },
    ),
    "hydrology/years.py": Target(("test_years.py",), {"even_years": 2, "_variance": 1, "_years": 1}),
    "transforms.py": Target(("test_transforms.py",), _each(2, "Bounded.forward", "Bounded.inverse")),
    "engines/sundials/rosenbrock.py": Target(
        ("test_rosenbrock.py", "test_fallbacks.py"),
        {**_each(1, "GAMMA", "TIMES", "D"), **_each(2, "A", "C", "Rosenbrock.__init__", "Rosenbrock._march")},
    ),
    "nn/train.py": Target(
        STEPS, _each(1, "_Run._worker", "_Run._averaged", "_Run._batch", "_Run._loss", "_Run._noise")
    ),
    "nn/quadratic_surrogate.py": Target(
        PARABOLAS, {**_each(1, "scaled_error", "measured", "QuadraticSurrogate.__call__"), "quadratic_surrogate": 2}
    ),
    "nn/scaling.py": Target(
        ("test_nn.py",),
        _each(
            1,
            "Standardise.fit",
            "Standardise.forward",
            "NormalScores.fit",
            "NormalScores.forward",
            "NormalScores._place",
        ),
    ),
    "hydrology/basin.py": Target(("test_io.py",), {"daylength": 4}),
    "io/units.py": Target(("test_io_units.py", "test_io_cf.py"), _each(1, "convert", "_base", "_is_water")),
    "hydrology/data/quantities.py": Target(("test_io_cf.py", "test_io.py"), {}),
    "hydrology/data/assemble.py": Target(
        ("test_io_cf.py", "test_io.py", "test_io_days.py"), _each(1, "NANOSECONDS", "periods_of", "_in_unit")
    ),
    "io/packed.py": Target(("test_io_packed.py",), _each(1, "meant", "equal", "_outside")),
    "hydrology/data/camels.py": Target(("test_io_folders.py", "test_io.py"), {"_runoff": 1}),
    "io/solutions.py": Target(("test_io_results.py",), {"as_dates": 2}),
}

# Name, file, what stands there once, and the mistake. Most of these went unnoticed by all tests at some time.
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
    "hydrology/baselines.py": "baselines.py",
    "nn/quadratic_surrogate.py": "nn/parabola.py",
    "hydrology/basin.py": "basin.py",
    "hydrology/data/quantities.py": "io/quantities.py",
    "hydrology/data/assemble.py": "io/series.py",
    "hydrology/data/camels.py": "io/camels.py",
    "engines/sundials/rosenbrock.py": "engines/rosenbrock.py",
}

NAMED = (
    ("root uptake: exponent + 1", "processes/soil/roots.py", "** cell.p_50)", "** (cell.p_50 + 1))"),
    (
        "root uptake: suction x 2",
        "processes/soil/roots.py",
        "torch.clamp(-cell.head, min=1e-9)",
        "torch.clamp(-2 * cell.head, min=1e-9)",
    ),
    (
        "bare soil: suction x 2",
        "processes/soil/surface.py",
        "suction = torch.clamp(-head,",
        "suction = torch.clamp(-2 * head,",
    ),
    ("faces: geometric mean x 1.05", "processes/soil/faces.py", "torch.sqrt(a * b) *", "1.05 * torch.sqrt(a * b) *"),
    ("faces: upstream and downstream exchanged", "processes/soil/faces.py", "gradient > 0.0", "gradient < 0.0"),
    (
        "faces: saturated layers not weighted by thickness",
        "processes/soil/faces.py",
        "series = (left.thickness + right.thickness) / (left.thickness * right.K_s + right.thickness * left.K_s)",
        "series = 2.0 / (right.K_s + left.K_s)",
    ),
    (
        "bare soil: sign of gravity",
        "processes/soil/surface.py",
        "conductivity / (torch.exp(face.distance / torch.clamp(length, min=face.distance / 50.0)) - 1.0)",
        "conductivity / (1.0 - torch.exp(-face.distance / torch.clamp(length, min=face.distance / 50.0)))",
    ),
    ("bare soil: air-dry at -15 m", "models/richards.py", "air_dry: float = -150.0", "air_dry: float = -15.0"),
    (
        "surface: capacity with K_s alone",
        "processes/soil/surface.py",
        "0.5 * (conductivity + cell.K_s) *",
        "cell.K_s *",
    ),
    ("column: sign of gravity between cells", "models/richards.py", "/ face.distance + 1.0", "/ face.distance - 1.0"),
    ("standard errors: Gaussian x sqrt 2", "calibration/uncertainty.py", "2 * data + prior", "data + prior"),
    (
        "standard errors: degrees of freedom n",
        "calibration/uncertainty.py",
        "return observed * (low + high) / 2",
        "return float(observed)",
    ),
    (
        "priors: weight x 1/2 in mean_square",
        "calibration/objective.py",
        "total = observed / POWERS[name] *",
        'total = (2 if name == "mean_square" else 1) * observed / POWERS[name] *',
    ),
    (
        "priors: weight x 10 in nse",
        "calibration/objective.py",
        "total = observed / POWERS[name] *",
        'total = (0.1 if name == "nse" else 1) * observed / POWERS[name] *',
    ),
    (
        "priors: weight x 1/2 in Gauss-Newton steps of mean_square",
        "calibration/objective.py",
        "weight = 0.5 * observed /",
        'weight = (1.0 if name == "mean_square" else 0.5) * observed /',
    ),
    (
        "priors: weight x 10 in Gauss-Newton steps of nse",
        "calibration/objective.py",
        "weight = 0.5 * observed /",
        'weight = (0.05 if name == "nse" else 0.5) * observed /',
    ),
    ("training: learning rate does not fall", "nn/train.py", "0.55 + 0.45 * np.cos(np.pi * now.step / o.steps)", "1.0"),
    ("training: no average", "nn/train.py", "kept = min(self.training.average, done / (done + 9))", "kept = 0.0"),
    ("Rodas5P: a stage time", "engines/sundials/rosenbrock.py", "0.4095798393397535", "0.4595798393397535"),
    ("Rodas5P: no trend in time", "engines/sundials/rosenbrock.py", " + h * d * ca.densify(trend)", ""),
    ("results: hours of 360 s", "io/solutions.py", '"h": 3600', '"h": 360'),
    ("results: minutes of 100 s", "io/solutions.py", '"min": 60', '"min": 100'),
    ("runoff: cubic metres on hectares", "hydrology/data/assemble.py", "areas[:, None] / 1000", "areas[:, None] / 10"),
    ("baselines: regression without lags", "hydrology/scores.py", "lags=3", "lags=0"),
    (
        "baselines: regression on lags of the future",
        "hydrology/baselines.py",
        "np.concatenate([np.full(min(lag, n), np.nan), series[name][: max(n - lag, 0)]])",
        "np.concatenate([series[name][min(lag, n) :], np.full(min(lag, n), np.nan)])",
    ),
    (
        "day length x 1.1",
        "hydrology/basin.py",
        "return 24 - 24 / np.pi * np.arccos(np.clip(cosine, -1.0, 1.0))",
        "return 1.1 * (24 - 24 / np.pi * np.arccos(np.clip(cosine, -1.0, 1.0)))",
    ),
    ("units: density of water x 1.1", "io/units.py", "WATER_DENSITY = 1000.0", "WATER_DENSITY = 1100.0"),
    (
        "quantities: precipitation in cm/d",
        "hydrology/data/quantities.py",
        '"mm d-1", "precipitation"',
        '"cm d-1", "precipitation"',
    ),
    ("quantities: snow in metres", "hydrology/data/quantities.py", '"mm", "water equivalent', '"m", "water equivalent'),
    (
        "quantities: day length in minutes",
        "hydrology/data/quantities.py",
        '"h", "time from sunrise',
        '"min", "time from sunrise',
    ),
)

# Of survivors: why no test can or need notice.
REASONS: dict[str, str] = {
    "processes/soil/retention.py _brooks_corey_water_content: 1 - NEAR -> 1": "the branch in which the head is held is not used beyond it",
    "losses/measures.py Measure.badness: value - best -> value + best": "all measures of which less is better are zero at best",
    "losses/flow_duration.py _duration_curves: floor / 2 -> floor": "what is missing stays behind the others, or equals the last",
    "baselines.py LinearRegression.predict: 1.0 -> 1.1": "fills gaps of the column of ones, which has none",
}
