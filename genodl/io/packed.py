"""The compiled loops that walk BCF records; no length is followed past the record's end."""

from __future__ import annotations

import numba
import numpy as np

from genodl.io.faults import BEYOND, BROKEN, MALFORMED, NOT_FIRST
from genodl.io.layout import LAYOUT
from genodl.values import MISSING

ABSENT, DAMAGED = -1, -2
FLOAT, CHARACTER = 5, 7
INTEGERS = {1: "<i1", 2: "<i2", 3: "<i4"}
SIZES = {1: 1, 2: 2, 3: 4, FLOAT: 4, CHARACTER: 1}


@numba.njit(cache=True, nogil=True)
def _u32(raw, p):
    """The unsigned 32-bit number at p."""
    return (
        np.int64(raw[p])
        | np.int64(raw[p + 1]) << 8
        | np.int64(raw[p + 2]) << 16
        | np.int64(raw[p + 3]) << 24
    )


@numba.njit(cache=True, nogil=True)
def _i32(raw, p):
    """The signed 32-bit number at p."""
    value = _u32(raw, p)
    return value - (1 << 32) if value >= 1 << 31 else value


@numba.njit(cache=True, nogil=True)
def _size(kind):
    """Bytes of one value of a BCF type, 0 for a type that is none."""
    if kind == 1 or kind == 7:
        return 1
    if kind == 2:
        return 2
    return 4 if kind == 3 or kind == 5 else 0


@numba.njit(cache=True, nogil=True)
def _integer(raw, p, kind):
    """The signed number of BCF type 1, 2 or 3 at p."""
    if kind == 1:
        return np.int64(np.int8(raw[p]))
    if kind == 2:
        value = np.int64(raw[p]) | np.int64(raw[p + 1]) << 8
        return value - (1 << 16) if value >= 1 << 15 else value
    return _i32(raw, p)


@numba.njit(cache=True, nogil=True)
def typed(raw, p, end):
    """(where the values begin, type, how many) of a typed value; begins at DAMAGED if it cannot."""
    if p >= end:
        return DAMAGED, 0, 0
    kind, length = raw[p] & 15, np.int64(raw[p] >> 4)
    p += 1
    if length == 15:
        if p >= end:
            return DAMAGED, 0, 0
        inner = raw[p] & 15
        if not 1 <= inner <= 3 or raw[p] >> 4 != 1 or p + 1 + _size(inner) > end:
            return DAMAGED, 0, 0
        length = _integer(raw, p + 1, inner)
        p += 1 + _size(inner)
    if length < 0 or (length > 0 and kind > 0 and _size(kind) == 0):
        return DAMAGED, 0, 0
    if p + length * _size(kind) > end and kind > 0:
        return DAMAGED, 0, 0
    return p, kind, length


def layout(raw, start):
    """(one LAYOUT row a record, spans of all alleles, the first broken record or -1)."""
    table, spans, fault = _layout(raw, start)
    found = np.empty(len(start), LAYOUT)
    for column, name in enumerate(list(LAYOUT.names or ())[:-1]):
        found[name] = table[:, column]
    if fault < 0:
        found["qual"] = raw[start[:, None] + np.arange(20, 24)].view("<f4")[:, 0]
    return found, spans, fault


@numba.njit(cache=True, nogil=True)
def _layout(raw, start):
    """The columns of LAYOUT but the quality, as one table."""
    table = np.zeros((len(start), 11), np.int64)
    spans = np.empty((max(1, 2 * len(start)), 2), np.int64)
    used = 0
    for i in range(len(start)):
        p = start[i]
        shared = p + 8 + _u32(raw, p)
        end = shared + _u32(raw, p + 4)
        if shared - p < 32:
            return table, spans[:used], i
        alleles = np.int64(raw[p + 26]) | np.int64(raw[p + 27]) << 8
        table[i, 0] = _i32(raw, p + 8)
        table[i, 1] = _i32(raw, p + 12)
        table[i, 2] = _i32(raw, p + 16)
        table[i, 3] = _u32(raw, p + 28) & 0xFFFFFF
        table[i, 4] = alleles
        table[i, 5] = raw[p + 31]
        while used + alleles > len(spans):
            wider = np.empty((2 * len(spans), 2), np.int64)
            wider[:used] = spans[:used]
            spans = wider
        for word in range(alleles + 1):
            q, kind, length = typed(raw, p + 32 if word == 0 else p, shared)
            if q < 0 or (kind != 7 and length > 0 and kind > 0):
                return table, spans[:used], i
            length = length if kind == 7 else 0
            p = q + length
            if word == 0:
                table[i, 6], table[i, 7] = q, p
            else:
                spans[used, 0], spans[used, 1] = q, p
                used += 1
        q, kind, length = typed(raw, p, shared)
        if q < 0 or (length > 0 and not 1 <= kind <= 3):
            return table, spans[:used], i
        table[i, 8] = p
        table[i, 9] = shared
        table[i, 10] = end
    return table, spans[:used], -1


