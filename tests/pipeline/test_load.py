"""Files become one joined cohort, each modality by its own reader."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import genodl
from genodl.errors import InputError

VCF = """##fileformat=VCFv4.2
##contig=<ID=1>
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
#CHROM	POS	ID	REF	ALT	QUAL	FILTER	INFO	FORMAT	b	c	a
{contig}	5	.	A	G	.	.	.	GT	0/1	1/1	./.
"""


@pytest.fixture
def files(tmp_path):
    """Three samples in another order in each file, one of them in two files only."""
    (tmp_path / "one.vcf").write_text(VCF.format(contig="1"))
    (tmp_path / "two.vcf").write_text(VCF.format(contig="2").replace("<ID=1>", "<ID=2>"))
    (tmp_path / "samples.tsv").write_text("id\tresponse\na\t1.5\nb\t2.5\nc\t3.5\n")
    (tmp_path / "rna.tsv").write_text("id\tTP53\tKRAS\nc\t30\t31\nb\t20\t21\n")
    (tmp_path / "cna.tsv").write_text("id\tgain\na\t1\nb\t0\nc\t1\n")
    return tmp_path


def test_the_samples_of_any_modality_are_joined_in_the_order_of_the_table(files):
    cohort = genodl.read_cohort(
        samples=files / "samples.tsv",
        variants=files / "one.vcf",
        expression=files / "rna.tsv",
        features={"alterations": files / "cna.tsv"},
    )
    assert list(cohort.modalities) == ["variants", "expression", "alterations"]
    assert list(cohort.samples.index) == ["a", "b", "c"]
    assert list(cohort.samples["response"]) == [1.5, 2.5, 3.5]
    assert cohort.modalities["variants"].X.tolist() == [[-1], [1], [2]]
    unknown = [np.nan, np.nan]
    assert np.array_equal(
        cohort.modalities["expression"].X, [unknown, [20, 21], [30, 31]], equal_nan=True
    )
    assert cohort.modalities["alterations"].X.tolist() == [[1], [0], [1]]


def test_several_files_of_variants_are_read_as_one(files):
    cohort = genodl.read_cohort(
        samples=files / "samples.tsv", variants=[files / "one.vcf", str(files / "two.vcf")]
    )
    assert list(cohort.modalities["variants"].var_names) == ["1:5:A:G", "2:5:A:G"]
    assert np.array_equal(cohort.modalities["variants"].X, [[-1, -1], [1, 1], [2, 2]])


def test_no_markers_are_refused(files):
    with pytest.raises(InputError, match="no markers were given; give at least one of --variants"):
        genodl.read_cohort(samples=files / "samples.tsv")


@pytest.mark.parametrize("name", ["variants", "expression"])
def test_a_name_of_a_modality_of_its_own_is_refused(files, name):
    with pytest.raises(InputError, match=f"--features: '{name}' is the name"):
        genodl.read_cohort(samples=files / "samples.tsv", features={name: files / "cna.tsv"})


def test_an_absent_file_is_told_before_any_is_read(files):
    (files / "one.vcf").write_text("not read\n")
    with pytest.raises(InputError, match=r"absent\.tsv: no such file; check the path"):
        genodl.read_cohort(
            samples=files / "samples.tsv",
            variants=files / "one.vcf",
            features={"more": files / "absent.tsv"},
        )


def test_files_without_a_common_sample_are_all_named(files):
    table = pd.read_csv(files / "samples.tsv", sep="\t", index_col=0)
    table.index = ["x", "y", "z"]
    table.to_csv(files / "samples.tsv", sep="\t")
    with pytest.raises(InputError, match="no sample in common") as fault:
        genodl.read_cohort(samples=files / "samples.tsv", variants=files / "one.vcf")
    assert str(files / "one.vcf") in str(fault.value)
    assert str(files / "samples.tsv") in str(fault.value)
