"""Sample tables, names, genes and gene sets."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest

from genodl.errors import InputError
from genodl.io.tables import read_gene_sets, read_genes, read_names, read_samples


def write(path, text):
    """The path, once the text is in it; gzipped if its name says so."""
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize(
    ("name", "delimiter"),
    [
        ("s.tsv", "\t"),
        ("s.csv", ","),
        ("s.tsv.gz", "\t"),
        ("s.csv.gz", ","),
        ("s.txt", ","),
        ("s.csv", "\t"),
        ("s.dat", ","),
        ("s.dat", "\t"),
    ],
)
def test_a_sample_table_is_the_same_whatever_its_delimiter(tmp_path, name, delimiter):
    text = "sample,age,site\n007,30.5,A\n008,,B\n009,41,NA\n".replace(",", delimiter)
    found = read_samples(write(tmp_path / name, text))
    assert list(found.index) == ["007", "008", "009"]
    assert found.index.name == "sample"
    np.testing.assert_array_equal(found["age"], [30.5, np.nan, 41])
    assert found["site"].tolist()[:2] == ["A", "B"]
    assert pd.isna(found["site"].iloc[2])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id\ta\nx\t1\nx\t2\ny\t3\n", "s.tsv: 1 sample name(s) occur more than once: 'x'"),
        ("id\ta\ta\nx\t1\t2\n", "header: 1 column name(s) occur more than once: 'a'"),
        ("id\ta\nx\t1\n\t2\n", "row 3: 1 row(s) have no id"),
        ("id\ta\tb\nx\t1\t2\ny\t1\n", "row 3 ('y'): 2 fields, the header has 3"),
        ("id\ta\nx\t1\ny\t1\t2\n", "Expected 2 fields in line 3, saw 3"),
        ("id\ta\nx\t1\t2\t3\n", "row 2: 4 fields, the header has 2"),
        ("id;a\nx;1\n", "separated by semicolons"),
        ("id\ta\n", "no rows below the header"),
        ("", "no header line"),
        ("id\ta\x00\nx\t1\n", "binary"),
    ],
)
def test_a_faulty_sample_table_is_refused_in_one_line_naming_the_place(tmp_path, text, message):
    with pytest.raises(InputError) as fault:
        read_samples(write(tmp_path / "s.tsv", text))
    assert message in str(fault.value)
    assert str(tmp_path / "s.tsv") in str(fault.value)
    assert "\n" not in str(fault.value)


KNOWN = ["age", "site", "A,B", "Drug: x", "height"]


@pytest.mark.parametrize(
    ("specs", "names"),
    [
        (["age"], ["age"]),
        (["age,site"], ["age", "site"]),
        (["A,B"], ["A,B"]),
        (["age,A,B, site"], ["age", "A,B", "site"]),
        (["site", "age,site"], ["site", "age"]),
        (["Drug: x,height"], ["Drug: x", "height"]),
    ],
)
def test_names_are_split_at_commas_unless_a_column_is_named_so(specs, names):
    assert read_names(specs, known=KNOWN) == names


def test_names_in_a_file_are_one_a_line_and_never_split(tmp_path):
    file = write(tmp_path / "names.txt", "A,B\n\nDrug: x\r\nage")
    assert read_names([f"@{file}", "age"], known=KNOWN) == ["A,B", "Drug: x", "age"]


def test_an_unknown_name_is_refused_with_the_nearest(tmp_path):
    with pytest.raises(InputError, match=r"no column named 'hieght'; the nearest .* 'height'"):
        read_names(["age,hieght"], known=KNOWN)
    with pytest.raises(InputError, match=r"names\.txt: no column named 'sit'.*'site'"):
        read_names([f"@{write(tmp_path / 'names.txt', 'sit')}"], known=KNOWN)
    with pytest.raises(InputError, match="no such file"):
        read_names(["@absent"], known=KNOWN)
    with pytest.raises(InputError, match="no name in the file"):
        read_names([f"@{write(tmp_path / 'none.txt', '')}"], known=KNOWN)
    with pytest.raises(InputError, match="no name given"):
        read_names([","], known=KNOWN)


GTF = (
    '#!genome-build GRCh38\n1\th\tgene\t11\t20\t.\t+\t.\tgene_id "E1"; gene_name "AB"; level 2;\n'
    '1\th\texon\t11\t15\t.\t+\t.\tgene_id "E1"; gene_name "AB";\n'
    'X\th\tgene\t5\t9\t.\t-\t.\tgene_id "E2";\n'
)
GFF3 = (
    "##gff-version 3\n1\th\tgene\t11\t20\t.\t+\t.\tID=gene:E1;Name=AB\n"
    "1\th\tmRNA\t11\t15\t.\t+\t.\tID=transcript:T;Parent=gene:E1\n"
    "X\th\tncRNA_gene\t5\t9\t.\t-\t.\tID=gene:E2\n##FASTA\n>1\nACGT\n"
)
TRANSCRIPTS = (
    '1\th\ttranscript\t11\t15\t.\t+\t.\tgene_id "E1"; gene_name "AB";\n'
    '1\th\ttranscript\t13\t20\t.\t+\t.\tgene_id "E1"; gene_name "AB";\n'
    'X\th\texon\t5\t9\t.\t-\t.\tgene_id "E2";\n'
)
TABLE = "gene\tcontig\tstart\tend\tmore\nAB\t1\t11\t20\tz\nE2\tX\t5\t9\tz\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("g.gtf", GTF),
        ("g.gtf.gz", GTF),
        ("g.gff3.gz", GFF3),
        ("g.gtf", TRANSCRIPTS),
        ("g.tsv", TABLE),
        ("g.csv", TABLE.replace("\t", ",")),
    ],
)
def test_genes_are_the_same_from_every_format(tmp_path, name, text):
    found = read_genes(write(tmp_path / name, text))
    assert found.to_dict("list") == {
        "contig": ["1", "X"],
        "start": [11, 5],
        "end": [20, 9],
        "gene": ["AB", "E2"],
    }


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("g.tsv", "contig\tstart\tgene\n1\t2\tA\n", "no column 'end'"),
        ("g.tsv", "contig\tstart\tend\tgene\n1\t2\t3\tA\n1\t9\t3\tB\n", "row 3: 1 gene(s) without"),
        ("g.tsv", "contig\tstart\tend\tgene\n1\t0\t3\tA\n", "'1 0 3 A'"),
        ("g.tsv", "contig\tstart\tend\tgene\n", "no gene"),
        ("g.gtf", "1\th\tgene\t11\n", "line 1: 4 fields, 9 "),
        ("g.gff3", "##gff-version 3\n", "no gene record"),
    ],
)
def test_faulty_genes_are_refused(tmp_path, name, text, message):
    with pytest.raises(InputError) as fault:
        read_genes(write(tmp_path / name, text))
    assert message in str(fault.value)


def test_gene_sets_keep_the_order_of_their_genes_and_drop_repeats(tmp_path):
    file = write(tmp_path / "sets.gmt", "one\tabout\tB\tA\tB\n\ntwo sets\t\tC\t\n")
    assert read_gene_sets(file) == {"one": ["B", "A"], "two sets": ["C"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("one\tabout\tA\ntwo\tabout\n", "line 2: 2 tab-separated fields and no gene"),
        ("one\t\tA\none\t\tB\n", "line 2: the set 'one' repeats"),
        ("\n", "no gene set"),
    ],
)
def test_faulty_gene_sets_are_refused(tmp_path, text, message):
    with pytest.raises(InputError) as fault:
        read_gene_sets(write(tmp_path / "sets.gmt", text))
    assert message in str(fault.value)


@pytest.mark.real_data
def test_real_tables_are_read_whole(data):
    cells = read_samples(data / "gdsc" / "samples.tsv.gz")
    assert cells.shape == (988, 267)
    assert cells.index[0] == "683665"
    assert cells.iloc[:, 2:].dtypes.eq(float).all()
    assert read_samples(data / "mice" / "samples.tsv.gz").shape == (1814, 37)
    assert read_genes(data / "annotation" / "genes_grch38.tsv.gz").shape == (32075, 4)
    sets = read_gene_sets(data / "annotation" / "h.all.v2022.1.Hs.symbols.gmt")
    assert len(sets) == 50
    assert "TP53" in sets["HALLMARK_P53_PATHWAY"]
