"""Ensembles of networks, one a task, trained together: fit, gate, predict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from genodl.errors import InputError
from genodl.models import Factory
from genodl.models.network import Network, apply, network
from genodl.train.chunks import SPLIT, Task, in_chunks
from genodl.train.draw import halves, validation_splits
from genodl.train.given import checked, standardisation
from genodl.train.loss import LOSSES
from genodl.train.progress import TrainConfig
from genodl.train.resume import Resume
from genodl.train.stacking import gate, gate_by_loss


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Trained members of every task.

    Attributes
    ----------
    network : the model's name, widths and settings
    params : arrays with a leading axis of tasks: `members` holds the weights by name, each
        (tasks, members, ...); `share` (tasks, members) weighs the members, 0 where dropped;
        `x_centre`, `x_scale` (tasks, inputs) and `y_centre`, `y_scale` (tasks, outputs)
        standardise; where the loss takes targets as they are, `y_centre` is the prediction of one
        who knows their mean alone, which the networks add to
    out_of_bag : float32, (tasks, samples) or (tasks, samples, outputs), the mean over the members
        for which the sample was in the validation split; nan where none
    gate : float64, (tasks,), stacking weight in [0, 1]; `predict` does not apply it
    losses : float32, (tasks, members, 2), validation loss before and after training, on the
        standardised scale
    restarts : int32, (tasks, members), times begun again after a loss that was not finite
    dropped : bool, (tasks, members), left out since the loss stayed non-finite
    flat : whether predictions lack the axis of outputs, as the targets did
    """

    network: Network
    params: dict[str, Any]
    out_of_bag: np.ndarray
    gate: np.ndarray
    losses: np.ndarray
    restarts: np.ndarray
    dropped: np.ndarray
    flat: bool

    @property
    def apply(self) -> Callable[[dict[str, Any], jax.Array], jax.Array]:
        """Pure function of one task's params and rows (batch, inputs), to be mapped over tasks.

        It gives the mean over the members, (batch,) or (batch, outputs).
        """
        return mean_prediction(self.network, self.flat)


def fit_ensemble(
    model: str | Factory,
    settings: dict[str, Any],
    x: np.ndarray,
    y: np.ndarray,
    weight: np.ndarray,
    *,
    members: int = 8,
    seed: int,
    config: TrainConfig | None = None,
    loss: str = "squared",
    validation: float = 0.2,
    validated: np.ndarray | None = None,
    resume: Resume | None = None,
    start: dict[str, np.ndarray] | None = None,
) -> Ensemble:
    """An ensemble for each task, all trained by one compiled program.

    Every `round(1 / validation)` members share one partition of the rows and hold out one part
    each, so that with as many members or more every weighted row has an out-of-bag prediction.

    Parameters
    ----------
    model, settings : an entry of `genodl.models.MODELS`, or a factory of a `flax.nnx.Module` (see
        `genodl.models.build`), and its settings
    x : float32, (tasks, samples, inputs), finite; zero columns pad
    y : float32, (tasks, samples) or (tasks, samples, columns); read only where weight is above 0;
        single columns may be unknown, nan, but for classes and survival
    weight : float32, (tasks, samples), 0 = not for training (held out, or padding); to balance
        classes, such as scikit-learn's `compute_sample_weight` gives
    members : networks a task
    loss : squared, huber, logistic (targets 0/1), cross_entropy or ordinal (targets one-hot),
        survival (columns time and event) or negative_binomial (counts)
    validation : share of the weighted rows that each member stops by, at most one half
    validated : bool, (tasks, samples), the rows that every member of a task stops by in place of
        its own split, such as those that the choice of its inputs has not seen
    resume : where to keep the state every few rounds, and to go on from; the end is the same as
        without a stop. On SIGTERM the state is kept and the process exits with status 75
    start : parameters by name, (members, ...), that the members of every task begin with, such as
        `transfer` gives; those that it does not name begin at random

    Returns
    -------
    Ensemble

    Raises
    ------
    InputError : shapes that do not fit, values that are not finite, unknown names
    """
    config = config or TrainConfig()
    x, y, weight, flat = checked(x, y, weight, members=members, loss=loss, validation=validation)
    if config.mixup and not LOSSES[loss].mixable:
        raise InputError(
            f"mixup with the loss {loss}, of whose targets there is no mean",
            where="[train]",
            mend="set mixup to 0",
        )
    net = network(model, settings, x.shape[2], LOSSES[loss].outputs(y.shape[2]))
    standardised = LOSSES[loss].standardised
    scales = standardisation(x, y, weight, loss=loss)
    held = (
        _held(weight, members=members, parts=round(1 / validation), seed=seed)
        if validated is None
        else np.stack([halves(rows, members=members) for rows in validated & (weight > 0)])
    )
    fits = in_chunks(
        Task(x, y, weight, held, scales),
        net=net,
        loss=loss,
        seed=seed,
        config=config,
        resume=resume,
        start=start,
    )
    share = ~fits["dropped"] / np.maximum((~fits["dropped"]).sum(axis=1, keepdims=True), 1)
    out_of_bag = _out_of_bag(fits["out_of_bag"], held > 0, ~fits["dropped"])
    out_of_bag = out_of_bag * scales["y_scale"][:, None] + scales["y_centre"][:, None]
    if standardised:
        centre = scales["y_centre"][:, None]
        weights = [
            gate(*each) for each in zip(out_of_bag - centre, y - centre, weight, strict=True)
        ]
    else:
        weights = [
            gate_by_loss(*each, loss=loss)
            for each in zip(out_of_bag, y, weight, scales["y_centre"], strict=True)
        ]
    return Ensemble(
        network=net,
        params={"members": fits["params"], "share": share.astype(np.float32), **scales},
        out_of_bag=out_of_bag[..., 0] if flat else out_of_bag,
        gate=np.array(weights),
        losses=np.stack([fits["initial"], fits["loss"]], axis=-1),
        restarts=fits["restarts"],
        dropped=fits["dropped"],
        flat=flat,
    )


