"""Exhaustive scan of pairwise products of markers, as matrix products."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from genodl.screen.precision import short_float
from genodl.screen.products import bound, strongest

SHORTLIST = 1024  # pairs of the scan that are scored exactly in every fold
TILE = 768  # columns of a square of pairs that is scored at once
OF_A_TILE = 256  # pairs of a tile that are summed up by fold
RUN = 64  # neighbouring pairs of which the best is looked at first
HALF, TOLD = 0.5, 0.85  # shares of samples, and of the response's energy, a tile is scored by
PARTS = 16  # those samples are a multiple of this part of all, so that few programs are compiled


def count(markers: int, partners: int = 0) -> tuple[int, int]:
    """Pairs of two markers, and pairs of a marker and a partner that is none."""
    return markers * (markers - 1) // 2, markers * partners


def shortlist(
    panel: np.ndarray, response: np.ndarray, *, folds: int = 1, markers: int | None = None
) -> np.ndarray:
    """The pairs whose product stands out in the training samples of any fold.

    The sums of product times response are one matrix product, over the half of the samples whose
    response is largest, or more until they have `TOLD` of its energy. Of a normal law that half
    has a share E = 0.93, and a pair of z keeps 0.93 z there with an error of sqrt(E (1 - E)) =
    0.26. The `OF_A_TILE` largest of each square of `TILE` x `TILE` pairs, by chance those beyond
    3.5 sqrt(E), are then summed up over all samples, fold by fold; the sums of a training fold are
    those of all samples less those of the fold it leaves out. So a pair of z 6.2, the least that
    is proposed of 20,000 markers, stands 9.1 such errors above what is passed over, and 8.7 or
    more under a uniform law, Laplace's, or Student's of 2.5 to 5 degrees of freedom. Memory is the
    panel, its short floats of those samples and a few tiles, whatever the number of pairs. Where
    the device multiplies them, the factors are rounded to eight bits there, which moves a z by
    about 0.005 of a standard error.

    Parameters
    ----------
    panel : float32, (places, columns), mean 0 and variance about 1, laid out fold by fold; fastest
        where a column is contiguous
    response : float32, (places,), mean 0, 0 where a place is not used
    folds : equal runs of places, each left out once; of one fold nothing is left out
    markers : columns that are paired with every later column; the rest are partners alone.
        All columns where None

    Returns
    -------
    int64, (2, pairs), columns first < second, at most `SHORTLIST` pairs, strongest first; only
    pairs whose approximate z reaches half of `bound`
    """
    columns = panel.shape[1]
    markers = columns if markers is None else markers
    energy = (response.reshape(folds, -1).astype(float) ** 2).sum(1)
    left = energy.sum() - (energy if folds > 1 else 0)
    families = [n for n in count(markers, columns - markers) if n]
    if not families or not np.all(left > 0):
        return np.zeros((2, 0), int)
    # half the bound leaves room for products whose variance is not one
    least = min(map(bound, families)) / 2
    scale = jnp.asarray(1 / np.sqrt(left), jnp.float32).reshape(-1)
    e = jnp.asarray(response, jnp.float32)
    telling = _telling(response)
    kept: list[np.ndarray] = [np.zeros((3, 0))]
    size = min(TILE, -(-columns // 128) * 128)
    told = [
        jnp.asarray(_tile(panel, j, size)[:, telling]).astype(short_float())
        for j in range(0, columns, size)
    ]
    for i in range(0, markers, size):
        rows = _tile(panel, i, size) * e
        short = rows[:, telling].astype(short_float())
        for j in range(i, columns, size):
            factors = (short, told[j // size], rows, _tile(panel, j, size))
            z, index = _best(*factors, scale, j - i, markers - i, folds=folds)
            a, b = np.divmod(np.asarray(index, np.int64), size)
            found = np.stack([np.asarray(z, float), a + i, b + j])
            kept.append(found[:, (found[0] >= least) & (found[2] < columns)])
        kept = [strongest(np.concatenate(kept, axis=1), SHORTLIST)]
    return kept[0][1:].astype(int)


def _telling(response: np.ndarray) -> np.ndarray:
    """The places of the largest responses, int, ascending: `HALF` of those used, or more.

    Energy alone would not do: of heavy tails a few samples have most of it, and what a product adds
    is in all.
    """
    energy = np.square(response.astype(float))
    order = np.argsort(-energy, kind="stable")
    held = np.cumsum(energy[order])
    step = -(-len(response) // PARTS)
    least = max(1 + np.searchsorted(held, TOLD * held[-1]), HALF * np.count_nonzero(energy))
    count = -(-int(np.ceil(least)) // step) * step
    return np.sort(order[:count])


def _tile(panel: np.ndarray, start: int, size: int) -> np.ndarray:
    """So many columns, (columns, places), those beyond the last 0."""
    tile = np.asarray(panel[:, start : start + size].T, np.float32)
    # padding copies even where nothing is missing
    return tile if len(tile) == size else np.pad(tile, ((0, size - len(tile)), (0, 0)))


@partial(jax.jit, static_argnames=("folds",))
def _best(
    short: jax.Array,
    told: jax.Array,
    rows: jax.Array,
    columns: jax.Array,
    scale: jax.Array,
    ahead: int,
    last: int,
    *,
    folds: int,
) -> tuple[jax.Array, jax.Array]:
    """The largest |z| in any training fold of a tile of pairs, and where they stand.

    Rows are those of the panel times the response; `short` and `told` are rows and columns at the
    samples that a tile is scored by. It is exact scores that decide, and short factors are
    multiplied twice as fast.
    """
    size = len(rows)
    total = jnp.einsum("ap,bp->ab", short, told, preferred_element_type=jnp.float32)
    row, column = jnp.arange(size)[:, None], jnp.arange(size)[None, :] + ahead
    strength = jnp.where((column > row) & (row < last), jnp.abs(total), -1.0)
    # the best pairs are among those of the runs whose best is best
    runs = strength.reshape(-1, RUN)
    _, chosen = jax.lax.top_k(runs.max(1), OF_A_TILE)
    top, place = jax.lax.top_k(runs[chosen].ravel(), OF_A_TILE)
    index = chosen[place // RUN] * RUN + place % RUN
    a, b = index // size, index % size
    part = (rows[a] * columns[b]).reshape(OF_A_TILE, folds, -1).sum(2)
    left = part.sum(1, keepdims=True) - (part if folds > 1 else 0)
    return jnp.where(top < 0, top, (jnp.abs(left) * scale).max(1)), index
