"""Numbers computed without pydiffgeo's models and solvers, and the recipe that makes them (needs SciPy)."""
