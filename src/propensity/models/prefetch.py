"""Make the next batches in a thread while this one is trained on: reading and gathering cost the training loop no time."""

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

Item = TypeVar("Item")
DEPTH = 2
END: Any = object()


def ahead(items: Iterable[Item], depth: int = DEPTH) -> Generator[Item, None, None]:
    """Yield the items in their order, `depth` of them made ahead in a thread of its own; an error there is raised here."""
    source = iter(items)
    with ThreadPoolExecutor(1, "batches") as thread:
        waiting = deque(thread.submit(next, source, END) for _ in range(depth))
        try:
            while (item := waiting.popleft().result()) is not END:
                waiting.append(thread.submit(next, source, END))
                yield cast(Item, item)
        finally:
            thread.shutdown(cancel_futures=True)
