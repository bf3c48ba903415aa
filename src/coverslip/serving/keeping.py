"""Images that are kept because whoever started the server asked for it: under names of ours, with what was said."""

from __future__ import annotations

import os
import uuid
from datetime import UTC, datetime
from pathlib import Path

import xxhash

from coverslip.core.errors import UserError
from coverslip.core.paths import expand
from coverslip.core.storage import ensure_folder, need_disk, writing
from coverslip.serving.kinds import SUFFIXES, name_of
from coverslip.serving.schemas import Answer
from coverslip.serving.uploads import Upload

README = "README.txt"
OWN_FOLDER, OWN_FILE = 0o700, 0o600  # nobody but the owner: who sent an image did not send it to all of this machine


class Keeper:
    """Keeps images and answers in a folder.

    Each image is ``CONTENT.jpg`` (or its own kind), named by its content and kept once; each question about it leaves
    ``CONTENT-TIME-NUMBER.json`` with its answer. The name that its sender gave is inside, and never a path. All of it
    can be read by the owner of the process only.

    Args:
        folder: made where it is not there; one that is there keeps its permissions.

    Raises:
        UserError: it cannot be made or written to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = expand(folder).absolute()
        try:
            if not self.folder.is_dir():
                ensure_folder(self.folder.parent)
                self.folder.mkdir(OWN_FOLDER)
            if not (self.folder / README).exists():
                _write(self.folder / README, b"Images that were sent to 'coverslip serve --keep', and answers.\n")
            elif not os.access(self.folder, os.W_OK):
                raise PermissionError(13, "Permission denied")
        except OSError as error:
            raise UserError(f"cannot write to {str(folder)!r}: {error.strerror}", "choose another --keep") from error

    def keep(self, upload: Upload, answer: Answer) -> str:
        """Keep one; returns what went wrong, or nothing."""
        name = xxhash.xxh3_128_hexdigest(upload.data)
        try:
            need_disk(self.folder, len(upload.data), "an image")
            image = self.folder / f"{name}{SUFFIXES[name_of(upload.data)]}"
            if not image.exists():
                _write(image, upload.data)
            said = answer.model_copy(update={"map": None, "nearest": []}).model_dump_json(by_alias=True, indent=1)
            now = datetime.now(UTC)
            record = self.folder / f"{name}-{now:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}.json"
            when = now.isoformat(timespec="seconds")
            _write(record, f'{{"when": "{when}", "answer": {said}}}\n'.encode())
        except (OSError, UserError) as error:
            return error.problem if isinstance(error, UserError) else str(error.strerror)
        return ""


def _write(path: Path, data: bytes) -> None:
    """A file for the owner's eyes, whole or not at all."""
    with writing(path) as temporary:
        temporary.touch(OWN_FILE)  # before anything is in it
        temporary.write_bytes(data)
