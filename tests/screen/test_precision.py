"""Short factors are used where the device multiplies them, and change no answer."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from genodl.screen import pairs, precision, triples

SHORT = ["short floats that are rounded to eight bits", "single precision"]


def test_a_processor_says_what_it_multiplies(tmp_path):
    told = tmp_path / "cpuinfo"
    told.write_text("processor : 0\nflags\t\t: fpu avx2 avx512f avx512_bf16 fma\n")
    assert precision.multiplies_short(told)
    told.write_text("processor : 0\nFeatures\t: fp asimd bf16 i8mm\n")
    assert precision.multiplies_short(told)
    told.write_text("processor : 0\nflags\t\t: fpu avx2 avx512f fma\nmodel name : bf16\n")
    assert not precision.multiplies_short(told)
    assert not precision.multiplies_short(tmp_path / "absent")


@pytest.mark.parametrize("kind", [jnp.bfloat16, jnp.float32], ids=SHORT)
def test_planted_products_lead_the_shortlists_in_either(kind, monkeypatch):
    for module in (pairs, triples):
        monkeypatch.setattr(module, "short_float", lambda: kind)
        module._best.clear_cache()
    rng = np.random.default_rng(6)
    panel = rng.standard_normal((600, 40)).astype(np.float32)
    response = panel[:, 3] * panel[:, 17] + rng.standard_normal(600).astype(np.float32)
    found = pairs.shortlist(panel, (response - response.mean()).astype(np.float32), folds=3)
    assert found[:, 0].tolist() == [3, 17]
    response = panel[:, 2] * panel[:, 9] * panel[:, 30] + rng.standard_normal(600)
    found = triples.shortlist_triples(panel, (response - response.mean()).astype(np.float32))
    assert sorted(found[:, 0].tolist()) == [2, 9, 30]
    for module in (pairs, triples):
        module._best.clear_cache()
