"""Two processes that train one ensemble together, each with devices of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from genodl.train.ensemble import Ensemble, fit_ensemble
from genodl.train.progress import TrainConfig
from genodl.train.resume import Resume

PROGRAM = """
import sys
from pathlib import Path
import jax
import numpy as np
sys.path.insert(0, {here!r})
number, port, folder = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
jax.distributed.initialize(f"localhost:{{port}}", num_processes=2, process_id=number)
assert (jax.process_count(), jax.device_count(), jax.local_device_count()) == (2, 4, 2)
from test_processes import trained
found = trained(folder / "states")
again = trained(folder / "states")  # from what the first process has kept
for name in found:
    np.testing.assert_array_equal(found[name], again[name])
np.savez(folder / f"{{number}}.npz", **{{name: np.asarray(a) for name, a in found.items()}})
"""


def trained(states: Path | None = None) -> dict[str, np.ndarray]:
    """Six tasks of three small networks, what they predict and what they are."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((6, 80, 5)).astype(np.float32)
    y = (np.sin(x[..., 0]) + x[..., 1] * x[..., 2]).astype(np.float32)
    found: Ensemble = fit_ensemble(
        "mlp",
        {},
        x,
        y,
        np.ones(y.shape, np.float32),
        members=3,
        seed=5,
        config=TrainConfig(rounds=12, steps=2, batch=32, warmup=4),
        resume=None if states is None else Resume(states, every=5),
    )
    params = {name.replace(".", "_"): leaf for name, leaf in found.params["members"].items()}
    return {**params, "out_of_bag": found.out_of_bag, "gate": found.gate, "losses": found.losses}


@pytest.mark.long
def test_two_processes_give_what_one_gives(tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    environment["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"
    program = PROGRAM.format(here=str(Path(__file__).parent))
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(number), str(port), str(tmp_path)],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    try:
        said = [each.communicate(timeout=120)[1] for each in running]
    finally:
        for each in running:
            each.kill()
    assert [each.returncode for each in running] == [0, 0], "\n".join(said)
    first, second = (np.load(tmp_path / f"{number}.npz") for number in range(2))
    alone = trained()
    assert set(first.files) == set(alone)
    for name, array in alone.items():
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
        np.testing.assert_allclose(first[name], array, atol=1e-5, rtol=1e-5, err_msg=name)
    assert any((tmp_path / "states").iterdir())  # kept by the first process
