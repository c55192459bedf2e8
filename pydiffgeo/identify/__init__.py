"""What data tell of what is sought: which values they fix, how well, and how many numbers would do.

found = dg.calibration.calibrate([site])
told = dg.identify.tell(dg.identify.of_calibration(found, "plot 1"))
print(told.table())
"""

from .best_place import Placed, best_place
from .design import Design, design
from .effective_weights import EffectiveWeights, effective_weights, effective_weights_of_sites, site_metric
from .error_model import ErrorModel
from .findings import Findings, tell
from .interaction_basis import InteractionBasis, interaction_basis
from .intrinsic_dimension import IntrinsicDimension, intrinsic_dimension
from .inverse_problem import InverseProblem, of_calibration, of_function, of_site
from .learning_coefficient import LearningCoefficient, local_learning_coefficient
from .mode import Mode, at_mode
from .posterior import Interval, Posterior, laplace
from .predictive import Prediction, predict
from .profiles import Profile, profiles
from .randomised import randomised_maximum_likelihood
from .sampling import sample
from .spectrum import Spectrum, spectrum
from .subspace import in_subspace, out_of_subspace

__all__ = [
    "Design",
    "EffectiveWeights",
    "ErrorModel",
    "Findings",
    "InteractionBasis",
    "Interval",
    "IntrinsicDimension",
    "InverseProblem",
    "LearningCoefficient",
    "Mode",
    "Placed",
    "Posterior",
    "Prediction",
    "Profile",
    "Spectrum",
    "at_mode",
    "best_place",
    "design",
    "effective_weights",
    "effective_weights_of_sites",
    "in_subspace",
    "interaction_basis",
    "intrinsic_dimension",
    "laplace",
    "local_learning_coefficient",
    "of_calibration",
    "of_function",
    "of_site",
    "out_of_subspace",
    "predict",
    "profiles",
    "randomised_maximum_likelihood",
    "sample",
    "site_metric",
    "spectrum",
    "tell",
]
