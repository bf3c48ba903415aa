"""Shortcut probes: what each receives, its result, and the texts that describe it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Verdict = Literal["warns", "notes", "silent"]
VERDICT_TEXT: dict[str, str] = {"warns": "shortcut", "notes": "note", "silent": "no evidence of a shortcut"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """Result of one shortcut probe.

    Attributes:
        name: ``border``, ``border-color``, ``file-size``, ``dimensions``, ``encoder``, ``exif`` or ``name``.
        title: a few words for a table.
        description: what the probe receives, in one sentence.
        summary: what the result means, in plain words.
        verdict: ``warns`` if the lower confidence limit exceeds chance by 0.10; ``notes`` if it does for a harmless
            reason; otherwise ``silent``.
        chance: balanced accuracy of guessing, 1 / K; None if the probe was not run.
        value: balanced accuracy on groups that the probe was not fitted on, 0 to 1; None if the probe was not run.
        low, high: 95% confidence interval over groups; None if there is none.
        reason: why there is no value or no interval.
    """

    name: str
    title: str
    description: str
    summary: str
    verdict: Verdict = "silent"
    chance: float | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str = ""

    @property
    def verdict_text(self) -> str:
        """The verdict in words, see `verdict_text`."""
        return verdict_text(self.verdict, self.value, self.low, self.chance)

    def to_json(self) -> dict[str, Any]:
        """Return the entry of ``audit.json``."""
        entry = {
            "name": self.name,
            "title": self.title,
            "sees": self.description,
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "chance": self.chance,
            "verdict": self.verdict,
            "says": self.summary,
        }
        return {**entry, "reason": self.reason} if self.reason else entry


def verdict_text(verdict: str, value: float | None, low: float | None, chance: float | None) -> str:
    """Return the verdict of a probe in words.

    A score whose interval excludes chance is never called no evidence, however small it is.

    Args:
        verdict: ``warns``, ``notes`` or ``silent``.
        value: balanced accuracy; None if the probe was not run.
        low: lower end of its interval; None if there is none.
        chance: balanced accuracy of guessing.

    >>> verdict_text("silent", 0.68, 0.58, 0.5), verdict_text("silent", 0.52, 0.41, 0.5)
    ('weak (0.68 where chance is 0.50)', 'no evidence of a shortcut')
    """
    if value is None:
        return "not run"
    if verdict == "silent" and low is not None and chance is not None and low > chance:
        return f"weak ({value:.2f} where chance is {chance:.2f})"
    return VERDICT_TEXT.get(verdict, verdict)


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeKind:
    """Texts of one kind of probe.

    Attributes:
        name, title, description: see `Probe`.
        subject: beginning of the sentence that reports the score; a plural noun.
        advice: what a score above chance means, and what to do.
        constant: why the probe is not run if its features are the same for all images.
        harmless: reason why a score above chance is only a note; replaces the advice.
    """

    name: str
    title: str
    description: str
    subject: str
    advice: str
    constant: str
    harmless: str = ""


SAME_IN_CENTER = (
    "The same colors also predict the class from the center of the image. If the subject fills the image, as in "
    "histology, the border is part of the subject and this is not a shortcut. Otherwise, stain or illumination differs "
    "between the classes: check that all images were prepared and photographed in the same way."
)
NUMBERED_PER_CLASS = (
    "The numbers restart in each class, so they reflect the size of the class and not the time of acquisition: not a "
    "shortcut."
)
BACKGROUND = (
    "A network can reach its score by using the background: crop to the subject, or photograph every class against the "
    "same backgrounds. Only if the subject fills the image, as in histology, is the border part of the subject and not "
    "a shortcut."
)
KINDS = (
    ProbeKind(
        name="border",
        title="eight border pixels",
        description="The colors of eight pixels: the four corners of the image and the midpoints of its four edges.",
        subject="Eight border pixels",
        advice=BACKGROUND,
        constant="the border pixels of all images are identical",
    ),
    ProbeKind(
        name="border-color",
        title="border color",
        description="The mean color of a thin frame along the border.",
        subject="Border colors",
        advice=BACKGROUND,
        constant="the border of all images has the same color",
    ),
    ProbeKind(
        name="file-size",
        title="file size",
        description="The size of the file in bytes, and in bytes per pixel.",
        subject="File sizes",
        advice="",
        constant="all files have the same size",
        harmless="A network never sees file sizes, and texture alone changes them: sharp or spotted images need more "
        "bytes.",
    ),
    ProbeKind(
        name="dimensions",
        title="width, height and mode",
        description="The width, height and aspect ratio of the image, and its mode (grey or color, bit depth).",
        subject="Width, height and mode",
        advice="After resizing, these differences appear as blur or distortion: crop or export all classes in the same "
        "way.",
        constant="all images have the same width, height and mode",
    ),
    ProbeKind(
        name="encoder",
        title="file type and encoder",
        description="The format of the file, its extension, and its compression settings.",
        subject="File type and encoder",
        advice="A network does not see these properties, but it sees the compression artifacts that they leave: export "
        "all classes from the originals with the same settings.",
        constant="all files have the same type and were written with the same settings",
    ),
    ProbeKind(
        name="exif",
        title="camera and time (EXIF)",
        description="The camera, the order and hour of acquisition, and whether the camera was rotated.",
        subject="Camera and time",
        advice="A network does not see EXIF data, but it sees the light, lens and background of a session: photograph "
        "every class in every session, or keep sessions intact in the split.",
        constant="EXIF data are missing, or the same in all images",
    ),
    ProbeKind(
        name="name",
        title="numbers in the file name",
        description="The numbers in the file name; letters and folders are excluded because they spell the class.",
        subject="Numbers in the file names",
        advice="A network does not see file names, but numbers follow the order of acquisition: the classes come from "
        "different sessions, whose light and background are visible in the images.",
        constant="the file names contain no numbers that vary within a class",
    ),
)
