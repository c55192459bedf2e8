"""Closures learned from statistics of runs, where nothing pointwise is known: a spectrum, a flow duration curve.

learned = dg.closures.learn(run, loss, network.parameters(), state, windows=300)

`run` takes a state over a window and gives the next state and the statistics of the window; it may hold any solver that
gives gradients.
"""

from .truncated_runs import Learned, learn

__all__ = ["Learned", "learn"]
