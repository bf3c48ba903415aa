"""Weights from the hubs: what lies on disk is checked and used; else it is fetched once and checked."""

from __future__ import annotations

import hashlib
import re
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlparse

import torch

from coverslip.core.errors import UserError
from coverslip.core.storage import need_disk, writing

SAFETENSORS = "model.safetensors"
CHUNK = 2**20
PATIENCE = 20  # seconds without an answer
FREE = ("apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0", "cc0-1.0")  # every use, also for money
BOUND = ("-nc-", "noncommercial", "amlr", "seer")  # parts of the names of licences for research only


def torch_hub_file(url: str) -> Path:
    """Where PyTorch's hub keeps the file of this address (``TORCH_HOME`` moves it)."""
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(url).path).name


def fetch_torch_hub(url: str) -> Path:
    """A weights file of PyTorch's hub: from its cache folder, or from the address when it is not there.

    Its name ends in the first digits of its SHA-256, by which it is checked whichever way it came.

    Raises:
        UserError: it is neither there nor to be had, or its content is not what its name says.
    """
    path = torch_hub_file(url)
    if not path.exists():
        _download(url, path)
    named = re.search(r"-([0-9a-f]{8,})\.", path.name)
    if named and not _sha256(path).startswith(named[1]):
        raise UserError(f"the weights file {str(path)!r} is broken: its checksum differs", "delete it and try again")
    return path


def fetch_hugging_face(repository: str, name: str = SAFETENSORS) -> Path:
    """A file of the Hugging Face hub: from its cache folder (``HF_HOME`` moves it), or fetched.

    The hub stores large files under their SHA-256, by which it is checked.

    Raises:
        UserError: it is neither there nor to be had, or its content is not what the hub says.
    """
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError

    try:
        if not has_hugging_face(repository, name):
            _need_connection(huggingface_hub.constants.ENDPOINT)  # it would itself try for half a minute
        path = Path(huggingface_hub.hf_hub_download(repository, name))
    except (HfHubHTTPError, OSError, ValueError) as error:  # its 'not found' and 'offline' are among these
        raise _unreachable(f"{repository}/{name}", "the Hugging Face cache folder", error) from error
    stored = path.resolve().name
    if re.fullmatch(r"[0-9a-f]{64}", stored) and _sha256(path) != stored:
        raise UserError(f"the weights file {str(path)!r} is broken: its checksum differs", "delete it and try again")
    return path


def has_hugging_face(repository: str, name: str = SAFETENSORS) -> bool:
    """Whether the file lies in the Hugging Face cache folder."""
    import huggingface_hub

    return isinstance(huggingface_hub.try_to_load_from_cache(repository, name), str)


def need_free(licence: str | None, what: str) -> None:
    """Refuse weights that may not be used for everything, before they are fetched.

    Raises:
        UserError: their licence is non-commercial, has terms of its own, or is not known.
    """
    name = (licence or "unknown").lower()
    if name in FREE:
        return
    if any(part in name for part in BOUND):
        why = "which does not allow commercial use"
    elif name == "unknown":
        why = "so nobody can say what they may be used for"
    else:
        why = "which has terms of its own"
    raise UserError(
        f"the weights of {what!r} are under the licence {name!r}, {why}",
        f"use weights under {', '.join(FREE[:3])}, such as those of 'efficientnet-lite0', or train all of it without",
    )


def _download(url: str, path: Path) -> None:
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            size = int(answer.headers.get("Content-Length") or 0)
            need_disk(path.parent, size, f"the weights {path.name!r}")
            with writing(path) as temporary, temporary.open("wb") as file:
                got = 0
                while piece := answer.read(CHUNK):
                    file.write(piece)
                    got += len(piece)
                if size and got != size:
                    raise urllib.error.URLError(f"the connection ended after {got:,} of {size:,} bytes")
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise _unreachable(url, str(path), error) from error


def _need_connection(address: str) -> None:
    try:
        urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=PATIENCE).close()
    except urllib.error.HTTPError:
        return  # somebody answers


def _unreachable(what: str, place: str, error: BaseException) -> UserError:
    said = str(getattr(error, "reason", "") or error).strip() or type(error).__name__
    return UserError(
        f"the weights {what} are not on this disk and cannot be fetched: {said.splitlines()[0]}",
        f"connect to the internet once, copy the file to {place}, or use 'efficientnet-lite0', whose weights are here",
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
