"""Attributions from predictions alone, as inputs or groups of inputs are replaced.

A group (a gene, a pathway, a window) is replaced as one, and its score is shared equally by its
inputs, so that sums over inputs, groups and samples keep their meaning.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from genodl.attribute.gradients import (
    Batch,
    Found,
    Predict,
    along,
    explained,
    mean_and_error,
    moments,
    no_moments,
)
from genodl.attribute.local import Window, after
from genodl.attribute.program import environment, read
from genodl.attribute.trace import body, captured
from genodl.errors import InputError

# Mutants predicted together.
MUTANTS = 256


def occlusion(predict: Predict, batch: Batch, *, window: Any = 1, stride: Any = None) -> Any:
    """Fall of the prediction as a window takes the baseline, mean over the windows on an input.

    Parameters
    ----------
    window : length along the first input axis (over all of the others), or one length an axis
    stride : step between windows, in the same form; 1 by default. A last window ends with the input

    Source
    ------
    Zeiler and Fergus 2014, section 4.2.
    """
    leaves, tree = jax.tree.flatten(batch.x)
    number = explained(predict, batch.target)
    closed = captured(number, tree, leaves, body)
    base = environment(closed, leaves)
    whole = read(base, closed.jaxpr.outvars[0])
    found = []
    for place, (leaf, start) in enumerate(
        zip(leaves, jax.tree.leaves(batch.baseline), strict=True)
    ):
        size, corners = windows(leaf.shape[1:], window, stride)
        source = closed.jaxpr.invars[place]

        def ask(
            corner: jax.Array,
            source: Any = source,
            leaf: jax.Array = leaf,
            start: jax.Array = start,
            size: tuple[int, ...] = size,
        ) -> jax.Array:
            # Only the positions under the window change, whatever the other axes do.
            inside = box((size[0], *leaf.shape[2:]), corner.at[0].set(0), size)
            there, filler = (
                jax.lax.dynamic_slice_in_dim(v, corner[0], size[0], axis=1) for v in (leaf, start)
            )
            changed = Window(corner[0], jnp.where(inside, filler, there))
            return whole - after(closed, base, {source: changed})

        together = max(1, min(MUTANTS // leaf.shape[0], len(corners)))
        falls = jax.lax.map(ask, jnp.asarray(corners), batch_size=together)
        found.append(averaged(falls, leaf, corners, size))
    return jax.tree.unflatten(tree, found)


def averaged(
    falls: jax.Array, leaf: jax.Array, corners: np.ndarray, size: tuple[int, ...]
) -> jax.Array:
    """Each input's mean over the windows on it, from falls of (windows, batch)."""

    def add(carry: tuple, one: tuple) -> tuple[tuple, None]:
        total, count = carry
        fall, corner = one
        inside = box(leaf.shape[1:], corner, size)
        return (total + along(fall, leaf) * inside, count + inside), None

    zero = (jnp.zeros_like(leaf), jnp.zeros(leaf.shape[1:], leaf.dtype))
    (total, count), _ = jax.lax.scan(add, zero, (falls, jnp.asarray(corners)))
    return total / jnp.maximum(count, 1)


def windows(shape: tuple[int, ...], window: Any, stride: Any) -> tuple[tuple[int, ...], np.ndarray]:
    """Size of the windows on a leaf, and their corners, (windows, axes)."""
    size = window if isinstance(window, tuple) else (window, *shape[1:])
    step = stride if isinstance(stride, tuple) else (stride or 1, *shape[1:])
    if isinstance(window, tuple) and not isinstance(stride, tuple):
        step = (stride or 1,) * len(size)
    if len(size) != len(shape) or len(step) != len(shape) or min((*size, *step)) < 1:
        raise InputError(
            f"window {window!r} and stride {stride!r} for inputs of {shape}",
            where="occlusion",
            mend="give one positive length, or one for each input axis",
        )
    size = tuple(min(s, n) for s, n in zip(size, shape, strict=True))
    axes = [
        # The last window is moved back to the end, so that no input is left out.
        np.unique(np.minimum(np.arange(0, n - s + t, t), n - s))
        for n, s, t in zip(shape, size, step, strict=True)
    ]
    return size, np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(shape))


def box(shape: tuple[int, ...], corner: jax.Array, size: tuple[int, ...]) -> jax.Array:
    """bool, of the shape, true in the window at a corner."""
    inside = jnp.ones(shape, bool)
    for axis, length in enumerate(size):
        place = jax.lax.broadcasted_iota(jnp.int32, shape, axis)
        inside &= (place >= corner[axis]) & (place < corner[axis] + length)
    return inside


