"""What a model is to an engine: straight-line programs over one flat vector of values, and how they are made.

`tracing` turns local functions into programs, `autodiff` differentiates these, `hoisting` takes out what is computed before
a solve, and `assembly` puts all in its place. Nothing here solves anything, or knows an engine.
"""
