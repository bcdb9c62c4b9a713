"""How fast the stages run on the device that is there, beside what the device can do at best."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genodl import __version__, provenance, simulate
from genodl.attribute import attribute
from genodl.io import ingest
from genodl.screen.channels import WINSOR, encode
from genodl.screen.marginal import covered, scan
from genodl.screen.pairs import shortlist
from genodl.train.ensemble import fit_ensemble
from genodl.train.progress import TrainConfig

REPEATS = 3
LONG_ENOUGH = 0.1  # seconds a roofline call must take to be trusted
LARGEST = {True: 1 << 10, False: 1 << 13}  # side of the roofline's matrices, quick or not
STEPS = 32
ROUNDS = 10
FOLDS = 10


class Size(NamedTuple):
    """What is worked on.

    Attributes
    ----------
    samples, variants : of the simulated VCF
    markers, residuals : of a block that is scanned
    panel : markers whose pairs are scanned
    tasks, members, inputs : of the ensemble
    wide, attributed : inputs and samples that are attributed
    """

    samples: int
    variants: int
    markers: int
    residuals: int
    panel: int
    tasks: int
    members: int
    inputs: int
    wide: int
    attributed: int


QUICK = Size(200, 400, 256, 11, 256, 2, 2, 32, 1_000, 32)
FULL = Size(2_500, 5_000, 2_048, 110, 6_144, 10, 8, 96, 20_000, 256)


def measure(*, quick: bool) -> dict[str, Any]:
    """Rates of the stages, and the device's own rates of arithmetic and of copying.

    Compilation is left out but for `compilation`, the first call of the ensemble less the later
    ones; each rate is that of the fastest of a few calls. What is arithmetic of matrix products is
    also given as a share of the device's own rate. Memory is the greatest that the process held,
    and that of the device where it counts its own.

    Parameters
    ----------
    quick : toy sizes, which say whether it works and not how fast it is

    Returns
    -------
    dict, "genodl", "device", "versions", and "measurements": name -> {"value", "unit"}, with
    "of_matrix_product" where the unit is GFLOP/s
    """
    size = QUICK if quick else FULL
    largest = LARGEST[quick]
    measurements = {
        "matrix product": (matrix_product(largest=largest), "GFLOP/s"),
        "copy": (copy_rate(largest=largest), "GB/s"),
        "ingest": (ingest_rate(size), "genotypes/s"),
        **scan_rates(size),
        **pair_rates(size),
        **ensemble_rates(size),
        "integrated gradients": (gradient_rate(size), "inputs x samples/s"),
        **memory(),
    }
    best = measurements["matrix product"][0]
    return {
        "genodl": __version__,
        "device": provenance.device(),
        "versions": provenance.versions(),
        "measurements": {
            name: {
                **{"value": float(value), "unit": unit},
                **({"of_matrix_product": float(value / best)} if unit == "GFLOP/s" else {}),
            }
            for name, (value, unit) in measurements.items()
        },
    }


def fastest(run: Callable[[], Any], *, repeats: int = REPEATS) -> tuple[float, float]:
    """Seconds of the first call, which compiles, and of the fastest of the following."""
    seconds = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        jax.block_until_ready(run())
        seconds.append(time.perf_counter() - began)
    return seconds[0], min(seconds[1:])


def matrix_product(*, largest: int) -> float:
    """GFLOP/s of float32 matrix products, doubled in size until a product takes long enough."""
    product = jax.jit(jnp.matmul)
    return _grown(lambda x: product(x, x), lambda side: 2 * side**3 / 1e9, largest=largest)


def copy_rate(*, largest: int) -> float:
    """GB/s read and written by adding a number to each element."""
    add = jax.jit(lambda x: x + 1)
    return _grown(add, lambda side: 2 * 4 * side**2 / 1e9, largest=largest)


def _grown(
    run: Callable[[jax.Array], jax.Array], work: Callable[[int], float], *, largest: int
) -> float:
    """Work a second on square matrices as large as needed for a measurable time."""
    side = 512
    while True:
        x = jnp.ones((side, side), jnp.float32)
        seconds = fastest(partial(run, x))[1]
        if seconds >= LONG_ENOUGH or 2 * side > largest:
            return work(side) / seconds
        side *= 2


def ingest_rate(size: Size) -> float:
    """Genotypes a second from a VCF.gz on disk to a store, after a first run that compiles."""
    cohort = simulate.cohort(seed=0, samples=size.samples, variants=size.variants, genes=100)
    with tempfile.TemporaryDirectory() as folder:
        source = simulate.write(cohort, folder)["variants"]
        stores = iter(range(REPEATS + 1))

        def run() -> None:
            ingest(source, Path(folder, f"{next(stores)}.zarr"))

        return size.samples * size.variants / fastest(run)[1]


def scan_rates(size: Size) -> dict[str, tuple[float, str]]:
    """Markers times residuals a second of the marginal scan, encoding included, and GFLOP/s."""
    rng = np.random.default_rng(0)
    dosage = jnp.asarray(rng.integers(0, 3, (size.samples, size.markers)), jnp.float32)
    drawn = rng.normal(size=(size.samples, size.residuals))
    residuals, over = jnp.asarray(drawn, jnp.float32), covered(drawn)
    present = jnp.ones(size.samples, jnp.float32)
    basis = jnp.full((size.samples, 1), size.samples**-0.5, jnp.float32)
    _, seconds = fastest(lambda: scan(encode(dosage, present, basis, WINSOR), residuals, over))
    tested = size.markers * size.residuals
    # two channels by the residuals, their squares by what those cover; encoding is not counted
    flops = 2 * 2 * size.samples * size.markers * (size.residuals + over.samples.shape[1])
    return {
        "scan": (tested / seconds, "markers x residuals/s"),
        "scan arithmetic": (flops / seconds / 1e9, "GFLOP/s"),
    }


def pair_rates(size: Size) -> dict[str, tuple[float, str]]:
    """Pairs a second of the scan of all products of two markers in ten folds, and GFLOP/s."""
    rng = np.random.default_rng(0)
    samples = size.samples // FOLDS * FOLDS
    panel = rng.standard_normal((samples, size.panel)).astype(np.float32)
    response = rng.standard_normal(samples).astype(np.float32)
    _, seconds = fastest(lambda: shortlist(panel, response, folds=FOLDS), repeats=1)
    pairs = size.panel * (size.panel - 1) // 2
    return {
        "pair screen": (pairs / seconds, "pairs/s"),
        "pair screen arithmetic": (2 * samples * pairs / seconds / 1e9, "GFLOP/s"),
    }


def memory() -> dict[str, tuple[float, str]]:
    """Greatest memory so far, of the process and of the device."""
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    found = {"memory": (peak / 1e9, "GB")}
    stats = jax.local_devices()[0].memory_stats() or {}
    if "peak_bytes_in_use" in stats:
        found["device memory"] = (stats["peak_bytes_in_use"] / 1e9, "GB")
    return found


def ensemble_rates(size: Size) -> dict[str, tuple[float, str]]:
    """Samples times members times steps a second of training, and seconds of compilation."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(size.tasks, size.samples, size.inputs)).astype(np.float32)
    y = x[:, :, 0] + rng.normal(size=x.shape[:2]).astype(np.float32)
    batch = size.samples // 8
    # all rounds count as warm-up, so no member stops early and the steps are known
    config = TrainConfig(rounds=ROUNDS, warmup=ROUNDS, batch=batch)
    weight = np.ones_like(y)

    def run() -> np.ndarray:
        return fit_ensemble(
            "mlp", {}, x, y, weight, members=size.members, seed=0, config=config
        ).losses

    first, seconds = fastest(run)
    done = size.tasks * size.members * batch * config.steps * ROUNDS
    return {
        "ensemble training": (done / seconds, "samples x members x steps/s"),
        "compilation": (max(first - seconds, 0.0), "s"),
    }


def gradient_rate(size: Size) -> float:
    """Inputs times samples a second of integrated gradients on a network of three layers."""
    keys = jax.random.split(jax.random.key(0), 4)
    shapes = ((size.wide, 256), (256, 64), (64,))
    first, second, last = (
        jax.random.normal(key, shape) / shape[0] ** 0.5
        for key, shape in zip(keys[:3], shapes, strict=True)
    )
    x = jax.random.normal(keys[3], (size.attributed, size.wide))

    def predict(z: jax.Array) -> jax.Array:
        return jax.nn.relu(jax.nn.relu(z @ first) @ second) @ last

    _, seconds = fastest(lambda: attribute(predict, x, baseline=0.0, steps=STEPS).values)
    return size.wide * size.attributed / seconds