def ism(predict: Predict, batch: Batch, *, onehot: bool = False) -> Any:
    """Change of the prediction by every single substitution, (batch, length, channels).

    Zero where the letter is the one already there; a position without a letter takes each in turn.

    Parameters
    ----------
    onehot : whether every position is known to hold a letter, which saves asking for it again;
        `attribute` finds out itself
    """
    leaves, tree = jax.tree.flatten(batch.x)
    if any(v.ndim != 3 for v in leaves):
        raise InputError(
            f"inputs have shapes {[v.shape[1:] for v in leaves]}",
            where="ism",
            mend="give one-hot sequences, (samples, length, channels)",
        )
    number = explained(predict, batch.target)
    closed = captured(number, tree, leaves, body)
    base = environment(closed, leaves)
    whole = read(base, closed.jaxpr.outvars[0])
    found = []
    for place, leaf in enumerate(leaves):
        length, channels = leaf.shape[1:]
        letters = jnp.argmax(leaf, axis=-1)
        first = 1 if onehot else 0
        source = closed.jaxpr.invars[place]

        def change(
            mutation: jax.Array,
            source: Any = source,
            channels: int = channels,
            letters: jax.Array = letters,
        ) -> jax.Array:
            site, shift = mutation[0], mutation[1]
            letter = (letters[:, site] + shift) % channels
            base_there = jax.nn.one_hot(letter, channels, dtype=base[source].dtype)[:, None]
            return after(closed, base, {source: Window(site, base_there)}) - whole

        shifts = np.arange(first, channels)
        sites = np.stack(np.meshgrid(np.arange(length), shifts, indexing="ij"), axis=-1)
        together = max(1, min(MUTANTS // leaf.shape[0], sites.shape[0] * sites.shape[1]))
        changes = jax.lax.map(change, jnp.asarray(sites.reshape(-1, 2)), batch_size=together)
        changes = changes.T.reshape(leaf.shape[0], length, len(shifts))
        changes = jnp.pad(changes, ((0, 0), (0, 0), (first, 0)))
        # From shifts of the letter that is there to letters.
        back = (jnp.arange(channels) - letters[..., None]) % channels
        found.append(jnp.take_along_axis(changes, back, axis=-1))
    return jax.tree.unflatten(tree, found)


def is_onehot(x: Any) -> bool:
    """Whether every position of every sequence holds exactly one letter."""

    def one(v: Any) -> bool:
        values = np.asarray(v)
        return bool(((values == 0) | (values == 1)).all() and (values.sum(axis=-1) == 1).all())

    return all(one(v) for v in jax.tree.leaves(x))


def numbered(groups: Any, x: Any) -> tuple[Any, int]:
    """int32 group of each input, pytree of (inputs...), numbered from 0, and how many there are.

    Parameters
    ----------
    groups : pytree of labels shaped as one sample; None puts each input in a group of its own

    Raises
    ------
    InputError : the labels do not have the shape of a sample
    """
    leaves, tree = jax.tree.flatten(x)
    if groups is None:
        ends = np.cumsum([0] + [int(np.prod(v.shape[1:])) for v in leaves])
        spans = zip(ends[:-1], ends[1:], leaves, strict=True)
        own = [np.arange(a, b, dtype=np.int32).reshape(v.shape[1:]) for a, b, v in spans]
        return jax.tree.unflatten(tree, own), int(ends[-1])
    labels = jax.tree.leaves(jax.tree.map(lambda _, g: np.asarray(g), x, groups))
    if [g.shape for g in labels] != [v.shape[1:] for v in leaves]:
        raise InputError(
            f"groups are {[g.shape for g in labels]}, inputs {[v.shape[1:] for v in leaves]}",
            where="attribute groups",
            mend="give one label for each input",
        )
    names, codes = np.unique(np.concatenate([g.ravel() for g in labels]), return_inverse=True)
    cuts = np.cumsum([g.size for g in labels])[:-1]
    each = [
        c.reshape(g.shape).astype(np.int32)
        for c, g in zip(np.split(codes, cuts), labels, strict=True)
    ]
    return jax.tree.unflatten(tree, each), len(names)


def ablation(predict: Predict, batch: Batch, *, groups: Any = None) -> Any:
    """Fall of the prediction as each group of inputs is replaced by the baseline.

    Parameters
    ----------
    groups : pytree of labels (genes, pathways), shaped as one sample; each input alone by default
    """
    labels, count = groups
    number = explained(predict, batch.target)
    whole = number(batch.x)

    def fall(group: jax.Array) -> jax.Array:
        hidden = jax.tree.map(
            lambda v, b, g: jnp.where(g == group, b, v), batch.x, batch.baseline, labels
        )
        return whole - number(hidden)

    return spread(jax.lax.map(fall, jnp.arange(count)).T, labels, count)


def spread(scores: jax.Array, labels: Any, count: int) -> Any:
    """Scores of groups, (batch, groups), shared equally by the inputs of each."""
    flat = jnp.concatenate([jnp.ravel(g) for g in jax.tree.leaves(labels)])
    size = jnp.zeros(count, scores.dtype).at[flat].add(1)
    return jax.tree.map(lambda g: (scores / size)[:, g], labels)


def permutation(predict: Predict, batch: Batch, *, groups: Any = None) -> Found:
    """Mean fall of the prediction as each group takes the values of background samples.

    The standard error is that of the mean over the background. Source: Breiman 2001, section 10,
    for single samples.
    """
    labels, count = groups
    number = explained(predict, batch.target)
    whole = number(batch.x)
    members = jax.tree.map(lambda b: jnp.moveaxis(b, 1, 0), batch.baseline)

    def falls(carry: tuple, member: Any) -> tuple[tuple, None]:
        def fall(group: jax.Array) -> jax.Array:
            return whole - number(
                jax.tree.map(lambda v, b, g: jnp.where(g == group, b, v), batch.x, member, labels)
            )

        return moments(carry, jax.lax.map(fall, jnp.arange(count)).T), None

    like = jnp.zeros((len(batch.rows), count), whole.dtype)
    mean, error = mean_and_error(jax.lax.scan(falls, no_moments(like), members)[0])
    return Found(spread(mean, labels, count), spread(error, labels, count))
