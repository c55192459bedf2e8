"""What does a model lack? Missing terms from the mismatch of its one-interval forecasts (MEDIDA).

found = dg.discover.increments(model.advance, before, after, dt)          # what happened, less what was forecast
u = dg.discover.Term("u", found.middle, "m s-1")
library = [u, u * u, u * dg.discover.Term("u_x", system.derivative(found.middle, 1), "s-1")]
print(dg.discover.discover(library, found, unit="m s-2"))
"""

from .discovery import Discovery, discover
from .formulas_of_networks import FreeForm, Regressor, Sampled, formula_of, free_form, sample_rate
from .increments import Increments, increments, model_increments
from .interpolation import Interpolated, Interpolator, Network, RadialBasis, RandomFeatures, held_out, interpolate
from .models import Candidate, library, with_terms
from .refining import Refined, refine
from .smoothed_records import mended_record, record_increments, record_lacks, record_library
from .terms import Term, products
from .wiener import Smoothed, wiener

__all__ = [
    "Candidate",
    "Discovery",
    "FreeForm",
    "Increments",
    "Interpolated",
    "Interpolator",
    "Network",
    "RadialBasis",
    "RandomFeatures",
    "Refined",
    "Regressor",
    "Sampled",
    "Smoothed",
    "Term",
    "discover",
    "formula_of",
    "free_form",
    "held_out",
    "increments",
    "interpolate",
    "library",
    "mended_record",
    "model_increments",
    "products",
    "record_increments",
    "record_lacks",
    "record_library",
    "refine",
    "sample_rate",
    "wiener",
    "with_terms",
]
