"""The probes for shortcuts: what each is given, what it found, and the words in which it is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """What one probe found.

    Attributes:
        name: ``border``, ``border-color``, ``file-size``, ``dimensions``, ``encoder``, ``exif`` or ``name``.
        title: a few words for a table.
        sees: one sentence: what the probe is given.
        says: what that means, in plain words.
        verdict: ``warns`` where the lower bound exceeds chance by 0.10 and it is no harmless thing, else ``silent``.
        chance: balanced accuracy of guessing, 1 / classes; None where not even that makes sense.
        value: balanced accuracy on images of groups that the probe was not fitted on, 0 to 1; None where it was
            not run.
        low, high: its interval over groups, 95 %; None where there is none.
        reason: why there is no value or no interval.
    """

    name: str
    title: str
    sees: str
    says: str
    verdict: Literal["warns", "notes", "silent"] = "silent"
    chance: float | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """What ``audit.json`` holds."""
        keys = ("name", "title", "sees", "value", "low", "high", "chance", "verdict", "says")
        entry = {key: getattr(self, key) for key in keys}
        return {**entry, "reason": self.reason} if self.reason else entry


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeKind:
    """The words of one probe.

    Attributes:
        name, title, sees: see `Probe`.
        subject: starts the sentence that holds the score; a plural.
        advice: what it means and what to do, where the probe fires.
        nothing: why it is not run where all images are alike.
        harmless: why it is a note at most, and then said in place of the advice.
    """

    name: str
    title: str
    sees: str
    subject: str
    advice: str
    nothing: str
    harmless: str = ""


IN_THE_MIDDLE = (
    "The same colors tell the classes in the middle of the images too: either the subject fills the image, as in "
    "histology, and the border is the subject, which is no shortcut; or stain or light differ between the classes, so "
    "look whether all were prepared and photographed alike."
)
COUNTED = (
    "The numbers start anew in each class, so they tell how many images it has and not when they were taken: no "
    "shortcut."
)
BACKGROUND = (
    "A network can score by the background: crop to the subject, or photograph every class on the same backgrounds. "
    "Only where the subject fills the image, as in histology, the border is the subject and this is no shortcut."
)
KINDS = (
    ProbeKind(
        name="border",
        title="eight border pixels",
        sees="The colors of eight pixels: the four corners of the image and the middles of its four edges.",
        subject="Eight border pixels",
        advice=BACKGROUND,
        nothing="the border pixels of all images are the same",
    ),
    ProbeKind(
        name="border-color",
        title="color of the border",
        sees="The mean color of a thin frame along the border.",
        subject="The colors of the border",
        advice=BACKGROUND,
        nothing="the border of all images has the same color",
    ),
    ProbeKind(
        name="file-size",
        title="file size",
        sees="The bytes of the file, and its bytes a pixel.",
        subject="File sizes",
        advice="",
        nothing="all files have the same size",
        harmless="A network never sees them, and texture alone changes them: sharp or spotted images take more.",
    ),
    ProbeKind(
        name="dimensions",
        title="width, height and mode",
        sees="The width, height and aspect ratio of the image, and its mode (grey or color, bits).",
        subject="Width, height and mode",
        advice="After resizing they show as blur or distortion: crop or export all classes in the same way.",
        nothing="all images have the same width, height and mode",
    ),
    ProbeKind(
        name="encoder",
        title="file type and encoder",
        sees="The file's format, its extension, and the settings it was compressed with.",
        subject="File type and encoder",
        advice="A network never sees them, but it sees the traces of compression that they leave: export all classes "
        "from the originals with the same settings.",
        nothing="all files are of one type and were written with the same settings",
    ),
    ProbeKind(
        name="exif",
        title="camera and time (EXIF)",
        sees="The camera, the order and hour in which images were taken, and whether the camera was turned.",
        subject="Camera and time",
        advice="A network never sees them, but light, lens and background of a session show in the pixels: photograph "
        "every class in every session, or keep sessions whole in the split.",
        nothing="no image has EXIF that differs from the others'",
    ),
    ProbeKind(
        name="name",
        title="numbers in the file name",
        sees="The numbers in the file name, without letters and folder, since those spell the class.",
        subject="The numbers in the file names",
        advice="A network never sees a name, but numbers follow the order in which images were taken: the classes "
        "come from different sessions, whose light and background show in the pixels.",
        nothing="the file names hold no numbers that differ within a class",
    ),
)
