"""What the benchmarks share: a command run and weighed, and a result that says where it is from."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from threading import Timer
from typing import Any, NamedTuple

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("phenotype", "marker", "modality", "contig", "locus", "lead_marker")


class Run(NamedTuple):
    """A finished command.

    Attributes
    ----------
    seconds : wall time, the start of the interpreter included
    cpu_seconds : of all its threads, which says more where the machine is shared
    memory_gb : greatest resident memory of its process, 1e9 bytes
    stdout : what it printed
    """

    seconds: float
    cpu_seconds: float
    memory_gb: float
    stdout: str

    @property
    def weight(self) -> dict[str, float]:
        """What it cost, for the record."""
        return {name: getattr(self, name) for name in ("seconds", "cpu_seconds", "memory_gb")}


def data_folder() -> Path:
    """The folder of real cohorts: GENODL_DATA, else beside the checkout."""
    folder = Path(os.environ.get("GENODL_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        raise SystemExit(f"the real cohorts are absent: {folder}; set GENODL_DATA to their folder")
    return folder


def genodl(*arguments: object) -> Run:
    """Run `python -m genodl` in a process of its own, as a user does; raise where it fails."""
    return weighed("-m", "genodl", *arguments)


def weighed(*arguments: object, limit: float | None = None) -> Run:
    """Run Python in a process of its own, as `weighed_program` runs another program."""
    return weighed_program(sys.executable, *arguments, limit=limit)


def weighed_program(*arguments: object, limit: float | None = None) -> Run:
    """Run a program in a process of its own; raise where it fails, end it after so many seconds.

    What was ended has printed nothing, and its costs are lower bounds.
    """
    command = [*map(str, arguments)]
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, stdout=stdout, stderr=stderr)
        alarm = Timer(limit or 0, process.kill)
        if limit:
            alarm.start()
        # wait4 tells the use of this one child, where getrusage would mix all children
        _, status, usage = os.wait4(process.pid, 0)
        alarm.cancel()
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        ended = bool(limit) and process.returncode == -signal.SIGKILL
        stdout.seek(0)
        stderr.seek(0)
        if process.returncode != 0 and not ended:
            raise RuntimeError(f"exit {process.returncode} from {command}:\n{stderr.read()}")
        unit = 1 if sys.platform == "darwin" else 1024
        cpu = usage.ru_utime + usage.ru_stime
        memory = usage.ru_maxrss * unit / 1e9
        return Run(round(seconds, 2), round(cpu, 2), round(memory, 3), stdout.read())


def table(path: Path) -> pd.DataFrame:
    """A result table; names stay text and blanks stay blank."""
    kept = dict.fromkeys(NAMES, str)
    return pd.read_csv(path, sep="\t", dtype=kept, keep_default_na=False, na_values=[""])


def kept(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What an earlier run left in a JSON file, else made now and left there whole."""
    if not path.exists():
        beside = path.with_suffix(".part")
        beside.write_text(json.dumps(make()), encoding="utf-8")
        os.replace(beside, path)
    return json.loads(path.read_text(encoding="utf-8"))


def at_least(found: float, least: float) -> dict[str, Any]:
    """A measured number beside its lower bound, and whether it is met."""
    return {"found": found, "at_least": least, "met": bool(found >= least)}


def at_most(found: float, most: float) -> dict[str, Any]:
    """A measured number beside its upper bound, and whether it is met."""
    return {"found": found, "at_most": most, "met": bool(found <= most)}


def options(description: str | None, **extra: dict[str, Any]) -> argparse.Namespace:
    """The options of a benchmark: --quick, and those named."""
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="toy size")
    for name, settings in extra.items():
        parser.add_argument(f"--{name}", **settings)
    return parser.parse_args()


def show(name: str, *, quick: bool, criteria: dict[str, dict], **found: Any) -> None:
    """Print a result as JSON with its commit, versions and device."""
    from genodl import __version__, provenance

    result = {
        "benchmark": name,
        "quick": quick,
        "commit": commit(),
        "genodl_version": __version__,
        "versions": provenance.versions(),
        "device": provenance.device(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "machine": platform.machine(),
        "created": provenance.now(),
        "criteria": criteria,
        "met": all(each["met"] for each in criteria.values()),
        **found,
    }
    print(flat(json.dumps(result, indent=1, ensure_ascii=False)))


def commit() -> str | None:
    """The commit of the checkout, with "+" where files differ from it; None outside one."""
    said = subprocess.run(
        ["git", "describe", "--always", "--abbrev=12", "--dirty=+"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return said.stdout.strip() or None


def flat(text: str) -> str:
    """JSON with each innermost object or list on one line."""
    return re.sub(
        r"[\[{][^\[\]{}]*[\]}]", lambda found: re.sub(r"\s*\n\s*", " ", found.group()), text
    )
