"""A result as one HTML file that anyone can read without running anything.

dg.report.write_report("calibrated_basin.nc")                       # writes calibrated_basin.html
dg.report.write_report("calibrated_basin.nc", "report.html", sites=["12010000"])
"""

from .page import write_report

__all__ = ["write_report"]
