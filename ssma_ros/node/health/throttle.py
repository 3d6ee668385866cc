"""When something is said again that was said before."""
from __future__ import annotations

import math
import re
import time
from collections.abc import Sequence

REMIND_S, CALM_S = 30.0, 10.0


class Throttle:
    """Knows what was said when, whatever the numbers in it."""

    def __init__(self) -> None:
        self._said: dict[str, float] = {}
        self._lasts: set[str] = set()

    def is_due(self, text: str, after_s: float = REMIND_S) -> bool:
        """Whether it has not been said for so long; then it counts as said now."""
        cause, now = _without_numbers(text), time.monotonic()
        due = now - self._said.get(cause, -math.inf) >= after_s
        if due:
            self._said[cause] = now
        return due

    def due(self, texts: Sequence[str]) -> list[str]:
        """Which of all that holds now is to be said now: what is new at once, what lasts every
        REMIND_S, and what comes and goes no sooner than after CALM_S."""
        causes = {_without_numbers(text): text for text in texts}
        due = [text for cause, text in causes.items()
               if self.is_due(text, REMIND_S if cause in self._lasts else CALM_S)]
        self._lasts = set(causes)
        return due


def _without_numbers(text: str) -> str:
    """Those in the names of topics and files stay: two cameras have two causes."""
    return re.sub(r"(\S*/\S*)|\d+(?:\.\d+)?", lambda found: found[1] or "#", text)
