"""Timetable of the course day from 9:15 to 17:00, with breaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from coverslip.core.errors import UserError

START, END = 9 * 60 + 15, 17 * 60  # minutes since midnight
BREAKS = ((10 * 60 + 45, 15, "Coffee"), (12 * 60 + 30, 60, "Lunch"), (15 * 60, 15, "Coffee"))
TOLERANCE = 20  # minutes by which a break may move, so that it does not interrupt a lesson
LAST = "Questions, and next steps with your own images"


@dataclass(frozen=True)
class Slot:
    """One line of the timetable; start and end in minutes since midnight."""

    start: int
    end: int
    title: str

    @property
    def clock(self) -> str:
        """The time as text, such as ``9:15-10:00`` with an en dash."""
        return f"{_clock(self.start)}–{_clock(self.end)}"


def timetable(lessons: Sequence[tuple[str, int]]) -> list[Slot]:
    """Return the timetable of the day for lessons in order.

    A break is placed between two lessons if one ends within `TOLERANCE` minutes of the planned break; otherwise it
    interrupts a lesson, which continues afterwards. The remaining time is for questions.

    Args:
        lessons: (title, minutes) of each lesson.

    Raises:
        UserError: the lessons do not fit into the day.

    >>> [slot.clock for slot in timetable([("one", 90), ("two", 100)])]
    ['9:15–10:45', '10:45–11:00', '11:00–12:40', '12:40–13:40', '13:40–15:00', '15:00–15:15', '15:15–17:00']
    """
    left = END - START - sum(minutes for _, minutes, _ in BREAKS) - sum(minutes for _, minutes in lessons)
    if left < 0:
        raise UserError(
            f"the lessons take {-left} minutes too long for the day",
            "reduce 'minutes' in the front matter of some lessons",
        )
    slots: list[Slot] = []
    now, breaks = START, list(BREAKS)
    for title, minutes in [*lessons, (LAST, left)]:
        remaining, label = minutes, title
        while remaining:
            if breaks and now >= breaks[0][0] - TOLERANCE:
                _, duration, name = breaks.pop(0)
                slots.append(Slot(now, now + duration, name))
                now += duration
            end = now + remaining
            if breaks and end > breaks[0][0] + TOLERANCE:
                end = breaks[0][0]
            slots.append(Slot(now, end, label))
            remaining, now, label = remaining - (end - now), end, f"{title} (continued)"
    return slots


def _clock(minute: int) -> str:
    return f"{minute // 60}:{minute % 60:02d}"
