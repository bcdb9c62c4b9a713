"""Delimited text into a DataFrame."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from genodl.errors import InputError
from genodl.io.delimited import read_delimited


def write(path, text):
    """The path, once the text is in it."""
    path.write_text(text, newline="")
    return path


def test_quoted_fields_may_hold_the_delimiter(tmp_path):
    found = read_delimited(write(tmp_path / "s.csv", 'id,"Drug (a,b):1"\nx,1\n'))
    assert list(found.columns) == ["Drug (a,b):1"]


def test_a_header_without_a_name_for_the_row_names_is_understood(tmp_path):
    found = read_delimited(write(tmp_path / "s.tsv", "age\theight\nx\t1\t2\ny\t3\t4\n"))
    assert found.to_dict("list") == {"age": [1, 3], "height": [2, 4]}
    assert list(found.index) == ["x", "y"]


def test_windows_line_ends_and_byte_order_mark_are_no_part_of_the_values(tmp_path):
    found = read_delimited(write(tmp_path / "s.tsv", "\ufeffid\tsite\r\nx\tA\r\ny\tB\r\n"))
    assert found.index.name == "id"
    assert found["site"].tolist() == ["A", "B"]


def test_unreadable_files_are_refused_by_name(tmp_path):
    with pytest.raises(InputError, match=r"absent\.tsv: no such file; check the path"):
        read_delimited(tmp_path / "absent.tsv")
    with pytest.raises(InputError, match="cannot be read"):
        read_delimited(tmp_path)
    (tmp_path / "latin.tsv").write_bytes("id\tort\nx\tKöln\n".encode("latin-1"))
    with pytest.raises(InputError, match="not UTF-8 text"):
        read_delimited(tmp_path / "latin.tsv")
    whole = gzip.compress(b"id\ta\n" + b"".join(b"s%d\t%d\n" % (n, n * n) for n in range(999)))
    (tmp_path / "cut.tsv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="damaged or cut short"):
        read_delimited(tmp_path / "cut.tsv.gz")


def test_trailing_delimiters_are_no_column_of_their_own(tmp_path):
    found = read_delimited(write(tmp_path / "s.tsv", "id\ta\nx\t1\t\ny\t2\t\n"))
    assert found.to_dict("list") == {"a": [1, 2]}
    with pytest.raises(InputError, match="give every row as many fields as the header"):
        read_delimited(write(tmp_path / "s.tsv", "id\ta\nx\t1\t\ny\t2\t3\n"))


def test_columns_named_by_numbers_keep_their_values(tmp_path):
    found = read_delimited(write(tmp_path / "s.tsv", "1\t0\t2\n007\t5\t6\n"))
    assert list(found.index) == ["007"]
    assert found.to_dict("list") == {"0": [5], "2": [6]}


def test_a_table_without_ids_keeps_its_first_column(tmp_path):
    found = read_delimited(write(tmp_path / "s.csv", "contig,start\n1,5\nX,7\n"), id_column=False)
    assert found.to_dict("list") == {"contig": ["1", "X"], "start": [5, 7]}
    np.testing.assert_array_equal(found.index, [0, 1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('id\ta\n"x\t1\ny\t2\n', "EOF inside string"),
        ('"' + "x" * 200_000 + "\n", "the first lines are no table"),
    ],
)
def test_a_quote_that_is_never_closed_is_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_delimited(write(tmp_path / "s.tsv", text))
