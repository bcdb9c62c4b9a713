"""A discovery gives the same bytes on one core and on two."""

from __future__ import annotations

import filecmp
import os
import subprocess
import sys

import pytest

from genodl.simulate import cohort
from genodl.simulate.files import write

TABLES = ("markers.tsv", "loci.tsv", "interactions.tsv", "predictions.tsv", "calibration.json")
ALONE = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"),
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
}


@pytest.mark.long
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core")
@pytest.mark.parametrize("members", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_the_number_of_threads_changes_no_byte(tmp_path, members):
    made = cohort(seed=5, samples=260, variants=700, genes=0, markers={"additive": 4})
    files = write(made, tmp_path)
    given = ["discover", "--variants", files["variants"], "--samples", files["samples"]]
    given += ["--phenotype", "response", "--folds", "3", "--members", members, "--checks", 0]
    for out, more in (("one", ALONE), ("two", {})):
        command = [sys.executable, "-m", "genodl", *map(str, given), "--out", str(tmp_path / out)]
        free = {name: value for name, value in os.environ.items() if name not in ALONE}
        subprocess.run(command, env=free | more, check=True, capture_output=True)
    same, *differ = filecmp.cmpfiles(tmp_path / "one", tmp_path / "two", TABLES, shallow=False)
    assert sorted(same) == sorted(TABLES), differ
