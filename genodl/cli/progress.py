"""Progress on stderr, for what takes longer than a moment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


def track(items: Iterable, label: str, total: int) -> Iterator[Any]:
    """The items, with a bar on stderr; an item that says how far it goes moves the bar so far."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    if not console.is_terminal:
        console.print(f"{label}: {total}", highlight=False)
        yield from items
        return
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(label, total=total)
        for item in items:
            yield item
            far = item[0] + item[1] if isinstance(item, tuple) else progress.tasks[0].completed + 1
            progress.update(task, completed=far)
