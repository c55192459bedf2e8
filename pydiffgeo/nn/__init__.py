"""Networks that give parameters: differentiable parameter learning over many sites.

network = dg.nn.ParameterNetwork(model, ["aridity", "frac_snow"])
seen = dg.nn.train(network, dg.nn.site_data(data, network.inputs), dg.nn.Training(steps=300))
network.save("network.npz")
"""

from .network import ParameterNetwork
from .parabola import scaled_error
from .predict import predict
from .result import predictions
from .scaling import NormalScores, Standardise
from .sites import SiteData, held_out, k_fold, site_data
from .train import train
from .training import Trained, Training
from .varying import time_varying

__all__ = [
    "NormalScores",
    "ParameterNetwork",
    "SiteData",
    "Standardise",
    "Trained",
    "Training",
    "held_out",
    "k_fold",
    "predict",
    "predictions",
    "scaled_error",
    "site_data",
    "time_varying",
    "train",
]
