"""A pretrained model of daily series: climatology + spread x network, trained by what is hidden from it.

model = dg.series.SeriesModel(["precipitation", "temperature", "runoff"], data.inputs)
dg.series.pretrain(model, data, period=("1980-10-01", "2000-09-30"))
filled = dg.series.fill(model, data)
"""

from .filling import embed, fill, forecast, reconstruct
from .masks import Masks, gaps
from .pretrain import Pretraining, pretrain
from .series_model import SeriesModel

__all__ = ["Masks", "Pretraining", "SeriesModel", "embed", "fill", "forecast", "gaps", "pretrain", "reconstruct"]
