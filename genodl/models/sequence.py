"""Networks over markers in genome order: windows that slide along each contig.

Every marker has a gain, which training can shrink to nothing, and a place of its own in the
readout: what a window means depends on where it lies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from genodl.errors import InputError
from genodl.models.tabular import Structure, check_dropout, check_positive, drop, slots, soften


@dataclass(frozen=True, kw_only=True)
class CNNConfig:
    """Settings of `CNN`.

    Attributes
    ----------
    contigs : markers of each contig, in the order of the inputs; () for a single contig
    width : channels of each layer
    window : markers that a layer sees around each, odd
    depth : layers
    norm : LayerNorm before each GELU
    missing : whether the inputs end with one 0/1 column a marker that says it was not called
    dropout : share of hidden units silenced at random in training, in [0, 1)
    """

    contigs: tuple[int, ...] = ()
    width: int = 8
    window: int = 5
    depth: int = 2
    norm: bool = False
    missing: bool = False
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_positive(width=self.width, depth=self.depth, window=self.window)
        if self.window % 2 == 0:
            raise InputError(
                f"window is {self.window}", where="[model] window", mend="give an odd number"
            )
        check_dropout(self.dropout)


@dataclass(frozen=True, kw_only=True)
class RecurrentConfig:
    """Settings of `LSTM` and `GRU`.

    Attributes
    ----------
    contigs : markers of each contig, in the order of the inputs; () for a single contig
    width : hidden units of each direction
    missing : whether the inputs end with one 0/1 column a marker that says it was not called
    dropout : share of hidden units silenced at random in training, in [0, 1)
    """

    contigs: tuple[int, ...] = ()
    width: int = 8
    missing: bool = False
    dropout: float = 0.0

    def __post_init__(self) -> None:
        check_positive(width=self.width)
        check_dropout(self.dropout)


class _Ordered(nnx.Module):
    """The markers of each contig as a row of slots, and the readout of what is made of them."""

    def __init__(self, config: Any, inputs: int, outputs: int, hidden: int):
        self.markers = markers_of(inputs, missing=config.missing)
        index, present = slots(_contigs(config.contigs, self.markers))
        self.dropout = config.dropout
        self.index = Structure(jnp.asarray(index))
        self.present = Structure(jnp.asarray(present))
        self.gain = nnx.Param(jnp.full((self.markers,), self.markers**-0.5))
        self.read = nnx.Param(jnp.zeros((*index.shape, hidden, outputs)))
        self.offset = nnx.Param(jnp.zeros((outputs,)))

    def laid(self, x: jax.Array) -> jax.Array:
        """Inputs in their slots, (batch, contigs, slots, channels)."""
        channels = x.reshape(len(x), -1, self.markers) * self.gain[...]
        rows = jnp.moveaxis(channels, 1, 2)[:, self.index[...]]
        return rows * self.present[...][:, :, None]

    def readout(self, hidden: jax.Array, key: jax.Array | None) -> jax.Array:
        """Predictions, (batch, outputs), from (batch, contigs, slots, hidden)."""
        kept = drop(hidden * self.present[...][:, :, None], self.dropout, key, layer=0)
        return jnp.einsum("bcsh,csho->bo", kept, self.read[...]) + self.offset[...]

    def shrink(self, amount: jax.Array) -> None:
        """Pull the gain of every marker towards zero by the amount."""
        self.gain[...] = soften(self.gain[...], amount)


class CNN(_Ordered):
    """Convolutions along each contig, and a readout at every marker."""

    def __init__(self, config: CNNConfig, inputs: int, outputs: int, *, rngs: nnx.Rngs):
        super().__init__(config, inputs, outputs, config.width)
        self.depth, self.norm, self.window = config.depth, config.norm, config.window
        before = 1 + config.missing
        for i in range(self.depth):
            seen = config.window * before
            setattr(self, f"conv{i}", nnx.Linear(seen, config.width, rngs=rngs))
            if self.norm:
                setattr(self, f"norm{i}", nnx.LayerNorm(config.width, rngs=rngs))
            before = config.width

    def __call__(self, x: jax.Array, key: jax.Array | None = None) -> jax.Array:
        """Predictions, (batch, outputs); a key turns dropout on."""
        hidden = self.laid(x)
        shape = hidden.shape[:3]
        hidden = hidden.reshape(-1, *hidden.shape[2:])
        present = jnp.tile(self.present[...], (shape[0], 1))[:, :, None]
        for i in range(self.depth):
            # a window sees nothing beyond the end of its contig
            hidden = getattr(self, f"conv{i}")(windows(hidden * present, self.window))
            hidden = jax.nn.gelu(getattr(self, f"norm{i}")(hidden) if self.norm else hidden)
        return self.readout(hidden.reshape(*shape, -1), key)


class _Recurrent(_Ordered):
    """A cell that walks along each contig in both directions, and a readout at every marker."""

    cell: Any

    def __init__(self, config: RecurrentConfig, inputs: int, outputs: int, *, rngs: nnx.Rngs):
        super().__init__(config, inputs, outputs, 2 * config.width)
        self.width = config.width
        channels = 1 + config.missing
        self.forward = self.cell(channels, config.width, rngs=rngs)
        self.backward = self.cell(channels, config.width, rngs=rngs)

    def start(self, rest: jax.Array) -> Any:
        """The state before the first marker."""
        return rest

    def __call__(self, x: jax.Array, key: jax.Array | None = None) -> jax.Array:
        """Predictions, (batch, outputs); a key turns dropout on."""
        steps = jnp.moveaxis(self.laid(x), 2, 0)
        present = self.present[...].T[:, None, :, None]
        rest = jnp.zeros((*steps.shape[1:3], self.width), steps.dtype)

        def walk(cell: Any, *, reverse: bool) -> jax.Array:
            def step(state: Any, at: tuple[jax.Array, jax.Array]) -> tuple[Any, jax.Array]:
                marker, here = at
                moved, out = cell(state, marker)
                # padding is passed over: the way back begins at the last marker
                kept = jax.tree.map(lambda new, old: jnp.where(here > 0, new, old), moved, state)
                return kept, out

            return jax.lax.scan(step, self.start(rest), (steps, present), reverse=reverse)[1]

        both = [walk(self.forward, reverse=False), walk(self.backward, reverse=True)]
        return self.readout(jnp.moveaxis(jnp.concatenate(both, axis=-1), 0, 2), key)


class LSTM(_Recurrent):
    """Long short-term memory along each contig, in both directions."""

    cell = nnx.LSTMCell

    def start(self, rest: jax.Array) -> Any:
        """Memory and output before the first marker."""
        return rest, rest


class GRU(_Recurrent):
    """Gated recurrent units along each contig, in both directions."""

    cell = nnx.GRUCell


def windows(rows: jax.Array, window: int) -> jax.Array:
    """What a window around each slot holds, (rows, slots, window * channels), 0 beyond the ends.

    A product of it with a kernel is a convolution. Mapped over networks it stays one product, where
    a convolution becomes one in groups, which XLA runs more slowly on processors.

    Parameters
    ----------
    rows : (rows, slots, channels)
    window : slots, odd
    """
    side, slots = window // 2, rows.shape[1]
    padded = jnp.pad(rows, ((0, 0), (side, side), (0, 0)))
    return jnp.concatenate([padded[:, i : i + slots] for i in range(window)], axis=2)


def markers_of(inputs: int, *, missing: bool) -> int:
    """The markers behind some inputs, of which half say what was not called if they do."""
    if missing and inputs % 2:
        raise InputError(
            f"the inputs are {inputs}, an odd number",
            where="[model] missing",
            mend="pass one 0/1 column a marker after the markers, or leave missing out",
        )
    return inputs // (1 + missing)


def _contigs(lengths: Sequence[int], markers: int) -> np.ndarray:
    """Which marker lies on which contig, bool, (markers, contigs)."""
    lengths = tuple(lengths) or (markers,)
    if sum(lengths) != markers or min(lengths) < 1:
        raise InputError(
            f"contigs hold {sum(lengths)} markers, the inputs {markers}",
            where="[model] contigs",
            mend="give the markers of each contig, in the order of the inputs",
        )
    return np.repeat(np.eye(len(lengths), dtype=bool), lengths, axis=0)
