"""Progress on stderr, for what takes longer than a moment."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

LONG = 2.0


@dataclass(frozen=True)
class Display:
    """What is under way: bars on a terminal; elsewhere a line for each loop that was long."""

    console: Console
    bars: Progress | None

    def track(self, items: Iterable, label: str, total: int) -> Iterator[Any]:
        """The items, with a bar; an item (start, width, ...) moves it to where it ends."""
        with self._timed(label):
            if self.bars is None:
                yield from items
                return
            task = self.bars.add_task(label, total=total)
            done = 0
            for item in items:
                yield item
                done = item[0] + item[1] if isinstance(item, tuple) else done + 1
                self.bars.update(task, completed=done)

    @contextmanager
    def step(self, label: str) -> Iterator[None]:
        """A step of unknown length: a bar that moves to and fro; elsewhere nothing.

        Faults of the input come up in such steps, and are to be the one line on stderr.
        """
        if self.bars is None:
            yield
            return
        task = self.bars.add_task(label, total=None)
        yield
        self.bars.update(task, total=1, completed=1)

    @contextmanager
    def _timed(self, label: str) -> Iterator[None]:
        """A line, where there are no bars, on a loop that ended well and took long."""
        start = time.monotonic()
        yield
        seconds = time.monotonic() - start
        if self.bars is None and seconds > LONG:
            self.console.print(f"{label}: {seconds:.0f} s", highlight=False, markup=False)


@contextmanager
def display() -> Iterator[Display]:
    """A display that leaves the terminal as it was, however its block ends."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Display(console, None)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as bars:
        yield Display(console, bars)
