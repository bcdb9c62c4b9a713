"""Read a variant file whole in one way; how many records or alleles, and the seconds after imports.

`python _variant_reader.py NAME FILE [RECORDS]`, run by `ingest.py` in a process of its own.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable


def genodl(path: str, _: int) -> Callable[[], int]:
    """Blocks of AnnData, as a user gets them."""
    from genodl.io import iter_variants

    return lambda: sum(block.n_vars for block in iter_variants(path))


def loaded(path: str, _: int) -> Callable[[], int]:
    """As `genodl`, AnnData imported beforehand, which else is imported beside the reading."""
    import anndata  # noqa: F401

    return genodl(path, 0)


def blocks(path: str, _: int) -> Callable[[], int]:
    """Blocks before they become AnnData, as `genodl ingest` and `genodl scan` take them."""
    from genodl.io.formats import open_all, stream

    return lambda: sum(len(block.dosage) for block in stream(open_all(path))[1])


def cyvcf2(path: str, _: int) -> Callable[[], int]:
    """gt_types of each record, two threads."""
    from cyvcf2 import VCF

    return lambda: sum(record.gt_types is not None for record in VCF(path, threads=2))


def pysam(path: str, records: int) -> Callable[[], int]:
    """GT of each sample of the first records."""
    from itertools import islice

    from pysam import VariantFile

    def read() -> int:
        with VariantFile(path, threads=2) as file:
            return sum(
                bool([call["GT"] for call in record.samples.values()])
                for record in islice(file, records)
            )

    return read


def ingest(path: str, _: int) -> Callable[[], int]:
    """A store beside the file, as `genodl ingest` writes it."""
    import shutil

    from genodl.io import ingest as write

    out = f"{path}.zarr"
    shutil.rmtree(out, ignore_errors=True)
    return lambda: int(write(path, out).is_dir())


READERS = {each.__name__: each for each in (genodl, loaded, blocks, cyvcf2, pysam, ingest)}

if __name__ == "__main__":
    name, path, *most = sys.argv[1:]
    read = READERS[name](path, int(most[0]) if most else 0)
    began = time.perf_counter()
    spent = time.process_time()
    count = read()
    print(
        json.dumps(
            {
                "count": count,
                "read_seconds": round(time.perf_counter() - began, 3),
                "read_cpu_seconds": round(time.process_time() - spent, 3),
            }
        )
    )
