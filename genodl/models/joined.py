"""Networks over sets: of markers (attention) and of modalities (fusion)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from genodl.errors import InputError
from genodl.models.sequence import markers_of
from genodl.models.tabular import SPREAD, ZERO, check_dropout, check_positive, drop, soften

ABSENT = 7  # stream of random numbers that drops modalities


@dataclass(frozen=True, kw_only=True)
class AttentionConfig:
    """Settings of `Attention`.

    Attributes
    ----------
    width : of the token of a marker
    heads : of the attention, a divisor of width
    points : inducing points that markers exchange through, which keeps the cost linear
    depth : blocks of attention
    missing : whether the inputs end with one 0/1 column a marker that says it was not called
    dropout : share of hidden units silenced at random in training, in [0, 1)
    """

    width: int = 16
    heads: int = 2
    points: int = 4
    depth: int = 1
    missing: bool = False
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_positive(width=self.width, heads=self.heads, points=self.points, depth=self.depth)
        if self.width % self.heads:
            raise InputError(
                f"width is {self.width}, heads are {self.heads}",
                where="[model] heads",
                mend="give a divisor of width",
            )
        check_dropout(self.dropout)


@dataclass(frozen=True, kw_only=True)
class FusionConfig:
    """Settings of `Fusion`.

    Attributes
    ----------
    modalities : inputs of each modality, in their order
    branch : width of the layer of each modality
    joined : width of the layer over all
    present : whether the inputs end with one 0/1 column a modality that says it was measured
    absent : share of the rows that a modality is hidden from in training, in [0, 1)
    dropout : share of hidden units silenced at random in training, in [0, 1)
    """

    modalities: tuple[int, ...] = ()
    branch: int = 16
    joined: int = 8
    present: bool = False
    absent: float = 0.1
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_positive(branch=self.branch, joined=self.joined)
        check_dropout(self.absent, name="absent")
        check_dropout(self.dropout)


class Block(nnx.Module):
    """Queries attend to values; then each is changed by a dense layer of its own.

    Source
    ------
    Lee and others 2019, Set Transformer: the multihead attention block.
    """

    def __init__(self, width: int, heads: int, *, rngs: nnx.Rngs):
        self.attend = nnx.MultiHeadAttention(heads, width, decode=False, rngs=rngs)
        self.first, self.second = nnx.LayerNorm(width, rngs=rngs), nnx.LayerNorm(width, rngs=rngs)
        self.dense = nnx.Linear(width, width, rngs=rngs)

    def __call__(self, queries: jax.Array, values: jax.Array) -> jax.Array:
        """Tokens, (batch, queries, width)."""
        found = self.first(queries + self.attend(queries, values))
        return self.second(found + jax.nn.gelu(self.dense(found)))


class Attention(nnx.Module):
    """A set transformer: one token a marker, whatever their order.

    Source
    ------
    Lee and others 2019, Set Transformer, with induced set attention and pooling by attention.
    """

    def __init__(self, config: AttentionConfig, inputs: int, outputs: int, *, rngs: nnx.Rngs):
        self.markers = markers_of(inputs, missing=config.missing)
        width, heads = config.width, config.heads
        self.depth, self.dropout = config.depth, config.dropout
        self.gain = nnx.Param(jnp.full((self.markers,), self.markers**-0.5))
        self.identity = nnx.Param(SPREAD(rngs.params(), (self.markers, width)))
        shape = (1 + config.missing, self.markers, width)
        self.value = nnx.Param(jax.random.normal(rngs.params(), shape))
        for i in range(self.depth):
            points = jax.random.normal(rngs.params(), (config.points, width))
            setattr(self, f"points{i}", nnx.Param(points))
            setattr(self, f"gather{i}", Block(width, heads, rngs=rngs))
            setattr(self, f"spread{i}", Block(width, heads, rngs=rngs))
        self.seed = nnx.Param(jax.random.normal(rngs.params(), (1, width)))
        self.pool = Block(width, heads, rngs=rngs)
        self.out = nnx.Linear(width, outputs, kernel_init=ZERO, rngs=rngs)

    def __call__(self, x: jax.Array, key: jax.Array | None = None) -> jax.Array:
        """Predictions, (batch, outputs); a key turns dropout on."""
        channels = x.reshape(len(x), -1, self.markers) * self.gain[...]
        tokens = jnp.einsum("bcm,cmw->bmw", channels, self.value[...]) + self.identity[...]

        def every_row(points: jax.Array) -> jax.Array:
            return jnp.broadcast_to(points, (len(x), *points.shape))

        for i in range(self.depth):
            points = every_row(getattr(self, f"points{i}")[...])
            gathered = getattr(self, f"gather{i}")(points, tokens)
            tokens = getattr(self, f"spread{i}")(tokens, gathered)
        pooled = self.pool(every_row(self.seed[...]), tokens)[:, 0]
        return self.out(drop(pooled, self.dropout, key, layer=0))

    def shrink(self, amount: jax.Array) -> None:
        """Pull the gain of every marker towards zero by the amount."""
        self.gain[...] = soften(self.gain[...], amount)


class Fusion(nnx.Module):
    """One branch a modality, joined late; a row may lack some of the modalities."""

    def __init__(self, config: FusionConfig, inputs: int, outputs: int, *, rngs: nnx.Rngs):
        self.widths = _modalities(config, inputs)
        self.present, self.absent, self.dropout = config.present, config.absent, config.dropout
        for i, width in enumerate(self.widths):
            layer = nnx.Linear(width, config.branch, bias_init=SPREAD, rngs=rngs)
            setattr(self, f"branch{i}", layer)
        self.unknown = nnx.Param(jnp.zeros((len(self.widths), config.branch)))
        self.join = nnx.Linear(len(self.widths) * config.branch, config.joined, rngs=rngs)
        self.out = nnx.Linear(config.joined, outputs, kernel_init=ZERO, rngs=rngs)

    def __call__(self, x: jax.Array, key: jax.Array | None = None) -> jax.Array:
        """Predictions, (batch, outputs); a key turns dropout, of modalities too, on."""
        spans = list(pairwise(np.cumsum([0, *self.widths]).tolist()))
        branches = [
            jax.nn.gelu(getattr(self, f"branch{i}")(x[:, start:stop]))
            for i, (start, stop) in enumerate(spans)
        ]
        known = self._known(x, key)[:, :, None]
        seen = known * jnp.stack(branches, axis=1) + (1 - known) * self.unknown[...]
        joined = jax.nn.gelu(self.join(seen.reshape(len(x), -1)))
        return self.out(drop(joined, self.dropout, key, layer=0))

    def _known(self, x: jax.Array, key: jax.Array | None) -> jax.Array:
        """0/1, (batch, modalities): measured, and in training not hidden."""
        count = len(self.widths)
        known = x[:, -count:] if self.present else jnp.ones((len(x), count), x.dtype)
        if key is None or self.absent == 0.0:
            return known
        shown = jax.random.bernoulli(
            jax.random.fold_in(key, ABSENT), 1.0 - self.absent, known.shape
        )
        left = known * shown
        # a row is never left without any of what it has
        return jnp.where(left.any(axis=1, keepdims=True), left, known)

    def shrink(self, amount: jax.Array) -> None:
        """Pull every weight of the branches towards zero by the amount."""
        for i in range(len(self.widths)):
            kernel = getattr(self, f"branch{i}").kernel
            kernel[...] = soften(kernel[...], amount)


def _modalities(config: FusionConfig, inputs: int) -> tuple[int, ...]:
    """Inputs of each modality, checked against all that there are."""
    widths = tuple(config.modalities) or (inputs,)
    total = sum(widths) + config.present * len(widths)
    if total != inputs or min(widths) < 1:
        raise InputError(
            f"modalities make {total} inputs, there are {inputs}",
            where="[model] modalities",
            mend="give the inputs of each modality, in their order",
        )
    return widths
