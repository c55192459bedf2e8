"""The verification suite: published problems and exact solutions, solved on each engine, with a report.

`pydiffgeo verify` runs it; `catalogue.PROBLEMS` lists the problems. Expected numbers are exact solutions
(`exact`), published digits, or numbers of an independent code (`references`, with its recipe).
"""
