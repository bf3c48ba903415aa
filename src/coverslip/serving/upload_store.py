"""Store of received images and answers, for servers that were started with ``--keep``."""

from __future__ import annotations

import os
import uuid
from datetime import UTC, datetime
from pathlib import Path

import xxhash

from coverslip.core.errors import UserError
from coverslip.core.paths import expand
from coverslip.core.storage import atomic_write, ensure_folder, require_disk_space
from coverslip.serving.image_headers import SUFFIXES, detect_format
from coverslip.serving.schemas import AnyAnswer
from coverslip.serving.uploads import Upload

README = "README.txt"
FOLDER_MODE, FILE_MODE = 0o700, 0o600  # owner only: other users of this machine must not read the images


class UploadStore:
    """Store images and answers in a folder.

    Each image is stored once as ``CONTENT.jpg`` (or with the suffix of its own format), named by the hash of its
    content. Each request for it adds a file ``CONTENT-TIME-NUMBER.json`` with the answer. The file name given by the
    sender is part of that answer and is never used as a path. Only the owner of the process can read the files.

    Args:
        folder: created if it does not exist; the permissions of an existing folder are not changed.

    Raises:
        UserError: the folder cannot be created or written to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = expand(folder).absolute()
        try:
            if not self.folder.is_dir():
                ensure_folder(self.folder.parent)
                self.folder.mkdir(FOLDER_MODE)
            if not (self.folder / README).exists():
                _write(self.folder / README, b"Images that were sent to 'coverslip serve --keep', and the answers.\n")
            elif not os.access(self.folder, os.W_OK):
                raise PermissionError(13, "Permission denied")
        except OSError as error:
            raise UserError(
                f"cannot write to {str(folder)!r}: {error.strerror}", "choose another folder for --keep"
            ) from error

    def save(self, upload: Upload, answer: AnyAnswer) -> str:
        """Store an image and its answer; return the problem as text, or an empty string on success."""
        name = xxhash.xxh3_128_hexdigest(upload.data)
        try:
            require_disk_space(self.folder, len(upload.data), "an image")
            image = self.folder / f"{name}{SUFFIXES[detect_format(upload.data)]}"
            if not image.exists():
                _write(image, upload.data)
            content = answer.model_copy(update={"map": None, "nearest": []}).model_dump_json(by_alias=True, indent=1)
            now = datetime.now(UTC)
            record = self.folder / f"{name}-{now:%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:8]}.json"
            when = now.isoformat(timespec="seconds")
            _write(record, f'{{"when": "{when}", "answer": {content}}}\n'.encode())
        except (OSError, UserError) as error:
            return error.problem if isinstance(error, UserError) else str(error.strerror)
        return ""


def _write(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read, atomically."""
    with atomic_write(path) as temporary:
        temporary.touch(FILE_MODE)  # set the permissions before there is content to protect
        temporary.write_bytes(data)
