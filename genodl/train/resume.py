"""Training that goes on where it was stopped: states on disk, and a signal that asks to stop."""

from __future__ import annotations

import json
import logging
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from genodl.models.network import Network, model_name, settings_of
from genodl.train.folder import digest, kept, write
from genodl.train.progress import Progress, TrainConfig

logger = logging.getLogger(__name__)
STOPPED = 75  # exit status of a run that was asked to stop and can go on: EX_TEMPFAIL


@dataclass(frozen=True)
class Resume:
    """Where the states of a training run are kept.

    Attributes
    ----------
    path : a folder of the run's own
    every : rounds between two states
    """

    path: Path
    every: int = 10

    def load(self, name: str, key: str, begun: Progress) -> Progress:
        """The state kept under a name, else the one before training.

        Parameters
        ----------
        key : fingerprint of the run
        begun : the state before training; its tasks may end with ones that only fill a chunk

        Raises
        ------
        InputError : the state is damaged, or of other data or another configuration
        """
        place = self.path / name
        arrays = kept(place, key)
        if arrays is None:
            return begun
        leaves, shape = jax.tree.flatten(gathered(begun))
        found: Progress = jax.tree.unflatten(
            shape, [_over(leaf, arrays[str(i)]) for i, leaf in enumerate(leaves)]
        )
        logger.info("%s: going on after round %d", place, int(found.rounds))
        return found

    def save(self, name: str, key: str, state: Progress, *, tasks: int) -> None:
        """Keep the state of the first tasks, and clear away what a killed run left half written."""
        for half in self.path.glob(f".{name}.*"):
            shutil.rmtree(half, ignore_errors=True)
        leaves = jax.tree.leaves(gathered(state))
        if jax.process_index():
            return  # the first process writes
        arrays = {str(i): a[:tasks] if a.ndim else a for i, a in enumerate(leaves)}
        write(self.path / name, arrays, {"key": key})


def gathered(tree: Any) -> Any:
    """The same tree with NumPy arrays, whole in every process."""
    if jax.process_count() == 1:
        return jax.tree.map(np.asarray, tree)
    return multihost_utils.process_allgather(tree, tiled=True)


def fingerprint(arrays: Any, *, net: Network, config: TrainConfig, loss: str) -> str:
    """SHA-256 of everything that decides what a training run gives."""
    settings = {k: v for k, v in settings_of(net).items() if not isinstance(v, np.ndarray)}
    described = {
        "model": model_name(net.name),
        "settings": settings,
        "shape": [net.inputs, net.outputs],
        "config": {k: v for k, v in asdict(config).items() if k != "memory"},
        "loss": loss,
    }
    fixed = [v for _, v in sorted(settings_of(net).items()) if isinstance(v, np.ndarray)]
    leaves = map(np.asarray, [*fixed, *jax.tree.leaves(arrays)])
    return digest([json.dumps(described, sort_keys=True), *leaves])


@contextmanager
def stoppable() -> Iterator[threading.Event]:
    """An event that is set when the process is asked to terminate, in place of ending it."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = signal.signal(signal.SIGTERM, lambda *_: asked.set())
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, before)


def _over(begun: np.ndarray, kept: np.ndarray) -> Any:
    """The leaf before training, its first tasks as they were kept."""
    if not kept.ndim:
        return kept.astype(begun.dtype)
    return np.concatenate([kept, begun[len(kept) :]])
