"""`genodl discover` in two processes, as srun starts them."""

from __future__ import annotations

import os
import subprocess
import sys

import pandas as pd
import pytest

JOB = {"SLURM_JOB_ID": "52311", "SLURM_NTASKS": "2", "SLURM_STEP_NODELIST": "localhost"}


def test_outside_a_job_it_says_how_to_start_one(fail, cohort, tmp_path):
    files = ("--variants", cohort / "variants.vcf.gz", "--samples", cohort / "samples.tsv")
    asked = ("--phenotype", "response", "--out", tmp_path / "out", "--distributed")
    assert "start it by srun" in fail("discover", *files, *asked)


@pytest.mark.slow
def test_two_processes_find_what_one_finds_and_the_first_writes(source, tmp_path):
    command = [
        *(sys.executable, "-m", "genodl", "discover"),
        *("--variants", str(source / "variants.vcf.gz")),
        *("--samples", str(source / "samples.tsv"), "--phenotype", "response"),
        *("--folds", "3", "--members", "2", "--checks", "0", "--out"),
    ]
    alone = subprocess.run([*command, str(tmp_path / "alone")], capture_output=True, text=True)
    assert alone.returncode == 0, alone.stderr
    running = [
        subprocess.Popen(
            [*command, str(tmp_path / "both"), "--distributed"],
            env={**os.environ, **JOB, "SLURM_PROCID": str(i), "SLURM_LOCALID": str(i)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(2)
    ]
    try:
        said = [each.communicate(timeout=280) for each in running]
    finally:
        for each in running:
            each.kill()
    assert [each.returncode for each in running] == [0, 0], said
    assert "report: " in said[0][0]
    assert "report: " not in said[1][0]
    one, two = (
        pd.read_csv(tmp_path / name / "markers.tsv", sep="\t") for name in ("alone", "both")
    )
    # networks of two devices are sums in another order, see tests/train/test_processes.py
    pd.testing.assert_frame_equal(one, two, rtol=1e-3, atol=1e-5)
