"""Networks that give parameters: differentiable parameter learning over many sites.

network = dg.nn.ParameterNetwork(model, ["aridity", "frac_snow"])
seen = dg.nn.train(network, dg.hydrology.site_data(data, network.inputs), dg.nn.Training(steps=300))
network.save("network.npz")
"""

from .adapt import Adaptation, adapt
from .network import ParameterNetwork
from .predict import predict
from .predict_many import Predicted, predict_many
from .quadratic_surrogate import scaled_error
from .scaling import NormalScores, Standardise
from .sites import SiteData
from .splits import held_out, k_fold
from .train import train
from .training import Training, TrainingHistory
from .varying import time_varying

__all__ = [
    "Adaptation",
    "NormalScores",
    "ParameterNetwork",
    "Predicted",
    "SiteData",
    "Standardise",
    "Training",
    "TrainingHistory",
    "adapt",
    "held_out",
    "k_fold",
    "predict",
    "predict_many",
    "scaled_error",
    "time_varying",
    "train",
]
