"""The built-in measurements run on any device and count work rightly."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest

from genodl import bench


@pytest.fixture(scope="module")
def measured() -> dict:
    return bench.measure(quick=True)


def test_every_stage_is_measured_in_its_unit(measured):
    units = {name: entry["unit"] for name, entry in measured["measurements"].items()}
    assert units == {
        "matrix product": "GFLOP/s",
        "copy": "GB/s",
        "ingest": "genotypes/s",
        "scan": "markers x residuals/s",
        "scan arithmetic": "GFLOP/s",
        "pair screen": "pairs/s",
        "pair screen arithmetic": "GFLOP/s",
        "ensemble training": "samples x members x steps/s",
        "compilation": "s",
        "integrated gradients": "inputs x samples/s",
        "memory": "GB",
    }
    for name, entry in measured["measurements"].items():
        assert ("of_matrix_product" in entry) == (units[name] == "GFLOP/s"), name


def test_every_rate_is_a_positive_number(measured):
    for name, entry in measured["measurements"].items():
        assert np.isfinite(entry["value"]), name
        assert entry["value"] > 0 or name == "compilation", name


def test_the_result_is_json_and_says_where_it_was_measured(measured):
    again = json.loads(json.dumps(measured))
    assert again["device"].endswith(")")
    assert again["versions"]["jax"] != "absent"
    assert again["genodl"]


def test_the_scan_does_four_operations_a_sample_marker_and_residual_or_pattern(measured):
    found = measured["measurements"]
    ratio = found["scan arithmetic"]["value"] * 1e9 / found["scan"]["value"]
    # all residuals cover the same samples: one pattern beside them
    assert ratio == pytest.approx(4 * bench.QUICK.samples * (1 + 1 / bench.QUICK.residuals))


def test_the_first_call_is_timed_apart():
    pauses = iter([0.3, 0.15, 0.05, 0.2])
    first, best = bench.fastest(lambda: time.sleep(next(pauses)))
    assert first >= 0.3
    assert 0.05 <= best < 0.15


def test_a_rate_grows_its_work_until_it_can_be_timed():
    sides = []

    def run(x):
        sides.append(len(x))
        time.sleep(0.12 if len(x) >= 1024 else 0.001)
        return x

    rate = bench._grown(run, lambda side: side, largest=1 << 14)
    assert sorted(set(sides)) == [512, 1024]
    assert 1024 / 0.6 < rate < 1024 / 0.12
