from __future__ import annotations

import pytest
from numpy.testing import assert_array_equal
from test_vcf import vcf, written

from genodl.errors import InputError
from genodl.io import ingest, iter_variants, read_variants

#          123456789012
FASTA = ">1\nACGTTTTTTACG\n>2\nAAAAAAAAAA\n"
MATCHING = [f"2 {k} . A G . . . GT 0/0 0/1 1/1" for k in range(1, 10)]
RECORDS = [
    "1 4 . T G . . . GT 0/1 0/0 0/0",
    "1 8 . TT T . . . GT 0/1 1/1 0/0",
    "1 4 . T G . . . GT 0/1 0/0 0/0",
    "1 11 . C G,A . . . GT 1/2 0/0 ./.",
]


@pytest.fixture
def fasta(tmp_path):
    path = tmp_path / "reference.fa"
    path.write_text(FASTA)
    return path


def test_deletions_are_left_aligned_and_repeats_merged(tmp_path, fasta, caplog):
    path = written(tmp_path, vcf(*RECORDS))
    found = read_variants(path, reference=fasta)
    # a T taken from the run 4..9 stands as GT > G at its left end
    assert list(found.var_names) == ["1:3:GT:G", "1:4:T:G", "1:11:C:G", "1:11:C:A"]
    assert_array_equal(found.X, [[1, 1, 1, 1], [2, 0, 0, 0], [0, 0, -1, -1]])
    assert found.uns["losses"] == {"REF is not that of the reference": 0, "repeated record": 1}
    assert "1 alleles left out: 1 repeated record" in caplog.text


def test_blocks_and_a_store_are_of_the_normal_form_too(tmp_path, fasta):
    path = written(tmp_path, vcf(*RECORDS))
    names = list(read_variants(path, reference=fasta).var_names)
    blocks = iter_variants(path, reference=fasta, block=3)
    assert [n for b in blocks for n in b.var_names] == names
    store = ingest(path, tmp_path / "x.zarr", reference=fasta)
    assert list(read_variants(store).var_names) == names


def test_few_wrong_letters_are_left_out_and_counted(tmp_path, fasta):
    path = written(tmp_path, vcf("1 2 . G T . . . GT 0/0 0/1 1/1", *MATCHING, *MATCHING[:3]))
    found = read_variants(path, reference=fasta)
    assert found.uns["losses"] == {"REF is not that of the reference": 1, "repeated record": 3}


def test_another_build_is_named_with_its_share(tmp_path, fasta):
    wrong = [f"2 {k} . C G . . . GT 0/0 0/1 1/1" for k in range(1, 4)]
    path = written(tmp_path, vcf(*wrong, *MATCHING))
    with pytest.raises(InputError, match=r"in 25\.0% of 12 records: another genome build"):
        read_variants(path, reference=fasta)


def test_a_contig_the_reference_lacks_is_named(tmp_path, fasta):
    path = written(tmp_path, vcf("chr1 2 . C T . . . GT 0/0 0/1 1/1"))
    with pytest.raises(InputError, match=r"reference\.fa: has no contig 'chr1'"):
        read_variants(path, reference=fasta)


def test_a_call_that_lies_is_refused_before_it_is_normalised(tmp_path, fasta):
    path = written(tmp_path, vcf("1 2 . C T . . . GT 0/0 0/2 1/1"))
    with pytest.raises(InputError, match="beyond the 1 in ALT"):
        read_variants(path, reference=fasta)


def test_a_reference_that_is_none_is_refused(tmp_path, fasta):
    path = written(tmp_path, vcf("1 2 . C T . . . GT 0/0 0/1 1/1"))
    with pytest.raises(InputError, match="no such file"):
        read_variants(path, reference=tmp_path / "absent.fa")
    fasta.write_text("hello\n")
    with pytest.raises(InputError, match="no readable FASTA"):
        read_variants(path, reference=fasta)
