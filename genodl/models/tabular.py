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
    pathways : bool or 0/1, (genes, sets), which gene belongs to which set; None for no sets
    set_hidden : units of each set
    gene_names, pathway_names : one a gene and one a set, in order; numbers where empty
    """

    membership: Any = None
    hidden: int = 6
    dropout: float = 0.0
    pathways: Any = None
    set_hidden: int = 4
    gene_names: tuple[str, ...] = ()
    pathway_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_positive(hidden=self.hidden, set_hidden=self.set_hidden)
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
    """One small branch a gene over its own markers, one a set over its genes; all add up."""

    def __init__(self, config: PathwayConfig, inputs: int, outputs: int, *, rngs: nnx.Rngs):
        membership = _checked_mask("membership", config.membership, inputs, ("inputs", "genes"))
        index, present = slots(membership)
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
        self.gene_names = _checked_names(config.gene_names, genes, kind="gene")
        sets = np.zeros((genes, 0), bool)
        if config.pathways is not None:
            sets = _checked_mask("pathways", config.pathways, genes, ("genes", "sets"))
        self.pathway_names = _checked_names(config.pathway_names, sets.shape[1], kind="pathway")
        if self.pathway_names:
            self._add_sets(sets, config, outputs, rngs=rngs)

    def _add_sets(
        self, sets: np.ndarray, config: PathwayConfig, outputs: int, *, rngs: nnx.Rngs
    ) -> None:
        """The branches of the sets, over the units of their genes."""
        index, present = slots(sets)
        self.set_index = Structure(jnp.asarray(index))
        self.set_present = Structure(jnp.asarray(present))
        shape = (*index.shape, config.hidden, config.set_hidden)
        fan = np.sqrt(np.maximum(present.sum(axis=1), 1.0) * config.hidden)
        draw = jax.random.normal(rngs.params(), shape) / fan[:, None, None, None]
        self.set_branch = nnx.Param(draw * present[:, :, None, None])
        self.set_bias = nnx.Param(jnp.zeros((len(index), config.set_hidden)))
        self.set_out = nnx.Param(jnp.zeros((len(index), config.set_hidden, outputs)))

    def __call__(self, x: jax.Array, key: jax.Array | None = None) -> jax.Array:
        """Predictions, (batch, outputs); a key turns dropout on."""
        genes, sets = self.contributions(x, key)
        total = genes.sum(axis=1) + self.offset[...]
        return total + sets.sum(axis=1) if self.pathway_names else total

    def activity(self, x: jax.Array, key: jax.Array | None = None) -> jax.Array:
        """What each gene adds to the prediction by itself, (batch, genes, outputs)."""
        return self.contributions(x, key)[0]

    def contributions(
        self, x: jax.Array, key: jax.Array | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """What each gene adds by itself, and the genes of each set together.

        They are (batch, genes, outputs) and (batch, sets, outputs), and with the offset add up to
        the prediction.
        """
        members = x[:, self.index[...]] * self.present[...]
        hidden = jnp.einsum("bgs,gsh->bgh", members, self.branch[...]) + self.bias[...]
        hidden = drop(jax.nn.gelu(hidden), self.dropout, key, layer=0)
        genes = jnp.einsum("bgh,gho->bgo", hidden, self.out[...])
        return genes, self._of_sets(hidden, key) if self.pathway_names else genes[:, :0]

    def _of_sets(self, genes: jax.Array, key: jax.Array | None) -> jax.Array:
        """What each set makes of the units of its genes, (batch, genes, hidden)."""
        weights = self.set_branch[...] * self.set_present[...][:, :, None, None]
        members = genes[:, self.set_index[...]]
        hidden = jnp.einsum("bpsh,pshu->bpu", members, weights) + self.set_bias[...]
        hidden = drop(jax.nn.gelu(hidden), self.dropout, key, layer=1)
        return jnp.einsum("bpu,puo->bpo", hidden, self.set_out[...])

    def shrink(self, amount: jax.Array) -> None:
        """Pull each gene's branch towards zero by the amount a weight, each set's a unit."""
        size = self.present[...].sum(axis=1) * self.branch.shape[2]
        self.branch[...] = soften_groups(self.branch[...], amount * jnp.sqrt(size))
        if self.pathway_names:  # a weight of a large set is small: by weights it would die at once
            units = self.set_branch.shape[3]
            self.set_branch[...] = soften_groups(self.set_branch[...], amount * jnp.sqrt(units))


def soften(weights: jax.Array, amount: jax.Array) -> jax.Array:
    """Weights nearer to zero by the amount, zero where they were within it."""
    return jnp.sign(weights) * jnp.maximum(jnp.abs(weights) - amount, 0.0)


def soften_groups(weights: jax.Array, amount: jax.Array) -> jax.Array:
    """Weights with the norm of each group, the first axis, nearer to zero by its amount."""
    inner = tuple(range(1, weights.ndim))
    norm = jnp.sqrt(jnp.square(weights).sum(axis=inner) + EPSILON)
    kept = jnp.maximum(1.0 - amount / norm, 0.0)
    return weights * jnp.expand_dims(kept, inner)


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


def _checked_mask(name: str, mask: Any, rows: int, axes: tuple[str, str]) -> np.ndarray:
    """Which row belongs to which column as bool, its shape checked."""
    known = np.zeros((0, 0)) if mask is None else np.asarray(mask)
    if known.ndim != 2 or known.shape[0] != rows or known.shape[1] == 0:
        raise InputError(
            f"{name} is {known.shape}, the {axes[0]} are {rows}",
            where="[model] pathway",
            mend=f"pass {name} as ({', '.join(axes)}), one row for each of the {axes[0]}",
        )
    return known.astype(bool)


def _checked_names(names: tuple[str, ...], count: int, *, kind: str) -> tuple[str, ...]:
    """The names of genes or of pathways, as many as there are; their numbers where not given."""
    if len(names) not in (0, count):
        raise InputError(
            f"the names are {len(names)}, the {kind}s are {count}",
            where=f"[model] {kind}_names",
            mend=f"give one name a {kind}, in order, or leave them out",
        )
    return tuple(map(str, names)) or tuple(map(str, range(count)))


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
