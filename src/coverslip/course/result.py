"""Result of a check: solved, or not yet and why; a colored box in a notebook, plain text elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

CHECK_TYPE = "application/vnd.coverslip.check+json"  # `make lessons` reads this; notebooks ignore it
# Text and background have a contrast of WCAG level AA; title and mark carry the result without color, too.
BOX = """<div role="status" aria-live="polite" class="coverslip-check coverslip-{word}" style="border-left: 5px solid
 {edge}; background: {tint}; color: {ink}; padding: .6em 1em; margin: .3em 0; max-width: 46em; border-radius: 3px;
 font-family: system-ui, sans-serif; line-height: 1.45"><strong>{mark} {title}</strong>{lines}</div>"""
SOLVED = {"word": "solved", "edge": "#2f6f4f", "tint": "#e3f1e9", "ink": "#10251a", "mark": "✓"}
NOT_YET = {"word": "not-yet", "edge": "#e69f00", "tint": "#fdf3dc", "ink": "#33260a", "mark": "→"}


class Passed(str):
    """Message for a correct answer, as returned by a task's ``grade``."""

    __slots__ = ()


@dataclass(frozen=True, repr=False)
class Result:
    """Result of one `check`.

    Attributes:
        task: number of the task, such as "1.2".
        passed: True if the task is solved.
        message: what is right or wrong with the answer, in a sentence or two.
        hint: what to try next; "" if the task is solved or the message is enough.
        further: progress in the lesson, shown once the task is solved.
    """

    task: str
    passed: bool
    message: str
    hint: str = ""
    further: str = ""

    @property
    def title(self) -> str:
        """``Task 1.2: solved`` or ``Task 1.2: not yet``."""
        return f"Task {self.task}: {'solved' if self.passed else 'not yet'}"

    @property
    def lines(self) -> tuple[str, ...]:
        """Lines below the title."""
        hint = f"Hint: {self.hint}" if self.hint else ""
        return tuple(line for line in (self.message, hint, self.further) if line)

    @property
    def text(self) -> str:
        """The result as plain text."""
        return "\n  ".join([f"{(SOLVED if self.passed else NOT_YET)['mark']} {self.title}", *self.lines])

    @property
    def html(self) -> str:
        """The result as a box for a notebook; screen readers announce it."""
        lines = "".join(f'<div style="margin-top: .3em">{escape(line)}</div>' for line in self.lines)
        return BOX.format(**(SOLVED if self.passed else NOT_YET), title=escape(self.title), lines=lines).replace(
            "\n", ""
        )

    def show(self) -> None:
        """Display the result below the cell; outside a notebook, print it."""
        try:
            from IPython.core.getipython import get_ipython
            from IPython.display import display
        except ModuleNotFoundError:
            shell = None
        else:
            shell = get_ipython()
        if shell is None:
            print(self.text)  # noqa: T201
            return
        fields = {"task": self.task, "passed": self.passed, "message": self.message, "hint": self.hint}
        display(  # type: ignore[no-untyped-call]
            {"text/plain": self.text, "text/html": self.html, CHECK_TYPE: fields}, raw=True
        )

    def _ipython_display_(self) -> None:
        """Display nothing: `check` has already shown the result, even if it is not the last line of a cell."""

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        return f"<{self.title}>"
