"""What a model has to beat, and whether it does: climatology, persistence, regression, pattern scaling, seeds, members.

climatology = dg.baselines.Climatology.fit(dates, runoff, slice(0, 3650)).predict(dates, slice(3650, None))
scaling = dg.baselines.PatternScaling.fit({"historical": (emissions, temperature)}, weights=area)
print(dg.baselines.rank_by_members(members, {"scaling": a, "network": b}, weights=area))
print(dg.baselines.median_floor(scores, scores_of_a_rival))
"""

from .drawn_anew import median_floor, years_floor
from .members import MemberRanking, noise_floor, rank_by_members
from .pattern_scaling import PatternScaling
from .series import Climatology, Comparison, LinearRegression, Persistence, compare

__all__ = [
    "Climatology",
    "Comparison",
    "LinearRegression",
    "MemberRanking",
    "PatternScaling",
    "Persistence",
    "compare",
    "median_floor",
    "noise_floor",
    "rank_by_members",
    "years_floor",
]
