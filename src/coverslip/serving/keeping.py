"""Pictures that are kept because whoever started the server asked for it: under names of ours, with what was said."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import xxhash

from coverslip.errors import UserError
from coverslip.serving.kinds import SUFFIXES, name_of
from coverslip.serving.schemas import Answer
from coverslip.serving.uploads import Upload
from coverslip.storage import ensure_folder, need_disk, write_text, writing


class Keeper:
    """Keeps pictures and answers in a folder.

    Each picture is ``CONTENT.jpg`` (or its own kind), named by its content, and ``CONTENT.json`` is the last answer
    about it. The name that its sender gave is inside, and never a path.

    Args:
        folder: made where it is not there.

    Raises:
        UserError: it cannot be made or written to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = ensure_folder(folder.absolute())
        try:
            write_text(
                self.folder / "README.txt", "Pictures that were sent to 'coverslip serve --keep', and answers.\n"
            )
        except OSError as error:
            raise UserError(f"cannot write to {str(folder)!r}: {error.strerror}", "choose another --keep") from error

    def keep(self, upload: Upload, answer: Answer) -> str:
        """Keep one; returns what went wrong, or nothing."""
        name = xxhash.xxh3_128_hexdigest(upload.data)
        try:
            need_disk(self.folder, len(upload.data), "a picture")
            picture = self.folder / f"{name}{SUFFIXES[name_of(upload.data)]}"
            if not picture.exists():
                with writing(picture) as temporary:
                    temporary.write_bytes(upload.data)
            said = answer.model_copy(update={"map": None, "nearest": []}).model_dump_json(by_alias=True, indent=1)
            now = datetime.now(UTC).isoformat(timespec="seconds")
            write_text(self.folder / f"{name}.json", f'{{"when": "{now}", "answer": {said}}}\n')
        except (OSError, UserError) as error:
            return error.problem if isinstance(error, UserError) else str(error.strerror)
        return ""
