"""Attributions on several devices, simulated in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys

PROGRAM = """
import jax, jax.numpy as jnp, numpy as np
from genodl.attribute import attribute
from genodl.attribute.batches import blocks, place, rows_per_batch
from genodl.attribute.gradients import Batch

# A row is summed in another order on another device: in double precision that is no matter.
jax.config.update("jax_enable_x64", True)
assert jax.local_device_count() == 8
rng = np.random.default_rng(0)
weight = jnp.asarray(rng.normal(size=(6, 5)))
predict = lambda z: jnp.tanh(z @ weight)
x = rng.normal(size=(16, 6))
background = rng.normal(size=(3, 6))
batch = place(Batch(x, background[None], np.ones((16, 1), np.float32), np.arange(16)))
assert len(batch.x.sharding.device_set) == 8 and not batch.x.sharding.is_fully_replicated
for method in ("integrated_gradients", "deeplift_shap", "shapley"):
    kept = {"steps": 8} if method == "integrated_gradients" else {}
    baseline = 0.0 if method == "integrated_gradients" else background
    spread = attribute(predict, x, baseline=baseline, method=method, batch_size=16, **kept)
    alone = attribute(predict, x, baseline=baseline, method=method, batch_size=3, **kept)
    np.testing.assert_allclose(spread.values, alone.values, rtol=1e-9, atol=1e-11)
print("agreed")
"""


def test_eight_devices_give_what_one_gives():
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=os.environ | flags, capture_output=True, text=True
    )
    assert found.stdout.strip() == "agreed", found.stderr
