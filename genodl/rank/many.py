"""The attribution test of many phenotypes at once, where no model says anything near a marker.

There the residual of a phenotype is one vector, whatever the marker, and every sum that the test
of `genodl.rank.test` needs is a matrix product of a power of the directions with a power of the
residuals. Only the few markers that a model of a phenotype reaches take the way of their own.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from genodl.rank.test import (
    OWN_R2,
    SANDWICH_CARRIERS,
    Fits,
    Tested,
    attributed_covariance,
    orthogonal,
)
from genodl.screen.channels import Channels
from genodl.screen.precision import short_float

WIDTHS = (32, 128, 512)  # markers with a way of their own are padded to one of these
SHORT_R = float(np.sqrt(OWN_R2)) - 0.02  # what is put back has at least this |r| in short floats


def reach_of(fit: Fits) -> jax.Array:
    """The markers whose neighbours a model reaches, in short floats, (places, markers).

    They are the distinct proxies and inputs, each of length 1, and columns of 0 up to a multiple
    of a width.
    """
    columns = np.concatenate([np.asarray(fit.proxies), np.asarray(fit.inputs)], axis=1)
    distinct = np.unique(columns[:, columns.any(axis=0)], axis=1)
    distinct = distinct / np.sqrt(np.square(distinct).sum(0))
    padded = np.pad(distinct, ((0, 0), (0, -distinct.shape[1] % WIDTHS[0])))
    return jnp.asarray(padded, short_float())


def attributed_covariances(
    channels: Channels, fits: Sequence[Fits], reach: Sequence[jax.Array], contig: np.ndarray
) -> list[Tested]:
    """What `genodl.rank.test.attributed_covariance` gives for each of several fits.

    Parameters
    ----------
    channels : of a block of markers, values (2, places, markers)
    fits : of phenotypes, whatever their samples
    reach : of each fit, see `reach_of`
    contig : int, (markers,), column of the backgrounds
    """
    found: list[Tested] = [Tested(np.zeros(0), np.zeros(0))] * len(fits)
    together: dict[bytes, list[int]] = {}
    for number, fit in enumerate(fits):
        if _plain(fit):
            together.setdefault(np.asarray(fit.known).tobytes(), []).append(number)
        else:
            found[number] = attributed_covariance(channels, fit, contig)
    units = _units(channels)
    for numbers in together.values():
        z, slope = _alone(channels, [fits[n] for n in numbers], contig)
        for place, number in enumerate(numbers):
            alone = Tested(z[place], slope[place])
            if reach[number].shape[1]:
                reached = np.flatnonzero(_reached(units, reach[number]))
                alone = _with_reached(channels, fits[number], reached, contig, alone)
            found[number] = alone
    return found


def _plain(fit: Fits) -> bool:
    """Whether a marker is tested given nothing in full, and alone."""
    return fit.given.shape[1] == 0 and fit.partners is None


def _alone(
    channels: Channels, fits: Sequence[Fits], contig: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """z (fits, 3, markers) and slopes (fits, markers) without what is said near a marker."""
    known = fits[0].known
    spread = np.stack([np.broadcast_to(f.spread, known.shape) for f in fits], axis=1)
    residual = np.stack([np.asarray(f.residual) for f in fits], axis=1)
    behind = np.stack([np.asarray(f.background) for f in fits], axis=2)
    freedom = np.stack([np.asarray(f.freedom) for f in fits])
    tails = np.array([f.tails for f in fits], np.float32)
    z = np.zeros((len(fits), 3, len(contig)), np.float32)
    slope = np.zeros((len(fits), len(contig)), np.float32)
    parts = np.unique(contig) if behind.any() else contig[:1]
    for part in parts:
        left = residual + behind[:, part]
        mine = contig == part if len(parts) > 1 else np.ones(len(contig), bool)
        scores, slopes = _moments(channels, left, spread, tails, known, freedom)
        z[:, :2, mine] = np.asarray(scores)[:, :, mine]
        slope[:, mine] = np.asarray(slopes)[:, mine]
    return z, slope


def _with_reached(
    channels: Channels, fit: Fits, reached: np.ndarray, contig: np.ndarray, alone: Tested
) -> Tested:
    """The test with that of the markers a model reaches done in full."""
    z, slope = np.array(alone.z), np.array(alone.slope)
    for start in range(0, len(reached), WIDTHS[-1]):
        mine = reached[start : start + WIDTHS[-1]]
        wide = np.resize(mine, next(w for w in WIDTHS if w >= len(mine)))
        # on the host a copy costs less than a program for each pattern
        some = Channels(*(jnp.asarray(np.asarray(part)[..., wide]) for part in channels))
        tested = attributed_covariance(some, fit, contig[wide])
        z[:, mine] = np.asarray(tested.z)[:, : len(mine)]
        slope[mine] = np.asarray(tested.slope)[: len(mine)]
    return Tested(z, slope)


@jax.jit
def _units(channels: Channels) -> jax.Array:
    """The additive channel of each marker at length 1, in short floats, (markers, places)."""
    own = channels.values[0]
    length = jnp.sqrt((own**2).sum(0))
    return (own / jnp.maximum(length, 1e-12)).T.astype(short_float())


@jax.jit
def _reached(units: jax.Array, reach: jax.Array) -> jax.Array:
    """Whether a marker may be close to one that a model attributes to, bool, (markers,)."""
    r = jnp.matmul(units, reach, preferred_element_type=jnp.float32)
    return (jnp.abs(r) >= SHORT_R).any(1)


@jax.jit
def _moments(
    channels: Channels,
    residual: jax.Array,
    spread: jax.Array,
    tails: jax.Array,
    known: jax.Array,
    freedom: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """z of both channels, (fits, 2, markers), and additive slopes, (fits, markers).

    With covariance c, power p and slope b = c / p of a direction u, the residual r less b u has
    the power r'r - b c, and the sum of its squares times those of u is
    u2'r2 - 2 b u3'r + b^2 u4'1.

    Parameters
    ----------
    residual, spread : float32, (places, fits)
    tails, freedom : float32, (fits,)
    known : float32, (places,)
    """
    residual = residual * known[:, None]
    first = channels.values[0] * known[:, None]
    u = jnp.stack([first, orthogonal(channels.values[1] * known[:, None], first)])

    def along(direction: jax.Array, columns: jax.Array) -> jax.Array:
        return jnp.einsum("cnm,nt->tcm", direction, columns)

    square = u**2
    power, fourth = square.sum(1), (square**2).sum(1)
    covariance = along(u, residual)
    slope = covariance / jnp.maximum(power, 1e-30)
    rest = (residual**2).sum(0)[:, None, None] - slope * covariance
    plain = rest / freedom[:, None, None] * along(square, spread)
    crossed = along(square, residual**2) - 2 * slope * along(square * u, residual)
    sandwich = (crossed + slope**2 * fourth) * known.sum() / freedom[:, None, None]
    carriers = power**2 / jnp.maximum(fourth, 1e-30)
    weight = carriers / (carriers + SANDWICH_CARRIERS * tails[:, None, None])
    variance = weight * sandwich + (1 - weight) * plain
    z = covariance / jnp.sqrt(jnp.maximum(variance, 1e-30))
    z = jnp.where((power > 1e-12) & channels.active, z, 0)
    return z, covariance[:, 0] / jnp.maximum(power[0], 1e-12)
