"""The calls that most files consist of, two known alleles of one ALT, decoded in numpy.

Text `0|1` with a tab, or two bytes of BCF, is one machine word, so whole records are checked and
counted by few operations, and a file of nothing else is read without loading a compiler.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

BAR = ord("|")
WORKING_BYTES = 1 << 19
# `0|0` and `0/0` with a tab as little-endian words; only the low bit of an allele may differ
PHASED, UNPHASED = 0x09307C30, 0x09302F30
TEXT_BEYOND = 0xFFFEFFFE
# allele k of BCF is (k + 1) << 1, its low bit the phase
REFERENCE, BCF_BEYOND = 0x0202, 0xFCFC


def text_calls(text: bytes, begin: np.ndarray, row: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Decode records of calls of three bytes and a tab, where every allele is 0 or 1.

    Parameters
    ----------
    begin : int64, (records,), where the calls begin, 4 * samples - 1 bytes of each
    row : int64, (records,), the row of out that is the record's
    out : int8, (alleles, samples), filled with ALT counts where the record is decoded

    Returns
    -------
    bool, (records,), whether the record is of such calls and so decoded
    """
    samples = out.shape[1]
    separator = np.frombuffer(text, np.uint8)[begin + 1]
    expected = np.where(separator == BAR, np.uint32(PHASED), np.uint32(UNPHASED))
    good = np.empty(len(begin), bool)
    for part, found, spare in _words(text, begin, samples, np.dtype("<u4")):
        np.bitwise_xor(spare, expected[part, None], out=found)
        # the last call of a line is followed by its end, not by a tab
        found[:, -1] &= np.uint32(0x00FFFFFF)
        good[part] = _within(found, np.uint32(TEXT_BEYOND))
        np.right_shift(found, np.uint32(16), out=spare)
        found += spare
        _keep(found, good[part], row[part], out)
    return good


def bcf_calls(raw: bytes, begin: np.ndarray, row: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Decode records of two bytes a call, where every allele is 0 or 1; as `text_calls`."""
    good = np.empty(len(begin), bool)
    for part, found, spare in _words(raw, begin, out.shape[1], np.dtype("<u2")):
        np.subtract(spare, np.uint16(REFERENCE), out=found)
        good[part] = _within(found, np.uint16(BCF_BEYOND))
        np.right_shift(found, np.uint16(9), out=spare)
        found >>= np.uint16(1)
        found += spare
        found &= np.uint16(3)
        _keep(found, good[part], row[part], out)
    return good


def _words(
    text: bytes, begin: np.ndarray, samples: int, kind: np.dtype
) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """(which records, room for their words, their words) of some records at a time."""
    width = samples * kind.itemsize
    step = max(1, WORKING_BYTES // width)
    room = np.empty((2, step, samples), kind)
    whole = memoryview(text)
    for start in range(0, len(begin), step):
        part = slice(start, start + step)
        found, spare = room[:, : len(begin[part])]
        joined = b"".join([whole[p : p + width] for p in begin[part].tolist()])
        spare[:] = np.frombuffer(joined, kind).reshape(spare.shape)
        yield part, found, spare


def _within(words: np.ndarray, beyond: np.unsignedinteger) -> np.ndarray:
    """bool, (records,), whether no word of a record has a bit of `beyond`."""
    # over the records first: that is the fast way, and commonly all that is needed
    if not (np.bitwise_or.reduce(words, axis=0) & beyond).any():
        return np.ones(len(words), bool)
    return np.bitwise_or.reduce(words, axis=1) & beyond == 0


def _keep(found: np.ndarray, good: np.ndarray, row: np.ndarray, out: np.ndarray) -> None:
    """Copy the low bytes of the decoded records to their rows."""
    if good.all() and row[-1] - row[0] == len(row) - 1:
        np.copyto(out[row[0] : row[0] + len(row)], found, casting="unsafe")
    else:
        out[row[good]] = found[good]
