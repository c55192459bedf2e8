"""Two processes of the example make the steps that one makes."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "data_parallel.py"


def test_gradients_and_weights_of_two_processes_are_those_of_one(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # What torchrun sets for each process.
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "PYTHONPATH": str(ROOT)}
    command = [
        sys.executable,
        str(EXAMPLE),
        "--steps",
        "2",
        "--engine",
        "sundials",
        "--file",
        str(tmp_path / "found.pt"),
    ]
    workers = [
        subprocess.Popen(
            command,
            env={**os.environ, **shared, "RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    spec = importlib.util.spec_from_file_location("data_parallel", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    try:
        # First weights are drawn in the default precision, which tests change.
        torch.set_default_dtype(torch.float32)
        alone = example.main(steps=2, engine="sundials")
    finally:
        torch.set_num_threads(threads)
        torch.set_default_dtype(dtype)
    told = [worker.communicate(timeout=120)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], told
    together = torch.load(tmp_path / "found.pt", weights_only=True)
    assert {*together} == {*alone}
    for name, value in alone.items():
        # Nine sites are five and four: shares of different sizes.
        largest = value.abs().max()
        assert (together[name] - value).abs().max() <= 1e-12 * largest, name
        assert largest > 0
