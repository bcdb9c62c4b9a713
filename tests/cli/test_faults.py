"""Every fault a user can mend is one line, exit code 2, and no change to an earlier result."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pysam
import pytest

END_OF_FILE = 28  # bytes of the empty block that closes a BGZF file


def arguments(cohort: Path, *, phenotype: str = "response", **changed: object) -> list[object]:
    """Options of a discovery in the cohort, some of them changed."""
    chosen = {
        "samples": cohort / "samples.tsv",
        "variants": cohort / "variants.vcf.gz",
        "expression": cohort / "expression.h5ad",
        "phenotype": phenotype,
        "folds": 3,
        **changed,
    }
    return [part for name, value in chosen.items() for part in (f"--{name}", value)]


def text_of(cohort: Path) -> str:
    return gzip.decompress((cohort / "variants.vcf.gz").read_bytes()).decode()


def write_vcf(cohort: Path, text: str) -> Path:
    """The VCF replaced, compressed in blocks, without an index."""
    path = cohort / "variants.vcf.gz"
    path.with_suffix(".gz.tbi").unlink()
    with pysam.BGZFile(str(path), "wb", None) as out:
        out.write(text.encode())
    return path


def change_samples(cohort: Path, change) -> Path:
    path = cohort / "samples.tsv"
    table = pd.read_csv(path, sep="\t", index_col=0, dtype={"sample": str})
    change(table).to_csv(path, sep="\t")
    return path


@pytest.mark.parametrize("option", ["variants", "expression", "samples"])
def test_a_missing_file_is_named(refuse, cohort, option):
    absent = cohort / "absent.vcf.gz"
    line = refuse(*arguments(cohort, **{option: absent}))
    assert f"{absent}: no such file" in line


def test_a_text_that_is_no_vcf(refuse, cohort):
    path = cohort / "notes.vcf"
    path.write_text("dear diary\n")
    assert str(path) in refuse(*arguments(cohort, variants=path))


def test_bytes_that_are_no_vcf(refuse, cohort):
    path = cohort / "noise.vcf.gz"
    path.write_bytes(np.random.default_rng(0).bytes(4000))
    assert str(path) in refuse(*arguments(cohort, variants=path))


def test_plain_gzip_is_told_to_use_bgzip(refuse, cohort):
    path = cohort / "plain.vcf.gz"
    path.write_bytes(gzip.compress(text_of(cohort).encode()))
    line = refuse(*arguments(cohort, variants=path))
    assert str(path) in line
    assert "bgzip" in line


@pytest.mark.parametrize("kept", [0.5, 1.0])
def test_a_truncated_bgzf_is_refused(refuse, cohort, kept):
    path = cohort / "variants.vcf.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole)) - END_OF_FILE])
    line = refuse(*arguments(cohort))
    assert str(path) in line
    assert "truncated" in line


def test_genotypes_without_a_declaration(refuse, cohort):
    kept = [line for line in text_of(cohort).splitlines() if not line.startswith("##FORMAT")]
    path = write_vcf(cohort, "\n".join(kept) + "\n")
    line = refuse(*arguments(cohort))
    assert str(path) in line
    assert "GT" in line


def test_a_sample_twice_in_the_vcf(refuse, cohort):
    path = write_vcf(cohort, text_of(cohort).replace("\tS00002\t", "\tS00001\t", 1))
    line = refuse(*arguments(cohort))
    assert str(path) in line
    assert "'S00001'" in line


def test_a_sample_twice_in_the_table(refuse, cohort):
    path = change_samples(cohort, lambda t: pd.concat([t, t.iloc[:1]]))
    line = refuse(*arguments(cohort))
    assert str(path) in line
    assert "S00001" in line


def test_no_common_sample_shows_both_sides_and_the_prefix(refuse, cohort):
    path = change_samples(cohort, lambda t: t.set_axis(["FAM_" + s for s in t.index]))
    line = refuse(*arguments(cohort))
    assert str(path) in line
    assert str(cohort / "variants.vcf.gz") in line
    for name in ("S00001", "S00002", "S00003"):
        assert f"'{name}'" in line
        assert f"'FAM_{name}'" in line
    assert "prefix 'FAM_'" in line


@pytest.mark.parametrize(
    ("option", "name", "near"),
    [("phenotype", "respons", "'response'"), ("covariates", "ages", "'age'")],
)
def test_an_unknown_column_shows_the_nearest(refuse, cohort, option, name, near):
    line = refuse(*arguments(cohort, **{option: name}))
    assert str(cohort / "samples.tsv") in line
    assert f"--{option}" in line
    assert repr(name) in line
    assert near in line


def test_an_unknown_group_shows_the_nearest(refuse, cohort):
    assert "'site'" in refuse(*arguments(cohort, group="sites"))


def test_a_constant_phenotype(refuse, cohort):
    path = change_samples(cohort, lambda t: t.assign(response=4.5))
    line = refuse(*arguments(cohort))
    assert str(path) in line
    assert "'response': constant" in line
    assert "4.5" in line


def test_text_among_the_numbers_of_a_phenotype_names_the_sample(refuse, cohort):
    def spoil(table):
        table["response"] = table["response"].astype(object)
        table.loc["S00007", "response"] = "high"
        return table

    path = change_samples(cohort, spoil)
    line = refuse(*arguments(cohort))
    assert str(path) in line
    assert "'S00007'" in line
    assert "'high'" in line


def test_a_phenotype_of_words(refuse, cohort):
    change_samples(cohort, lambda t: t.assign(response=[f"word{i}" for i in range(len(t))]))
    assert "text where numbers belong" in refuse(*arguments(cohort))


def test_fewer_than_five_samples_a_fold(refuse, cohort):
    line = refuse(*arguments(cohort, folds=20))
    assert "60 samples" in line
    assert "20 folds" in line


def test_fewer_than_five_samples_in_a_class(refuse, cohort):
    change_samples(cohort, lambda t: t.assign(response=(np.arange(len(t)) < 3).astype(int)))
    line = refuse(*arguments(cohort))
    assert "class '1' has 3 sample(s)" in line


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_expression_names_the_gene(refuse, cohort, value):
    path = cohort / "expression.h5ad"
    made = anndata.read_h5ad(path)
    made.X[3, 5] = value
    made.write_h5ad(path)
    line = refuse(*arguments(cohort))
    assert str(path) in line
    assert "'GENE00006'" in line


def test_text_in_a_delimited_matrix_names_the_gene(refuse, cohort):
    path = cohort / "expression.tsv"
    made = anndata.read_h5ad(cohort / "expression.h5ad").to_df().astype(object)
    made.iloc[2, 1] = "#DIV/0!"
    made.to_csv(path, sep="\t")
    line = refuse(*arguments(cohort, expression=path))
    assert str(path) in line
    assert "'GENE00002'" in line


def test_an_output_folder_below_a_file(fail, cohort):
    below = cohort / "samples.tsv" / "out"
    line = fail("discover", *arguments(cohort), "--out", below)
    assert str(below) in line
    assert "cannot be written" in line


def test_an_output_folder_that_is_a_file(fail, cohort):
    before = (cohort / "samples.tsv").read_bytes()
    line = fail("discover", *arguments(cohort), "--out", cohort / "samples.tsv")
    assert "is a file" in line
    assert (cohort / "samples.tsv").read_bytes() == before


def test_a_failed_run_makes_no_folder(fail, cohort, tmp_path):
    fail("discover", *arguments(cohort, phenotype="absent"), "--out", tmp_path / "new")
    change_samples(cohort, lambda t: t.assign(response=1))
    fail("discover", *arguments(cohort), "--out", tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"folds": 1}, "option folds: is 1"),
        ({"folds": "ten"}, "'--folds'"),
        ({"fdr": 1.5}, "option fdr: is 1.5"),
        ({"fdr": "nan"}, "option fdr: is nan"),
        ({"members": -1}, "option members: is -1"),
        ({"seed": -1}, "option seed: is -1"),
        ({"model": "mpl"}, "no model named 'mpl'; use one of auto, linear, mlp"),
        ({"model": "pathway"}, "its branches are genes, and none are given"),
        ({"kind": "survival"}, "give --survival TIME,EVENT"),
        ({"kind": "ordinal"}, "'ordinal'"),
        ({"genes": "genes.tsv"}, "genes.tsv: no such file"),
        ({"pathways": "sets.gmt"}, "--pathways: is given without genes"),
        ({"gene-window": 1000}, "--gene-window: is given without genes"),
        ({"gene-window": -1}, "option gene-window: is -1"),
        ({"survival": "time,event"}, "--survival: time,event: no column named 'time'"),
        ({"survival": "age"}, "--survival: 1 column(s) in 'age', expected two"),
        ({"survival": "age,sex"}, "event 'sex' holds 'F', 'M', expected 0 and 1"),
        ({"survival": "response,response_binary"}, "expected a number above 0"),
        ({"features": "cna.h5ad"}, "expected NAME=PATH"),
        ({"features": "expression=cna.h5ad"}, "--features: 'expression'"),
        ({"covariates": "response"}, "both phenotype and covariate"),
        ({"drop-markers": "GENE99999"}, "--drop-markers"),
        ({"phenotype": "@absent.txt"}, "absent.txt: no such file"),
        ({"foldz": 3}, "--foldz"),
    ],
)
def test_a_wrong_option_is_named(refuse, cohort, changed, said):
    assert said in refuse(*arguments(cohort, **changed))


def test_no_phenotype_and_no_markers(refuse, cohort):
    samples = cohort / "samples.tsv"
    line = refuse("--samples", samples, "--variants", cohort / "variants.vcf.gz")
    assert "--phenotype: no phenotype was given" in line
    line = refuse("--samples", samples, "--phenotype", "response")
    assert "--variants, --expression, --features" in line


def test_faults_of_the_other_commands(fail, cohort, tmp_path):
    vcf = cohort / "variants.vcf.gz"
    store = tmp_path / "x.zarr"
    assert "no such file" in fail("ingest", cohort / "absent.vcf.gz", "--out", store)
    assert "'99'" in fail("ingest", vcf, "--out", store, "--region", "99")
    assert "GT or DS" in fail("ingest", vcf, "--out", store, "--field", "AD")
    assert ".zarr" in fail("ingest", vcf, "--out", tmp_path / "x")
    assert "no such result folder" in fail("report", tmp_path / "absent")
    assert "performance.json" in fail("report", cohort)
    assert "cannot be made" in fail("simulate", "--out", vcf / "below")
    assert "--seed" in fail("simulate", "--out", tmp_path / "s", "--seed", "-1")
    assert "cannot be" in fail("demo", "--out", vcf)
    assert "'finds'" in fail("finds")
    assert "--samples" in fail("discover")
    assert not store.exists()


def test_the_process_says_one_line_and_exits_with_2(cohort, tmp_path):
    command = [sys.executable, "-m", "genodl", "discover", "--out", tmp_path / "out"]
    chosen = arguments(cohort, phenotype="respons")
    done = subprocess.run(
        [str(part) for part in (*command, *chosen)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "'response'" in done.stderr
