"""Text of millions of rows: the very digits that Python writes."""

from __future__ import annotations

import numpy as np
import pytest

from genodl.io.rows import rows_of_tests


def written(*values: float) -> list[str]:
    numbers = np.array(values, float).reshape(1, -1, 1)
    counts = np.ones((len(values), 1), np.int64)
    text = rows_of_tests(["m"] * len(values), ["p"], counts, numbers, most=1).decode()
    return [line.split("\t")[-1] for line in text.splitlines()]


@pytest.mark.parametrize(
    "value",
    [
        *(0.0, 1.0, -1.0, 10.0, 123456.0, 1234567.0, 999999.5, 0.0001, 0.00012345678, 9.999996e-5),
        *(1e-300, 5e-324, 1.7e308, 2.5e-308, 100000.0, 0.1, 0.3, 1 / 3, -2 / 3, 1e15),
        *(np.inf, -np.inf),
    ],
)
def test_a_number_is_written_as_python_writes_six_digits(value: float):
    assert written(value) == [f"{value:.6g}"]


def test_random_numbers_of_every_size_are_written_alike():
    rng = np.random.default_rng(0)
    values = rng.standard_normal(20_000) * 10.0 ** rng.uniform(-300, 300, 20_000)
    ours, theirs = written(*values), [f"{v:.6g}" for v in values]
    differ = [(a, b) for a, b in zip(ours, theirs, strict=True) if a != b]
    # a tie in the seventh digit may fall either way
    assert len(differ) < 5
    assert all(abs(float(a) / float(b) - 1) < 1.1e-5 for a, b in differ)


def test_rows_run_over_phenotypes_within_a_marker_and_nan_is_nothing():
    numbers = np.array([[[0.5, np.nan], [2.0, 3.0]], [[0.01, np.nan], [0.2, 1e-9]]])
    counts = np.array([[10, 0], [7, 1234]])
    text = rows_of_tests(["a\t1", "b\t2"], ["x", "y µ"], counts, numbers, most=1).decode()
    assert text.splitlines() == [
        "x\ta\t1\t10\t0.5\t0.01",
        "y µ\ta\t1\t0\t\t",
        "x\tb\t2\t7\t2\t0.2",
        "y µ\tb\t2\t1234\t3\t1e-09",
    ]
    few = rows_of_tests(["a\t1", "b\t2"], ["x", "y µ"], counts, numbers, most=0.05).decode()
    assert [line.split("\t")[0] for line in few.splitlines()] == ["x", "y µ"]
