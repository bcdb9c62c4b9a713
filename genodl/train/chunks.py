"""Tasks trained in chunks of one shape, within a memory budget, spread over the devices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from genodl.models.network import Network, initial_params
from genodl.train.draw import minibatches
from genodl.train.progress import TrainConfig

SPLIT, ORDER, INIT = range(3)  # streams of random numbers that one seed gives


def in_chunks(
    train: Callable[..., Any],
    x: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    held: np.ndarray,
    scales: dict[str, np.ndarray],
    *,
    net: Network,
    seed: int,
    config: TrainConfig,
) -> dict[str, Any]:
    """Fits of all tasks, trained in chunks of one shape that keep to the memory budget."""
    tasks, samples, _ = x.shape
    members = held.shape[1]
    size = _chunk(x.shape, members=members, config=config)
    order = minibatches(
        samples,
        rounds=config.rounds,
        steps=config.steps,
        batch=config.batch,
        seed=(seed, ORDER),
    )
    key = jax.random.key(seed)
    found = []
    for start in range(0, tasks, size):
        at = np.minimum(np.arange(start, start + size), tasks - 1)
        # Tasks that only fill the last chunk carry no weight and stop at once.
        used = weight[at] * (np.arange(start, start + size) < tasks)[:, None]
        rows = (x[at] - scales["x_centre"][at, None]) / scales["x_scale"][at, None]
        target = (y[at] - scales["y_centre"][at, None]) / scales["y_scale"][at, None]
        target = target * (used > 0)[..., None]
        state = [np.random.SeedSequence((seed, INIT, t)).generate_state(members * 4) for t in at]
        fresh = initial_params(np.stack(state).reshape(size, members, 4), net=net)
        fit = train(*_placed((rows, target, used, held[at], fresh)), order, key)
        whole = jax.tree.map(np.asarray, fit._asdict() | {"rounds": np.zeros(size)})
        found.append(jax.tree.map(lambda leaf: leaf[: tasks - start], whole))  # noqa: B023
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *found)


def _chunk(shape: tuple[int, ...], *, members: int, config: TrainConfig) -> int:
    """Tasks trained at once: within the budget, even chunks, a multiple of the devices."""
    tasks, samples, inputs = shape
    # Rows and their minibatch copy, then some hundred floats of activity a row and member.
    each = 4 * samples * (3 * inputs + 100 * members)
    devices = jax.local_device_count()
    most = max(1, config.memory // each // devices) * devices
    chunks = -(-tasks // most)
    return -(-tasks // (chunks * devices)) * devices


def _placed(arrays: Any) -> Any:
    """The arrays with their tasks spread over the devices."""
    devices = np.array(jax.local_devices())
    if len(devices) == 1:
        return arrays
    return jax.device_put(arrays, NamedSharding(Mesh(devices, ("tasks",)), PartitionSpec("tasks")))
