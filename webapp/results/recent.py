"""A process's memory of what it computed lately, under names whose meaning never changes: so it is never stale."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """Keeps what was used last, up to `most` in all by `weight`."""

    def __init__(self, *, most: int, weight: Callable[[Value], int] = lambda value: 1) -> None:
        self.most, self.weight, self.total = most, weight, 0
        self._kept: OrderedDict[Key, Value] = OrderedDict()
        self._lock = Lock()

    def peek(self, key: Key) -> Value | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: Key, value: Value) -> Value:
        """Keep it and let go of what was used longest ago."""
        with self._lock:
            if key not in self._kept:
                self.total += self.weight(value)
            self._kept[key] = value
            self._kept.move_to_end(key)
            while self.total > self.most and self._kept:
                self.total -= self.weight(self._kept.popitem(last=False)[1])
        return value

    def get(self, key: Key, make: Callable[[], Value]) -> Value:
        """The value of this name, made if it is not there; two at once may both make it."""
        found = self.peek(key)
        return self.put(key, make()) if found is None else found
