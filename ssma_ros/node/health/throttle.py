"""When a message that was logged before is logged again."""
from __future__ import annotations

import math
import re
import time
from collections.abc import Sequence

REPEAT_S, CALM_S = 30.0, 10.0


class Throttle:
    """Knows when each message was logged last. Numbers in a message are ignored."""

    def __init__(self) -> None:
        self._logged: dict[str, float] = {}
        self._lasts: set[str] = set()

    def is_due(self, text: str, after_s: float = REPEAT_S) -> bool:
        """Whether it was not logged for so long; it then counts as logged now."""
        cause, now = _without_numbers(text), time.monotonic()
        due = now - self._logged.get(cause, -math.inf) >= after_s
        if due:
            self._logged[cause] = now
        return due

    def due(self, texts: Sequence[str]) -> list[str]:
        """Returns the messages to log now: new ones at once; lasting ones every REPEAT_S; those
        that come and go every CALM_S at most. texts: all messages that are true now."""
        causes = {_without_numbers(text): text for text in texts}
        due = [text for cause, text in causes.items()
               if self.is_due(text, REPEAT_S if cause in self._lasts else CALM_S)]
        self._lasts = set(causes)
        return due


def _without_numbers(text: str) -> str:
    """Numbers in the names of topics and files stay: two cameras have two causes."""
    return re.sub(r"(\S*/\S*)|\d+(?:\.\d+)?", lambda found: found[1] or "#", text)