def predict(ensemble: Ensemble, x: np.ndarray, *, batch: int = 4096) -> np.ndarray:
    """Predictions of every task on its rows, the mean over its members, without the gate.

    Parameters
    ----------
    x : float32, (tasks, samples, inputs)
    batch : rows at once

    Returns
    -------
    float32, (tasks, samples) or (tasks, samples, outputs); logits under the logistic losses
    """
    found = partial(_predict, net=ensemble.network, flat=ensemble.flat)
    return in_batches(found, ensemble, x, batch=batch, where="predict")[0]


def in_batches(
    function: Callable[..., Any], ensemble: Ensemble, x: np.ndarray, *, batch: int, where: str
) -> list[np.ndarray]:
    """Arrays (tasks, samples, ...) that a function makes of params and rows, padded to a batch."""
    x = np.asarray(x, np.float32)
    tasks, inputs = ensemble.params["x_centre"].shape
    if x.ndim != 3 or x.shape[0] != tasks or x.shape[2] != inputs:
        raise InputError(
            f"x is {x.shape}, the ensemble has {tasks} tasks of {inputs} inputs",
            where=where,
            mend="pass x as (tasks, samples, inputs)",
        )
    batch = max(1, min(batch, x.shape[1]))
    blocks = []
    for start in range(0, max(x.shape[1], 1), batch):
        rows = x[:, start : start + batch]
        padded = np.zeros((tasks, batch, inputs), np.float32)
        padded[:, : rows.shape[1]] = rows
        found = jax.tree.leaves(function(ensemble.params, padded))
        blocks.append([np.asarray(each)[:, : rows.shape[1]] for each in found])
    return [np.concatenate(each, axis=1) for each in zip(*blocks, strict=True)]


def predict_fn(ensemble: Ensemble, task: int) -> Callable[[jax.Array], jax.Array]:
    """One task's prediction as a pure function of rows, to be attributed.

    It maps (batch, inputs) to (batch,), or to (batch, outputs) when the targets had outputs:
    the mean over the members, without the gate.
    """
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf[task]), ensemble.params)
    return partial(ensemble.apply, params)


@lru_cache(maxsize=64)
def mean_prediction(net: Network, flat: bool) -> Callable[..., Any]:
    """The prediction of one task by its members, one function object a network.

    It maps the task's params and rows, see `Ensemble.apply`.
    """

    def mean_of_members(params: dict[str, Any], x: jax.Array) -> jax.Array:
        rows = (x - params["x_centre"]) / params["x_scale"]
        each = jax.vmap(lambda member: apply(net, member, rows))(params["members"])
        mean = jnp.einsum("m,mbo->bo", params["share"], each)
        scaled = mean * params["y_scale"] + params["y_centre"]
        return scaled[:, 0] if flat else scaled

    return jax.jit(mean_of_members)


@partial(jax.jit, static_argnames=("net", "flat"))
def _predict(params: dict[str, Any], x: jax.Array, *, net: Network, flat: bool) -> jax.Array:
    """Predictions of every task."""
    return jax.vmap(mean_prediction(net, flat))(params, x)


def _held(weight: np.ndarray, *, members: int, parts: int, seed: int) -> np.ndarray:
    """Validation splits of every task, int8, (tasks, members, samples)."""
    return np.stack(
        [
            validation_splits(each, members=members, parts=parts, seed=(seed, SPLIT, task))
            for task, each in enumerate(weight)
        ]
    )


def _out_of_bag(prediction: np.ndarray, held: np.ndarray, live: np.ndarray) -> np.ndarray:
    """Mean over the members that held the sample out, (tasks, samples, outputs), nan if none."""
    counted = held & live[:, :, None]
    total = np.where(counted[..., None], prediction, 0.0).sum(axis=1)
    count = counted.sum(axis=1)[..., None]
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
