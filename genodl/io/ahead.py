"""Work on the parts of a file on every core, its results in the order of the file."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")
MOST_CORES = 4
CORES = min(
    MOST_CORES,
    len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
)


def in_order(
    function: Callable[..., Result], batches: Iterable[tuple], *, each: int = 2
) -> Iterator[Result]:
    """function(*batch) of each batch in order, up to `each` batches ahead a core."""
    with ThreadPoolExecutor(CORES) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for batch in batches:
                waiting.append(pool.submit(function, *batch))
                if len(waiting) > each * CORES:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
