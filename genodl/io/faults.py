"""What can be wrong with a call, as the decoders number it, and the error for each."""

from __future__ import annotations

from genodl.errors import InputError

COLUMNS, MALFORMED, BEYOND, NOT_A_NUMBER, BROKEN, NOT_FIRST = range(1, 7)


def bad_call(where: str, code: int, cell: str, alleles: int) -> InputError:
    """The error for one call, by its code."""
    if code == BEYOND:
        what = f"genotype {cell!r} names an allele beyond the {alleles} in ALT"
    elif code == NOT_A_NUMBER:
        what = f"{cell!r} does not hold the dosages that {alleles} ALT alleles need"
    else:
        what = f"{cell!r} is no genotype"
    return InputError(what, where=where, mend="fetch or write the file again")
