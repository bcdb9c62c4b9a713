"""Networks over a table of markers: linear, mlp and pathway.

Each maps (batch, inputs) to (batch, outputs) row by row. The output layer starts at zero, so an
untrained network predicts zero: early stopping may then choose to have learnt nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from genodl.errors import InputError

ZERO = nnx.initializers.zeros_init()
SPREAD = nnx.initializers.normal(0.5)  # units bend at different places
EPSILON = 1e-12  # keeps a division by a norm finite


class Structure(nnx.Variable):
    """What is known beforehand about the inputs and is not trained."""


@dataclass(frozen=True, kw_only=True)
class LinearConfig:
    """Settings of `Linear`: none."""


@dataclass(frozen=True, kw_only=True)
class MLPConfig:
    """Settings of `MLP`.

    Attributes
    ----------
    hidden : widths of the hidden layers
    norm : LayerNorm before each GELU; off since it undoes the shrinking of the first layer
    dropout : share of hidden units silenced at random in training, in [0, 1)
    """

    hidden: tuple[int, ...] = (32, 8)
    norm: bool = False
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if not self.hidden or min(self.hidden) < 1:
            raise InputError(
                f"hidden is {tuple(self.hidden)}",
                where="[model] hidden",
                mend="give at least one width of 1 or more",
            )
        check_dropout(self.dropout)


@dataclass(frozen=True, kw_only=True)
class PathwayConfig:
    """Settings of `Pathway`.

    Attributes
    ----------
    membership : bool or 0/1, (markers, genes), which marker belongs to which gene; a marker may
        belong to several; one that belongs to none has no part in the prediction
    hidden : units of each gene's branch
    dropout : share of hidden units silenced at random in training, in [0, 1)
    """

    membership: Any = None
    hidden: int = 6
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_positive(hidden=self.hidden)
        check_dropout(self.dropout)


class Linear(nnx.Module):
    """A weighted sum of the inputs."""

    def __init__(self, config: LinearConfig, inputs: int, outputs: int, *, rngs: nnx.Rngs):
        del config
        self.out = nnx.Linear(inputs, outputs, kernel_init=ZERO, rngs=rngs)

    def __call__(self, x: jax.Array, key: jax.Array | None = None) -> jax.Array:
        """Predictions, (batch, outputs)."""
        return self.out(x)

    def shrink(self, amount: jax.Array) -> None:
        """Pull every weight towards zero by the amount."""
        self.out.kernel[...] = soften(self.out.kernel[...], amount)


class MLP(nnx.Module):
    """Dense layers with GELU; its first layer can be made sparse."""

    def __init__(self, config: MLPConfig, inputs: int, outputs: int, *, rngs: nnx.Rngs):
        widths = (inputs, *config.hidden)
        self.depth = len(config.hidden)
        self.dropout = config.dropout
        self.norm = config.norm
        for i, (before, after) in enumerate(pairwise(widths)):
            setattr(self, f"dense{i}", nnx.Linear(before, after, bias_init=SPREAD, rngs=rngs))
            if self.norm:
                setattr(self, f"norm{i}", nnx.LayerNorm(after, rngs=rngs))
        self.out = nnx.Linear(widths[-1], outputs, kernel_init=ZERO, rngs=rngs)

    def __call__(self, x: jax.Array, key: jax.Array | None = None) -> jax.Array:
        """Predictions, (batch, outputs); a key turns dropout on."""
        for i in range(self.depth):
            x = getattr(self, f"dense{i}")(x)
            x = jax.nn.gelu(getattr(self, f"norm{i}")(x) if self.norm else x)
            x = drop(x, self.dropout, key, layer=i)
        return self.out(x)

    def shrink(self, amount: jax.Array) -> None:
        """Pull every weight of the first layer towards zero by the amount."""
        first = getattr(self, "dense0")  # noqa: B009
        first.kernel[...] = soften(first.kernel[...], amount)


class Pathway(nnx.Module):
    """One small branch a gene over its own markers; the branches add up."""

    def __init__(self, config: PathwayConfig, inputs: int, outputs: int, *, rngs: nnx.Rngs):
        index, present = slots(_checked_membership(config.membership, inputs))
        genes, size = index.shape
        self.dropout = config.dropout
        self.index = Structure(jnp.asarray(index))
        self.present = Structure(jnp.asarray(present))
        fan = np.sqrt(np.maximum(present.sum(axis=1), 1.0))[:, None, None]
        draw = jax.random.normal(rngs.params(), (genes, size, config.hidden))
        self.branch = nnx.Param(draw / fan * present[:, :, None])
        self.bias = nnx.Param(jnp.zeros((genes, config.hidden)))
        self.out = nnx.Param(jnp.zeros((genes, config.hidden, outputs)))
        self.offset = nnx.Param(jnp.zeros((outputs,)))

    def __call__(self, x: jax.Array, key: jax.Array | None = None) -> jax.Array:
        """Predictions, (batch, outputs); a key turns dropout on."""
        return self.activity(x, key).sum(axis=1) + self.offset[...]

    def activity(self, x: jax.Array, key: jax.Array | None = None) -> jax.Array:
        """What each gene adds to the prediction, (batch, genes, outputs)."""
        members = x[:, self.index[...]] * self.present[...]
        hidden = jnp.einsum("bgs,gsh->bgh", members, self.branch[...]) + self.bias[...]
        hidden = drop(jax.nn.gelu(hidden), self.dropout, key, layer=0)
        return jnp.einsum("bgh,gho->bgo", hidden, self.out[...])

    def shrink(self, amount: jax.Array) -> None:
        """Pull each gene's branch towards zero by the amount a weight."""
        size = self.present[...].sum(axis=1) * self.branch.shape[2]
        norm = jnp.sqrt(jnp.square(self.branch[...]).sum(axis=(1, 2)) + EPSILON)
        kept = jnp.maximum(1.0 - amount * jnp.sqrt(size) / norm, 0.0)
        self.branch[...] = self.branch[...] * kept[:, None, None]


