"""What a discovery has learnt, as a function of the values of new samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

from genodl.cohort.design import Column
from genodl.models.network import Network, apply
from genodl.screen.directions import Directions, directed
from genodl.screen.features import Features, computed
from genodl.train.ensemble import mean_prediction

Score = Callable[[jax.Array, jax.Array], jax.Array]


class Products(NamedTuple):
    """Products of features, or of features and covariates.

    Attributes
    ----------
    factors : int32, (products, order), features; further on the partners, and last a one
    weight : float32, (products,)
    """

    factors: np.ndarray
    weight: np.ndarray


class Networks(NamedTuple):
    """Networks on some features.

    Attributes
    ----------
    network : model and settings
    params : of the trained members, see `genodl.train.ensemble.Ensemble`, one task a fold and inner
        group
    columns : int32, (tasks, inputs), features, then directions, -1 = none
    weight, centre : float32, (tasks,), the say of each task, and what it gives at its baseline
    """

    network: Network
    params: dict[str, Any]
    columns: np.ndarray
    weight: np.ndarray
    centre: np.ndarray


@dataclass(frozen=True, eq=False)
class Output:
    """What is predicted of one phenotype, or of one of its classes.

    Attributes
    ----------
    phenotype, label, kind : its name, the class, "" where it has none, and the kind
    base : float64, (folds, columns, components), see `genodl.screen.residual.Target`
    component : of the base
    weight : float32, (features,)
    constant : float
    products, networks : None where there are none
    """

    phenotype: str
    label: str
    kind: str
    base: np.ndarray
    component: int
    weight: np.ndarray
    constant: float
    products: Products | None = None
    networks: Networks | None = None


@dataclass(frozen=True, eq=False)
class Scorer:
    """The mean over the folds of what each predicts, for samples that none has seen.

    Attributes
    ----------
    markers : DataFrame, a row a marker, columns modality marker contig pos ref alt mean
    columns : the covariates of the design, without the intercept and the components
    loadings : float32, (markers, components), of the principal components, nan = not used
    features : of the markers
    partners : float32, (columns, partners), covariates as the products see them
    outputs : what is predicted
    directions : of the features of genes, for networks with branches; None where there are none
    """

    markers: pd.DataFrame
    columns: tuple[Column, ...]
    loadings: np.ndarray
    features: Features
    partners: np.ndarray
    outputs: tuple[Output, ...]
    directions: Directions | None = None

    @property
    def phenotypes(self) -> list[str]:
        """Names, once each."""
        return list(dict.fromkeys(output.phenotype for output in self.outputs))


def score(scorer: Scorer, chosen: list[int], *, unrolled: bool = False) -> Score:
    """A pure function of values and covariates that gives the chosen outputs.

    It maps float32 (samples, markers), nan = missing, and float32 (samples, columns), the first
    the intercept, to (samples, outputs): the phenotype's unit, a probability, or a log hazard.
    Unrolled, networks are called one by one in place of all at once, which some runtimes need.
    """
    networks = _one_by_one if unrolled else _at_once
    outputs = [scorer.outputs[i] for i in chosen]

    def scored(values: jax.Array, covariates: jax.Array) -> jax.Array:
        features = computed(scorer.features, values, covariates)
        partners = covariates @ scorer.partners
        ones = jnp.ones_like(covariates[:, :1])
        factors = jnp.concatenate([features, partners, ones], axis=1)
        seen = features
        if scorer.directions is not None:
            more = directed(scorer.directions, features, covariates)
            seen = jnp.concatenate([features, more], axis=1)
        found = []
        for output in outputs:
            found.append(_of_output(output, covariates, features, factors))
            if output.networks is not None:
                found[-1] = found[-1] + networks(output.networks, seen)
        return jnp.stack(found, 1)

    return scored


def expected(output: Output, covariates: jax.Array) -> jax.Array:
    """What the covariates alone foretell, (samples,), the mean over the folds."""
    predictor = jnp.einsum("sc,fck->fsk", covariates, jnp.asarray(output.base, jnp.float32))
    if output.kind in ("binary", "multiclass"):
        predictor = jax.nn.softmax(predictor, axis=-1)
    return predictor[:, :, output.component].mean(0)


def _of_output(
    output: Output, covariates: jax.Array, features: jax.Array, factors: jax.Array
) -> jax.Array:
    """One output without its networks, (samples,)."""
    found = expected(output, covariates) + features @ output.weight + np.float32(output.constant)
    if output.products is not None:
        product = factors[:, output.products.factors].prod(-1)
        found = found + product @ output.products.weight
    return found


def _at_once(networks: Networks, features: jax.Array) -> jax.Array:
    """What the networks add, (samples,)."""
    params = jax.tree.map(jnp.asarray, networks.params)
    mean = mean_prediction(networks.network, True)
    read = features[:, networks.columns].swapaxes(0, 1)
    seen = jnp.where(networks.columns[:, None] >= 0, read, 0)
    each = jax.vmap(mean)(params, seen)
    return networks.weight @ (each - networks.centre[:, None])


def _one_by_one(networks: Networks, features: jax.Array) -> jax.Array:
    """The same, without a program that is mapped over networks."""
    total = jnp.zeros_like(features[:, 0])
    for task, weight in enumerate(networks.weight):
        params = jax.tree.map(lambda leaf, task=task: jnp.asarray(leaf[task]), networks.params)
        columns = networks.columns[task]
        seen = features[:, columns] * np.asarray(columns >= 0, np.float32)
        rows = (seen - params["x_centre"]) / params["x_scale"]
        mean = jnp.zeros_like(total)
        for member, share in enumerate(np.asarray(networks.params["share"][task])):
            own = {name: leaf[member] for name, leaf in params["members"].items()}
            mean = mean + np.float32(share) * apply(networks.network, own, rows)[:, 0]
        scaled = mean * params["y_scale"][0] + params["y_centre"][0]
        total = total + np.float32(weight) * (scaled - np.float32(networks.centre[task]))
    return total
