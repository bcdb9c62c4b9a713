"""What genes and pathways add to the predictions of an ensemble."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from genodl.errors import InputError
from genodl.models import network as nets
from genodl.models.network import Network, model_name, unit_names
from genodl.train.ensemble import Ensemble, in_batches


class Contributions(NamedTuple):
    """What genes and pathways add to predictions, which with the offset they add up to.

    Attributes
    ----------
    genes : float32, (tasks, samples, genes) or (tasks, samples, genes, outputs), by themselves
    pathways : float32, (tasks, samples, pathways), or with outputs, by genes together
    offset : float32, (tasks,) or (tasks, outputs)
    gene_names, pathway_names : of the columns of `genes` and of `pathways`
    """

    genes: np.ndarray
    pathways: np.ndarray
    offset: np.ndarray
    gene_names: tuple[str, ...]
    pathway_names: tuple[str, ...]


def contributions(ensemble: Ensemble, x: np.ndarray, *, batch: int = 512) -> Contributions:
    """What genes and pathways add to the predictions of a `pathway` ensemble, without the gate.

    A gene's own part is what it adds whatever the others are; what depends on several genes is in
    the parts of the pathways that hold them. Each part has a constant of its own: compare samples,
    or take the mean of a part away.

    Parameters
    ----------
    x : float32, (tasks, samples, inputs)
    batch : rows at once

    Raises
    ------
    InputError : another model, or x does not fit
    """
    net, params = ensemble.network, ensemble.params
    if net.name != "pathway":
        raise InputError(
            f"the model is {model_name(net.name)}, whose units are not genes",
            where="contributions",
            mend="fit the model pathway",
        )
    found = partial(_contributions, net=net, flat=ensemble.flat)
    genes, pathways = in_batches(found, ensemble, x, batch=batch, where="contributions")
    mean = np.einsum("tm,tmo->to", params["share"], params["members"]["offset"])
    offset = mean * params["y_scale"] + params["y_centre"]
    offset = offset[:, 0] if ensemble.flat else offset
    return Contributions(genes, pathways, offset, *unit_names(net))


@partial(jax.jit, static_argnames=("net", "flat"))
def _contributions(params: dict[str, Any], x: jax.Array, *, net: Network, flat: bool) -> Any:
    """What each gene and each set adds in every task, one network at a time."""

    def mean_of_members(task: tuple[dict[str, Any], jax.Array]) -> Any:
        own, x = task
        rows = (x - own["x_centre"]) / own["x_scale"]
        each = jax.lax.map(lambda member: nets.contributions(net, member, rows), own["members"])
        means = [jnp.einsum("m,mbpo->bpo", own["share"], part) * own["y_scale"] for part in each]
        return [part[..., 0] for part in means] if flat else means

    return jax.lax.map(mean_of_members, (params, x))
