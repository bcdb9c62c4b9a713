"""How fast genodl attributes beside torch's libraries, and in what memory it ranks many inputs.

Each contender runs in a process of its own; the first run, with compilation, is timed apart from
the best of the following. A library that is absent is skipped, and its criterion with it.
"""

from __future__ import annotations

import importlib.util
import json
import resource
import subprocess
import sys
import time
from importlib.metadata import version
from typing import Any

from _explainers import CONTENDERS, FULL, QUICK
from _record import at_least, at_most, options, show

# claim -> (ratio aimed at, peers)
CLAIMS: dict[str, tuple[float, tuple[str, ...]]] = {
    "integrated_gradients": (20, ("captum",)),
    "expected_gradients": (10, ("captum", "shap")),
    "deeplift_shap": (10, ("captum", "shap")),
    "integrated_gradients_cnn": (2, ("captum",)),
    "deeplift_shap_cnn": (3, ("tangermeme",)),
    "ism_cnn": (2, ("tangermeme",)),
}
PEERS = ("torch", "captum", "shap", "tangermeme")
MEMORY_GB = 2.0


def timed(name: str, claim: str, size: dict, repeats: int) -> dict[str, float]:
    """Seconds of the first run, the best of the others, their processor time, and peak memory."""
    run = CONTENDERS[name](claim, size)
    wall, busy = [], []
    for _ in range(repeats + 1):
        begin, used = time.perf_counter(), time.process_time()
        run()
        wall.append(round(time.perf_counter() - begin, 4))
        busy.append(round(time.process_time() - used, 4))
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
    best = {"best_s": min(wall[1:]), "best_cpu_s": min(busy[1:])} if repeats else {}
    return {"first_s": wall[0], **best, "memory_gb": round(peak, 3)}


def apart(name: str, claim: str, *, quick: bool, repeats: int) -> dict[str, Any]:
    """The same in a process of its own; why it was skipped where it could not run."""
    if name in PEERS and importlib.util.find_spec(name) is None:
        return {"skipped": f"{name} is not installed"}
    command = [sys.executable, __file__, "--contender", name, claim, "--repeats", str(repeats)]
    found = subprocess.run(command + ["--quick"] * quick, capture_output=True, text=True)
    if found.returncode and name in PEERS:
        return {"skipped": f"failed: {found.stderr.strip().splitlines()[-1]}"}
    if found.returncode:
        raise RuntimeError(f"{claim} of genodl failed:\n{found.stderr}")
    return json.loads(found.stdout.strip().splitlines()[-1])


def compare(claims: list[str], *, quick: bool, repeats: int) -> tuple[dict, dict]:
    """Criteria, and the seconds behind them."""
    criteria, seconds = {}, {}
    for claim in claims:
        aim, peers = CLAIMS[claim]
        found = {n: apart(n, claim, quick=quick, repeats=repeats) for n in ("genodl", *peers)}
        seconds[claim] = found
        for peer in peers:
            if "skipped" in found[peer]:
                continue
            ratio, busy = (
                round(found[peer][kind] / found["genodl"][kind], 2)
                for kind in ("best_s", "best_cpu_s")
            )
            criteria[f"{claim}_over_{peer}"] = at_least(ratio, aim) | {"in_cpu_seconds": busy}
        print(claim, json.dumps(criteria), file=sys.stderr)
    return criteria, seconds


def main() -> None:
    """Compare, weigh, print."""
    chosen = options(
        __doc__,
        only={"nargs": "+", "choices": [*CLAIMS, "summaries"], "default": [*CLAIMS, "summaries"]},
        repeats={"type": int, "default": 3},
        contender={"nargs": 2, "help": "run this one of a claim alone"},
    )
    if chosen.contender:
        size = QUICK if chosen.quick else FULL
        print(json.dumps(timed(*chosen.contender, size, chosen.repeats)))
        return
    claims = [claim for claim in chosen.only if claim in CLAIMS]
    criteria, seconds = compare(claims, quick=chosen.quick, repeats=chosen.repeats)
    if "summaries" in chosen.only:
        found = seconds["summaries"] = apart("summaries", "-", quick=chosen.quick, repeats=0)
        criteria["summaries_memory_gb"] = at_most(found["memory_gb"], MEMORY_GB)
    known = {n: version(n) for n in PEERS if importlib.util.find_spec(n)}
    show(
        "attribution",
        quick=chosen.quick,
        criteria=criteria,
        size=QUICK if chosen.quick else FULL,
        peers=known,
        seconds=seconds,
    )


if __name__ == "__main__":
    main()
