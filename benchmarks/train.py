"""How fast an ensemble trains beside a loop over its members in torch, and how that grows.

32 MLPs (2,000 inputs, layers of 32 and 8 units) on 2,500 samples, minibatches of 512, AdamW, 200
steps. After every fifth step genodl also predicts what each network holds out, a fifth of the
samples, to stop early, which is counted; the loop in torch only trains. Each contender is a process
of its own, and imports are left out.

    python benchmarks/train.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from _record import at_least, at_most, options, show, weighed

BATCH, STEPS_A_ROUND = 512, 5
FULL = {"samples": 2_500, "inputs": 2_000, "members": 32, "steps": 200}
QUICK = {"samples": 600, "inputs": 100, "members": 8, "steps": 20}
HIDDEN = (32, 8)
LEAST, MOST_EXPONENT, MOST_WAITING = 8.0, 1.1, 0.02
GROWTH = (1, 2, 4)  # times a quarter of the members


def data(size: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Samples and a phenotype of two of the inputs."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((size["samples"], size["inputs"])).astype(np.float32)
    return x, (x[:, 0] * x[:, 1] + x[:, 2] + rng.standard_normal(len(x))).astype(np.float32)


def ours(size: dict[str, int]) -> dict[str, float]:
    """Seconds of a first ensemble, compilation included, and of a second of the same shape.

    The steps of the second are timed apart: they are one program on rows that lie on the device,
    so what they wait for is the time before and after it.
    """
    import jax

    import genodl.train as train
    from genodl.train import chunks

    steps, inside = chunks.advance, [0.0]

    def timed_steps(*given: Any, **more: Any) -> Any:
        began = time.perf_counter()
        done = jax.block_until_ready(steps(*given, **more))
        inside[0] = time.perf_counter() - began
        return done

    chunks.advance = timed_steps
    x, y = data(size)
    rounds = size["steps"] // STEPS_A_ROUND
    # all rounds are warm-up, so that no member stops early
    config = train.TrainConfig(rounds=rounds, steps=STEPS_A_ROUND, batch=BATCH, warmup=rounds)

    def run(seed: int) -> float:
        began = time.perf_counter()
        train.fit_ensemble(
            "mlp",
            {"hidden": HIDDEN},
            x[None],
            y[None],
            np.ones((1, len(y)), np.float32),
            members=size["members"],
            seed=seed,
            config=config,
        )
        return time.perf_counter() - began

    first, again = run(0), run(1)
    return {"first": first, "again": again, "waiting_share": 1 - inside[0] / again}


def torch(size: dict[str, int]) -> dict[str, float]:
    """Seconds of a loop over the members."""
    import torch as t

    x, y = (t.tensor(v) for v in data(size))
    t.manual_seed(0)

    def member() -> None:
        widths = (size["inputs"], *HIDDEN, 1)
        layers: list[Any] = []
        for before, after in pairwise(widths):
            layers += [t.nn.Linear(before, after), t.nn.GELU()]
        model = t.nn.Sequential(*layers[:-1])
        optimiser = t.optim.AdamW(model.parameters(), lr=8e-3, foreach=True)
        for _ in range(size["steps"]):
            rows = t.randint(len(x), (BATCH,))
            optimiser.zero_grad()
            (model(x[rows])[:, 0] - y[rows]).square().mean().backward()
            t.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()

    member()  # warm
    began = time.perf_counter()
    for _ in range(size["members"]):
        member()
    return {"first": time.perf_counter() - began}


def timed(name: str, size: dict[str, int]) -> dict[str, float]:
    """What a contender takes, in a process of its own."""
    run = weighed(Path(__file__), "--contender", name, "--size", json.dumps(size))
    return {**json.loads(run.stdout), "memory_gb": run.memory_gb}


def main() -> None:
    given = options(__doc__)
    size = QUICK if given.quick else FULL
    found: dict[str, Any] = {"genodl": timed("ours", size)}
    criteria: dict[str, dict] = {}
    if find_spec("torch"):
        found["torch"] = timed("torch", size)
        ratio = found["torch"]["first"] / found["genodl"]["first"]
        if not given.quick:  # compilation is most of a toy
            criteria["torch_over_genodl_compilation_included"] = at_least(round(ratio, 2), LEAST)
    else:
        found["torch"] = {"skipped": "torch is not installed"}
    members = [size["members"] // 4 * times for times in GROWTH]
    seconds = [timed("ours", {**size, "members": count})["again"] for count in members]
    exponent = float(np.polyfit(np.log(members), np.log(seconds), 1)[0])
    if not given.quick:
        criteria["share_of_time_outside_steps"] = at_most(
            round(found["genodl"]["waiting_share"], 4), MOST_WAITING
        )
        criteria["exponent_in_members"] = at_most(round(exponent, 3), MOST_EXPONENT)
    found["growth"] = {"members": members, "seconds": seconds, "exponent": exponent}
    show("train", quick=given.quick, criteria=criteria, size=size, **found)


def contend() -> None:
    """One contender, as `timed` starts it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--contender", choices=["ours", "torch"])
    parser.add_argument("--size", type=json.loads)
    given = parser.parse_args()
    print(json.dumps({"ours": ours, "torch": torch}[given.contender](given.size)))


if __name__ == "__main__":
    contend() if "--contender" in sys.argv else main()
