"""What the commands say, and how they end when nobody listens."""

from __future__ import annotations

import os
import sys

import typer

PIPE_CLOSED = 141  # 128 + the number of the signal


def fail(line: str) -> None:
    """One line, exit code 2."""
    print(f"genodl: {line}", file=sys.stderr)
    sys.exit(2)


def say(*lines: object) -> None:
    """Results on stdout; a reader that has left, such as `head`, ends the command quietly."""
    try:
        print(*lines, sep="\n", flush=True)
    except BrokenPipeError:
        leave_pipe()


def leave_pipe() -> None:
    """End quietly; the interpreter must not try to flush again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise typer.Exit(PIPE_CLOSED) from None
