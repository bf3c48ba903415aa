"""The day from 9:15 to 17:00, laid out around its breaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from coverslip.core.errors import UserError

START, END = 9 * 60 + 15, 17 * 60  # minutes since midnight
BREAKS = ((10 * 60 + 45, 15, "Coffee"), (12 * 60 + 30, 60, "Lunch"), (15 * 60, 15, "Coffee"))
NEAR = 20  # so many minutes a break moves, rather than cut a lesson in two
LAST = "Questions, and what everyone does tomorrow with their own images"


@dataclass(frozen=True)
class Slot:
    """One line of the timetable; minutes since midnight."""

    start: int
    end: int
    what: str

    @property
    def clock(self) -> str:
        """``9:15-10:00``, with an en dash."""
        return f"{_clock(self.start)}–{_clock(self.end)}"


def timetable(lessons: Sequence[tuple[str, int]]) -> list[Slot]:
    """Lessons in order with their minutes -> the day with its breaks.

    A break comes between two lessons where their border is at most `NEAR` minutes from its time; else the lesson goes
    on after it. What is left of the day is for questions.

    Raises:
        UserError: the lessons do not fit into the day.

    >>> [slot.clock for slot in timetable([("one", 90), ("two", 100)])]
    ['9:15–10:45', '10:45–11:00', '11:00–12:40', '12:40–13:40', '13:40–15:00', '15:00–15:15', '15:15–17:00']
    """
    left = END - START - sum(minutes for _, minutes, _ in BREAKS) - sum(minutes for _, minutes in lessons)
    if left < 0:
        raise UserError(f"the lessons take {-left} minutes too long for the day", "shorten some in their front matter")
    slots: list[Slot] = []
    now, breaks = START, list(BREAKS)
    for title, minutes in [*lessons, (LAST, left)]:
        rest, name = minutes, title
        while rest:
            if breaks and now >= breaks[0][0] - NEAR:
                _, pause, what = breaks.pop(0)
                slots.append(Slot(now, now + pause, what))
                now += pause
            until = now + rest
            if breaks and until > breaks[0][0] + NEAR:
                until = breaks[0][0]
            slots.append(Slot(now, until, name))
            rest, now, name = rest - (until - now), until, f"{title} (continued)"
    return slots


def _clock(minute: int) -> str:
    return f"{minute // 60}:{minute % 60:02d}"
