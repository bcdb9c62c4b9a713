"""A network with a branch a gene, trained in each fold on the genes its screen passes on."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genodl.config import DiscoverConfig
from genodl.models.network import Network, activity
from genodl.pipeline.members import Gene, genes_of
from genodl.pipeline.study import Study
from genodl.rank.annotate import Membership
from genodl.rank.forms import LARGEST_PRODUCTS, Basis, log_mixture_tail
from genodl.rank.parts import both
from genodl.train.ensemble import Ensemble, fit_ensemble

GENES = 40  # that the network of a fold sees
# inputs of a branch: both channels of each marker, or leading directions, straight and bent
SLOTS = 2 * LARGEST_PRODUCTS


class Training(NamedTuple):
    """The residuals that the screens of the training folds look at.

    Attributes
    ----------
    columns : float32, (places, targets * folds), centred in the training rows, 0 elsewhere
    variance : float64, (targets * folds,), of a score of a direction of mean square 1
    """

    columns: np.ndarray
    variance: np.ndarray


class Branches(NamedTuple):
    """What the branches of the networks say of the samples their fold held out.

    Attributes
    ----------
    genes : int, (seen,), genes that any fold's network saw, ascending
    attribution : float32, (places, seen), output of the gene's branch less its mean in training
    dimensions : int, (seen,), inputs of each branch
    ensemble : the trained networks
    chosen : int, (folds, branches), the gene of each branch of each fold's network
    centre : float64, (folds,), mean prediction of each fold's network in training
    """

    genes: np.ndarray
    attribution: np.ndarray
    dimensions: np.ndarray
    ensemble: Ensemble
    chosen: np.ndarray
    centre: np.ndarray


def training(study: Study) -> Training:
    """The residual of each target in each training fold."""
    columns = []
    for target in study.targets:
        for k in range(len(study.folded.rows)):
            rows = target.known & (study.folded.fold != k)
            left = np.where(rows, target.residual[:, k], 0).astype(np.float64)
            columns.append(np.where(rows, left - left.sum() / rows.sum(), 0).astype(np.float32))
    stacked = np.stack(columns, axis=1)
    return Training(stacked, np.maximum(np.square(stacked).sum(0, dtype=np.float64), 1e-12))


def screen_gene(gene: Gene, seen: Training) -> np.ndarray:
    """log p of a gene in each training fold, (targets * folds,), by its forms."""
    linear, bent = _tails(gene.linear, seen), _tails(gene.bent, seen)
    has_bent = np.full(len(linear), len(gene.bent.weight) > 0)
    return np.minimum(linear, both(linear, bent, has_bent))


def _tails(basis: Basis, seen: Training) -> np.ndarray:
    """log p of a form in each training fold, the residuals taken as alike."""
    if not len(basis.weight):
        return np.zeros(len(seen.variance))
    score = basis.values.T @ seen.columns
    largest = basis.weight.max()
    value = basis.weight @ np.square(score) / (seen.variance * largest)
    law = np.broadcast_to(basis.weight / largest, (len(value), len(basis.weight)))
    return log_mixture_tail(value, law)


def grow(
    study: Study,
    members: Membership,
    screened: np.ndarray,
    number: int,
    config: DiscoverConfig,
) -> Branches | None:
    """Train the networks of one target, and attribute their held-out predictions to the genes.

    The branches add up, so a branch's output less its mean over the training samples is what the
    gene contributes, exactly.

    Parameters
    ----------
    screened : float, (genes, folds), log p of each gene in each training fold
    """
    if config.members == 0 or config.model == "linear":
        return None
    target, folds = study.targets[number], len(study.folded.rows)
    seen = min(GENES, len(screened))
    chosen = np.sort(np.argsort(screened, axis=0, kind="stable")[:seen], axis=0).T
    genes = np.unique(chosen)
    inputs = _inputs(study, members, genes)
    slots = inputs.shape[2]
    place = np.searchsorted(genes, chosen)
    x = np.stack([inputs[:, own].reshape(len(inputs), -1) for own in place])
    weight = (target.known & (study.folded.fold != np.arange(folds)[:, None])).astype(np.float32)
    belongs = np.kron(np.eye(seen, dtype=bool), np.ones((slots, 1), bool))
    ensemble = fit_ensemble(
        "pathway",
        {"membership": belongs},
        x,
        target.residual.T * weight,
        weight,
        members=config.members,
        seed=config.seed,
        config=config.training,
    )
    attribution = np.zeros((len(inputs), len(genes)), np.float32)
    centre = np.zeros(folds)
    for k in range(folds):
        output, prediction = _outputs(ensemble, k, x[k])
        centred = output - output[weight[k] > 0].mean(0)
        held = np.flatnonzero(study.folded.fold == k)
        attribution[held[:, None], place[k]] = centred[held]
        centre[k] = prediction[weight[k] > 0].mean(dtype=float)
    dimensions = np.any(inputs != 0, axis=0).sum(1)
    return Branches(genes, attribution, dimensions, ensemble, chosen, centre)


def _inputs(study: Study, members: Membership, genes: np.ndarray) -> np.ndarray:
    """Inputs of the branches, float32, (places, genes, slots), 0 in slots that are not used."""
    read = [slots(gene) for _, gene in genes_of(study, members, genes)]
    # few widths, so that few programs are compiled
    width = -(-max(values.shape[1] for values in read) // 4) * 4
    inputs = np.zeros((len(study.basis), len(read), width), np.float32)
    for number, values in enumerate(read):
        inputs[:, number, : values.shape[1]] = values
    return inputs


def is_wide(markers: int) -> bool:
    """Whether a gene has too many markers for both channels of each to be inputs."""
    return 2 * markers > SLOTS


def slots(gene: Gene) -> np.ndarray:
    """Both channels of each marker, or the leading directions of a gene with many."""
    if not is_wide(gene.channels.shape[2]):
        return np.concatenate(list(gene.channels), axis=1)
    half = SLOTS // 2
    return np.hstack([gene.linear.values[:, :half], gene.bent.values[:, :half]])


def _outputs(ensemble: Ensemble, task: int, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the members' mean says in the unit of the phenotype.

    Returns
    -------
    output of each branch, (places, genes), and the prediction, (places,)
    """
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf[task]), ensemble.params)
    output = _mean_output(ensemble.network)(params, jnp.asarray(x))
    return np.asarray(output), np.asarray(ensemble.apply(params, jnp.asarray(x)))


@lru_cache(maxsize=16)
def _mean_output(net: Network) -> Any:
    """The branches of one task, one function object a network."""

    @jax.jit
    def mean_output(params: dict[str, Any], x: jax.Array) -> jax.Array:
        rows = (x - params["x_centre"]) / params["x_scale"]
        each = jax.lax.map(lambda member: activity(net, member, rows), params["members"])
        return jnp.einsum("m,mbgo->bg", params["share"], each) * params["y_scale"]

    return mean_output
