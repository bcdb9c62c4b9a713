"""The compiled loops that walk the calls of VCF text.

Each returns (code, record, sample) of the first fault, code 0 when there is none.
"""

from __future__ import annotations

import numba
import numpy as np

from genodl.io.faults import BEYOND, COLUMNS, MALFORMED, NOT_A_NUMBER
from genodl.values import MISSING

TAB, COLON, COMMA, DOT, SLASH, BAR = 9, 58, 44, 46, 47, 124
ZERO, NINE = 48, 57


@numba.njit(cache=True, nogil=True)
def genotypes(text, begin, end, alleles, first, has_gt, ploidy, out):
    """Decode GT into out, int8 (alleles, samples), and the most alleles a called sample has.

    has_gt is -1 for a record without GT.
    """
    samples = out.shape[1]
    for i in range(len(begin)):
        ploidy[i] = 2
        rows = out[first[i] : first[i] + alleles[i]]
        if has_gt[i] < 0:
            rows[:] = MISSING
            if _cells(text, begin[i], end[i]) != samples:
                return COLUMNS, i, 0
            continue
        plain = alleles[i] == 1 and end[i] - begin[i] == 4 * samples - 1
        if plain and _diploid(text, begin[i], rows[0]):
            continue
        code, sample = _any_ploidy(text, begin[i], end[i], rows, samples, ploidy[i : i + 1])
        if code:
            return code, i, sample
    return 0, 0, 0


@numba.njit(cache=True, nogil=True)
def _cells(text, p, end):
    """How many tab-separated cells the calls of a record have."""
    count = 1
    for q in range(p, end):
        count += text[q] == TAB
    return count


@numba.njit(cache=True, nogil=True)
def _diploid(text, begin, row):
    """Decode calls of exactly three bytes at one ALT allele; False if one is something else."""
    last = len(row) - 1
    good = True
    for s in range(last + 1):
        p = begin + 4 * s
        a, b = text[p], text[p + 2]
        unknown = (a == DOT) | (b == DOT)
        good &= ((a | 1) == 49) | (a == DOT)
        good &= ((b | 1) == 49) | (b == DOT)
        good &= (text[p + 1] == SLASH) | (text[p + 1] == BAR)
        good &= (s == last) | (text[p + 3] == TAB)
        row[s] = MISSING if unknown else (a & 1) + (b & 1)
    return good


@numba.njit(cache=True, nogil=True)
def _any_ploidy(text, p, end, rows, samples, most):
    """Decode calls of any ploidy and any number of ALT alleles, whatever follows GT."""
    alleles = len(rows)
    longest = 0
    for s in range(samples):
        for a in range(alleles):
            rows[a, s] = 0
        unknown = False
        ploidy = 0
        # VCF 4.4 allows a phasing mark before the first allele
        if p < end and (text[p] == SLASH or text[p] == BAR):
            p += 1
        while True:
            if p < end and text[p] == DOT:
                unknown = True
                p += 1
            else:
                allele, digits = 0, 0
                while p < end and ZERO <= text[p] <= NINE:
                    allele = min(allele * 10 + text[p] - ZERO, 1 << 20)
                    digits += 1
                    p += 1
                if digits == 0:
                    return MALFORMED, s
                if allele > alleles:
                    return BEYOND, s
                if allele:
                    rows[allele - 1, s] += 1
            ploidy += 1
            if ploidy > 127:
                return MALFORMED, s
            if p < end and (text[p] == SLASH or text[p] == BAR):
                p += 1
            else:
                break
        if unknown:
            for a in range(alleles):
                rows[a, s] = MISSING
        else:
            longest = max(longest, ploidy)
        if p < end and text[p] == COLON:
            while p < end and text[p] != TAB:
                p += 1
        if p < end and text[p] != TAB:
            return MALFORMED, s
        if (s == samples - 1) != (p == end):
            return COLUMNS, s
        p += 1
    if longest > 0:
        most[0] = longest
    return 0, 0


@numba.njit(cache=True, nogil=True)
def dosages(text, begin, end, alleles, first, which, out):
    """Decode DS or GP into out, float32 (alleles, samples); which is (index in FORMAT, is GP)."""
    samples = out.shape[1]
    values = np.empty(1 << 16, np.float64)
    for i in range(len(begin)):
        rows = out[first[i] : first[i] + alleles[i]]
        if _cells(text, begin[i], end[i]) != samples:
            return COLUMNS, i, 0
        p = begin[i]
        for s in range(samples):
            stop = p
            while stop < end[i] and text[stop] != TAB:
                stop += 1
            if not _dosage(text, p, stop, which[i, 0], which[i, 1], rows[:, s], values):
                return NOT_A_NUMBER, i, s
            p = stop + 1
    return 0, 0, 0


@numba.njit(cache=True, nogil=True)
def _dosage(text, p, end, index, is_gp, out, values):
    """One sample's expected ALT counts; False where the numbers do not fit."""
    out[:] = np.nan
    if index < 0:
        return True
    for _ in range(index):
        while p < end and text[p] != COLON:
            p += 1
        if p == end:
            # trailing fields may be left out
            return True
        p += 1
    count = 0
    while True:
        value, p, good = _number(text, p, end)
        if not good or count == len(values):
            return False
        values[count] = value
        count += 1
        if p == end or text[p] == COLON:
            break
        p += 1
    if count == 1 and np.isnan(values[0]):
        return True
    return _expected(values[:count], is_gp, out)


@numba.njit(cache=True, nogil=True)
def _expected(values, is_gp, out):
    """ALT counts from DS itself or from the probabilities of haploid or diploid genotypes."""
    alleles, count = len(out), len(values)
    if not is_gp:
        if count == alleles:
            out[:] = values
        return count == alleles
    if count == alleles + 1:
        out[:] = values[1:]
        return True
    if count != (alleles + 1) * (alleles + 2) // 2:
        return False
    out[:] = 0
    g = 0
    for high in range(alleles + 1):
        for low in range(high + 1):
            if high > 0:
                out[high - 1] += values[g]
            if low > 0:
                out[low - 1] += values[g]
            g += 1
    return True


@numba.njit(cache=True, nogil=True)
def _number(text, p, end):
    """(value, where it stops, whether it is one); nan for `.`."""
    start = p
    sign = 1.0
    if p < end and (text[p] == 45 or text[p] == 43):
        sign = -1.0 if text[p] == 45 else 1.0
        p += 1
    mantissa, scale, digits, pointed = 0.0, 0, 0, False
    while p < end and (ZERO <= text[p] <= NINE or (text[p] == DOT and not pointed)):
        if text[p] == DOT:
            pointed = True
        else:
            mantissa = mantissa * 10 + (text[p] - ZERO)
            digits += 1
            scale += pointed
        p += 1
    if digits == 0:
        # a lone dot is missing; anything else is no number
        return np.nan, p, pointed and p - start == 1 and _stops(text, p, end)
    exponent = 0
    if p < end and (text[p] | 32) == 101:
        p += 1
        down = p < end and text[p] == 45
        if p < end and (text[p] == 45 or text[p] == 43):
            p += 1
        if not (p < end and ZERO <= text[p] <= NINE):
            return np.nan, p, False
        while p < end and ZERO <= text[p] <= NINE:
            exponent = min(exponent * 10 + text[p] - ZERO, 1000)
            p += 1
        exponent = -exponent if down else exponent
    return sign * mantissa * 10.0 ** (exponent - scale), p, _stops(text, p, end)


@numba.njit(cache=True, nogil=True)
def _stops(text, p, end):
    """Whether a value ends here."""
    return p == end or text[p] == COLON or text[p] == COMMA