def soften(weights: jax.Array, amount: jax.Array) -> jax.Array:
    """Weights nearer to zero by the amount, zero where they were within it."""
    return jnp.sign(weights) * jnp.maximum(jnp.abs(weights) - amount, 0.0)


def drop(x: jax.Array, rate: float, key: jax.Array | None, *, layer: int) -> jax.Array:
    """Inverted dropout; the identity without a key or at rate zero."""
    if key is None or rate == 0.0:
        return x
    kept = jax.random.bernoulli(jax.random.fold_in(key, layer), 1.0 - rate, x.shape)
    return jnp.where(kept, x / (1.0 - rate), 0.0)


def slots(membership: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The markers of each gene as a padded list.

    Parameters
    ----------
    membership : bool, (markers, genes)

    Returns
    -------
    index : int32, (genes, slots), the marker in each slot, 0 where the slot is empty
    present : float32, (genes, slots), 1 where the slot holds a marker
    """
    size = max(int(membership.sum(axis=0).max(initial=0)), 1)
    index = np.zeros((membership.shape[1], size), np.int32)
    present = np.zeros((membership.shape[1], size), np.float32)
    for gene, column in enumerate(membership.T):
        markers = np.flatnonzero(column)
        index[gene, : len(markers)] = markers
        present[gene, : len(markers)] = 1.0
    return index, present


def _checked_membership(membership: Any, inputs: int) -> np.ndarray:
    """The membership as bool, (markers, genes), its shape checked."""
    known = np.zeros((0, 0)) if membership is None else np.asarray(membership)
    if known.ndim != 2 or known.shape[0] != inputs or known.shape[1] == 0:
        raise InputError(
            f"membership is {known.shape}, the inputs are {inputs}",
            where="[model] pathway",
            mend="pass membership as (markers, genes) with one row an input",
        )
    return known.astype(bool)


def check_dropout(rate: float, *, name: str = "dropout") -> None:
    """Refuse a share outside [0, 1)."""
    if not 0.0 <= rate < 1.0:
        raise InputError(
            f"{name} is {rate}", where=f"[model] {name}", mend="give a share from 0 to below 1"
        )


def check_positive(**settings: int) -> None:
    """Refuse a setting below 1."""
    for name, value in settings.items():
        if value < 1:
            raise InputError(f"{name} is {value}", where=f"[model] {name}", mend="give 1 or more")