@numba.njit(cache=True, nogil=True)
def find(raw, p, end, formats, samples, key):
    """(where the values of a FORMAT key begin or ABSENT or DAMAGED, type, length, its place)."""
    for place in range(formats):
        q, kind, length = typed(raw, p, end)
        if q < 0 or length != 1 or not 1 <= kind <= 3:
            return DAMAGED, 0, 0, 0
        name = _integer(raw, q, kind)
        p, kind, length = typed(raw, q + _size(kind), end)
        if p < 0 or p + samples * length * _size(kind) > end:
            return DAMAGED, 0, 0, 0
        if name == key:
            return p, np.int64(kind), length, place
        p += samples * length * _size(kind)
    return ABSENT, 0, 0, 0


@numba.njit(cache=True, nogil=True)
def genotypes(raw, begin, end, formats, alleles, first, ploidy, key, out):
    """Decode GT into out, int8 (alleles, samples), and the most alleles a called sample has.

    Returns (code, record, sample) of the first fault.
    """
    samples = out.shape[1]
    table = _bytes_to_counts()
    for i in range(len(begin)):
        ploidy[i] = 2
        rows = out[first[i] : first[i] + alleles[i]]
        p, kind, length, place = find(raw, begin[i], end[i], formats[i], samples, key)
        if p == DAMAGED or (p >= 0 and length > 0 and not 1 <= kind <= 3):
            return BROKEN, i, 0
        if p == ABSENT or length == 0:
            rows[:] = MISSING
            continue
        if place > 0:
            return NOT_FIRST, i, 0
        if length > 127:
            return MALFORMED, i, 0
        if alleles[i] == 1 and kind == 1 and length == 2 and _diploid(raw, p, rows[0], table):
            continue
        code, sample = _any_ploidy(raw, p, kind, length, rows, samples, ploidy[i : i + 1])
        if code:
            return code, i, sample
    return 0, 0, 0


@numba.njit(cache=True, nogil=True)
def _bytes_to_counts():
    """ALT count of a first and a second GT byte: -100 missing, 1000 for the slow path."""
    table = np.full((2, 256), 1000, np.int16)
    for place in range(2):
        table[place, 0:2] = -100
        table[place, 2:4] = 0
        table[place, 4:6] = 1
    return table


@numba.njit(cache=True, nogil=True)
def _diploid(raw, p, row, table):
    """Decode calls of two bytes at one ALT allele; False if one is something else."""
    good = True
    for s in range(len(row)):
        count = table[0, raw[p + 2 * s]] + table[1, raw[p + 2 * s + 1]]
        good &= count < 500
        row[s] = MISSING if count < 0 else count
    return good


@numba.njit(cache=True, nogil=True)
def _any_ploidy(raw, p, kind, length, rows, samples, most):
    """Decode calls of any ploidy and any number of ALT alleles."""
    alleles = len(rows)
    longest = 0
    size = _size(kind)
    ends = -127 if kind == 1 else (-32767 if kind == 2 else -2147483647)
    for s in range(samples):
        for a in range(alleles):
            rows[a, s] = 0
        unknown, ploidy = False, 0
        for k in range(length):
            value = _integer(raw, p + (s * length + k) * size, kind)
            if value == ends:
                unknown |= k == 0
                break
            ploidy += 1
            if value == ends - 1 or value >> 1 == 0:
                unknown = True
                continue
            allele = (value >> 1) - 1
            if value < 0:
                return MALFORMED, s
            if allele > alleles:
                return BEYOND, s
            if allele:
                rows[allele - 1, s] += 1
        if unknown:
            for a in range(alleles):
                rows[a, s] = MISSING
        else:
            longest = max(longest, ploidy)
    if longest > 0:
        most[0] = longest
    return 0, 0


def numbers(text: bytes, start: int, kind: int, length: int, samples: int) -> np.ndarray:
    """float32, (samples, length), nan for missing and for what lies past a vector's end."""
    if kind == FLOAT:
        found = np.frombuffer(text, "<f4", samples * length, start)
        return found.reshape(samples, length)
    found = np.frombuffer(text, INTEGERS[kind], samples * length, start)
    absent = found <= np.iinfo(found.dtype).min + 1
    return np.where(absent, np.nan, found).astype(np.float32).reshape(samples, length)


def expected(values, is_gp, out):
    """Fill out, (alleles, samples), from DS or GP, (samples, values); False if they do not fit."""
    alleles, length = len(out), values.shape[1]
    if not is_gp:
        if length == alleles:
            out[:] = values.T
        return length == alleles
    diploid = [(low, high) for high in range(alleles + 1) for low in range(high + 1)]
    if length not in (alleles + 1, len(diploid)):
        return False
    out[:] = values[:, 1 : alleles + 1].T
    if length == len(diploid):
        counts = np.array([[g.count(a + 1) for a in range(alleles)] for g in diploid], np.float32)
        # a haploid sample has its vector ended early: nan past the first alleles + 1
        two = ~np.isnan(values[:, alleles + 1 :]).any(axis=1)
        out[:, two] = (values[two] @ counts).T
        out[:, ~two & ~_haploid(values, alleles)] = np.nan
    return True


def _haploid(values, alleles):
    """bool, (samples,), where the vector of probabilities ends after one per allele."""
    bits = np.ascontiguousarray(values).view(np.int32)
    return (bits[:, alleles + 1 :] == 0x7F800002).all(axis=1)
