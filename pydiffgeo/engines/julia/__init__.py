"""The Julia engine: SciML's stiff solvers and adjoints."""
