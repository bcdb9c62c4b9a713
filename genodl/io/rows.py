"""Millions of rows of a table as text, written by a compiled loop."""

from __future__ import annotations

from collections.abc import Sequence

import numba
import numpy as np

DIGITS = 6
_TEN = 10.0 ** np.arange(309)
_LONGEST = 16  # characters of a number with its tab


def rows_of_tests(
    markers: Sequence[str],
    phenotypes: Sequence[str],
    counts: np.ndarray,
    numbers: np.ndarray,
    *,
    most: float,
) -> bytes:
    """One line a marker and phenotype: phenotype, marker, count, numbers, tab separated.

    Parameters
    ----------
    markers, phenotypes : text of the leading fields, which may hold tabs of their own
    counts : int64, (markers, phenotypes)
    numbers : float64, (columns, markers, phenotypes), written with six digits, nan as nothing; the
        last is the p-value
    most : rows of a greater p-value are left out; with 1 none are, and nan neither
    """
    first, ends = _joined(markers)
    second, stops = _joined(phenotypes)
    width = (numbers.shape[0] + 1) * _LONGEST + 2
    size = len(phenotypes) * len(first) + len(markers) * len(second) + counts.size * width
    out = np.empty(size, np.uint8)
    stop = _rows(first, ends, second, stops, counts, numbers, most, out)
    return out[:stop].tobytes()


def _joined(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The bytes of all texts, and where each begins and the last ends."""
    encoded = [text.encode() for text in texts]
    ends = np.cumsum([0, *map(len, encoded)])
    return np.frombuffer(b"".join(encoded), np.uint8), ends


@numba.njit(cache=True, nogil=True)
def _rows(first, ends, second, stops, counts, numbers, most, out):
    """Fill out; where it ends."""
    k = 0
    for v in range(counts.shape[0]):
        for p in range(counts.shape[1]):
            if most < 1 and not numbers[-1, v, p] <= most:
                continue
            for i in range(stops[p], stops[p + 1]):
                out[k] = second[i]
                k += 1
            out[k] = 9
            k += 1
            for i in range(ends[v], ends[v + 1]):
                out[k] = first[i]
                k += 1
            out[k] = 9
            k = _whole(out, k + 1, counts[v, p])
            for c in range(numbers.shape[0]):
                out[k] = 9
                k = _number(out, k + 1, numbers[c, v, p])
            out[k] = 10
            k += 1
    return k


@numba.njit(cache=True, nogil=True)
def _whole(out, k, value):
    """The decimal digits of a number that is not negative."""
    size, rest = 1, value // 10
    while rest:
        size += 1
        rest //= 10
    for i in range(size):
        out[k + size - 1 - i] = 48 + value % 10
        value //= 10
    return k + size


@numba.njit(cache=True, nogil=True)
def _number(out, k, value):
    """A number as "%.6g" writes it; nothing for nan."""
    if np.isnan(value):
        return k
    if value < 0:
        out[k] = 45
        k += 1
        value = -value
    if value == 0:
        out[k] = 48
        return k + 1
    if value == np.inf:
        out[k], out[k + 1], out[k + 2] = 105, 110, 102
        return k + 3
    power = int(np.floor(np.log10(value)))
    digits = _scaled(value, DIGITS - 1 - power)
    if digits < 100_000:
        power -= 1
        digits = _scaled(value, DIGITS - 1 - power)
    if digits >= 1_000_000:
        power += 1
        digits = 100_000 if digits == 1_000_000 else _scaled(value, DIGITS - 1 - power)
    size = DIGITS
    while digits % 10 == 0 and size > 1:
        digits //= 10
        size -= 1
    if power < -4 or power >= DIGITS:
        k = _pointed(out, k, digits, size, 1)
        out[k] = 101
        out[k + 1] = 45 if power < 0 else 43
        power = abs(power)
        if power < 10:
            out[k + 2] = 48
            out[k + 3] = 48 + power
            return k + 4
        return _whole(out, k + 2, power)
    if power < 0:
        out[k], out[k + 1] = 48, 46
        for i in range(-power - 1):
            out[k + 2 + i] = 48
        return _pointed(out, k + 1 - power, digits, size, size)
    for _ in range(size, power + 1):
        digits *= 10
        size += 1
    return _pointed(out, k, digits, size, power + 1)


@numba.njit(cache=True, nogil=True)
def _pointed(out, k, digits, size, before):
    """So many digits with a point after the first `before` of them, if any follow."""
    length = size + (size > before)
    for i in range(length - 1, -1, -1):
        if i == before and size > before:
            out[k + i] = 46
            continue
        out[k + i] = 48 + digits % 10
        digits //= 10
    return k + length


@numba.njit(cache=True, nogil=True)
def _scaled(value, power):
    """value times ten to the power, rounded to a whole number."""
    if power > 300:
        value, power = value * _TEN[300], power - 300
    scaled = value * _TEN[power] if power >= 0 else value / _TEN[-power]
    return int(np.floor(scaled + 0.5))
