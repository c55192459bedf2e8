"""The same well by pastas, in an environment that has it: prints one JSON object. Called by `calibrate.py`."""

from __future__ import annotations

import json
import logging
import sys
import time

import numpy as np
import pandas as pd
import pastas as ps


def main(file: str, split: str) -> None:
    logging.disable(logging.WARNING)
    table = pd.read_csv(file, index_col="date", parse_dates=True)
    rain, evaporation, head = table["rain_mm"] / 1e3, table["evaporation_mm"] / 1e3, table["head_m"].dropna()
    found = {}
    for name, response in (("exponential", ps.Exponential), ("gamma", ps.Gamma), ("four parameters", ps.FourParam)):
        model = ps.Model(head)
        linear = ps.rch.Linear()
        ps.RechargeModel(model=model, prec=rain, evap=evaporation, rfunc=response(), recharge=linear, name="rch")
        model.solve(tmax=split, report=False)  # compiles, too
        began = time.process_time()
        model.solve(tmax=split, report=False)
        spent = time.process_time() - began
        simulated = model.simulate(tmin=head.index[0], tmax=head.index[-1]).reindex(head.index, method="nearest")
        error = (simulated - head).to_numpy()
        before = np.asarray(head.index <= pd.Timestamp(split))
        found[name] = {
            "error": [float(v) for v in error],
            "before": [bool(v) for v in before],
            "seconds": spent,
            "runs": int(model.solver.result.nfev),
            "values": {k: float(v) for k, v in model.parameters["optimal"].items()},
        }
    print(json.dumps({"version": ps.__version__, "models": found}))


if __name__ == "__main__":
    main(*sys.argv[1:])
