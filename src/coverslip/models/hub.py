"""Pretrained weights from PyTorch's hub and the Hugging Face Hub: cached files, downloads and their verification."""

from __future__ import annotations

import hashlib
import re
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlparse

import torch

from coverslip.core.errors import UserError
from coverslip.core.storage import atomic_write, require_disk_space

SAFETENSORS = "model.safetensors"
CHUNK = 2**20
TIMEOUT = 20  # seconds without a response
PERMISSIVE = ("apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0", "cc0-1.0")  # licences that allow commercial use
NON_COMMERCIAL = ("-nc-", "noncommercial", "amlr", "seer")  # parts of the names of research-only licences


def torch_hub_path(url: str) -> Path:
    """Return the path at which PyTorch's hub caches the file of a URL (see ``TORCH_HOME``)."""
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(url).path).name


def fetch_torch_hub(url: str) -> Path:
    """Return a weights file of PyTorch's hub from its cache folder, downloading it if necessary.

    The file name ends in the first digits of its SHA-256, which is verified in both cases.

    Raises:
        UserError: the file is neither cached nor available for download, or its checksum differs.
    """
    path = torch_hub_path(url)
    if not path.exists():
        _download(url, path)
    checksum = re.search(r"-([0-9a-f]{8,})\.", path.name)
    if checksum and not _sha256(path).startswith(checksum[1]):
        raise _corrupt(path)
    return path


def fetch_hugging_face(repository: str, name: str = SAFETENSORS) -> Path:
    """Return a file of the Hugging Face Hub from its cache folder (see ``HF_HOME``), downloading it if necessary.

    The hub stores large files under their SHA-256, which is verified.

    Raises:
        UserError: the file is neither cached nor available for download, or its checksum differs.
    """
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError

    try:
        if not has_hugging_face(repository, name):
            _check_connection(huggingface_hub.constants.ENDPOINT)  # the library itself would retry for half a minute
        path = Path(huggingface_hub.hf_hub_download(repository, name))
    except (HfHubHTTPError, OSError, ValueError) as error:  # includes its errors for 'not found' and 'offline'
        raise _unreachable(f"{repository}/{name}", "the Hugging Face cache folder", error) from error
    stored = path.resolve().name
    if re.fullmatch(r"[0-9a-f]{64}", stored) and _sha256(path) != stored:
        raise _corrupt(path)
    return path


def has_hugging_face(repository: str, name: str = SAFETENSORS) -> bool:
    """Return whether a file is in the Hugging Face cache folder."""
    import huggingface_hub

    return isinstance(huggingface_hub.try_to_load_from_cache(repository, name), str)


def check_licence(licence: str | None, name: str) -> None:
    """Check that weights may be used for any purpose, before they are downloaded.

    Args:
        licence: identifier of the licence; None if unknown.
        name: name of the network, for the message.

    Raises:
        UserError: the licence is non-commercial, has other restrictions, or is unknown.
    """
    licence = (licence or "unknown").lower()
    if licence in PERMISSIVE:
        return
    if any(part in licence for part in NON_COMMERCIAL):
        reason = "which does not allow commercial use"
    elif licence == "unknown":
        reason = "so their permitted use is unclear"
    else:
        reason = "which has its own terms"
    raise UserError(
        f"the weights of {name!r} have the licence {licence!r}, {reason}",
        f"use weights under {', '.join(PERMISSIVE[:3])}, such as those of 'efficientnet-lite0', "
        "or train the network from scratch",
    )


def _download(url: str, path: Path) -> None:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
            size = int(response.headers.get("Content-Length") or 0)
            require_disk_space(path.parent, size, f"the weights {path.name!r}")
            with atomic_write(path) as temporary, temporary.open("wb") as file:
                received = 0
                while chunk := response.read(CHUNK):
                    file.write(chunk)
                    received += len(chunk)
                if size and received != size:
                    raise urllib.error.URLError(f"the connection ended after {received:,} of {size:,} bytes")
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise _unreachable(url, str(path), error) from error


def _check_connection(url: str) -> None:
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=TIMEOUT).close()
    except urllib.error.HTTPError:
        return  # the server responds, which is all that is checked


def _corrupt(path: Path) -> UserError:
    return UserError(f"the weights file {str(path)!r} is corrupt: its checksum differs", "delete it and try again")


def _unreachable(what: str, place: str, error: BaseException) -> UserError:
    message = str(getattr(error, "reason", "") or error).strip() or type(error).__name__
    return UserError(
        f"the weights {what} are not on this computer and cannot be downloaded: {message.splitlines()[0]}",
        f"connect to the internet once, copy the file to {place}, or use 'efficientnet-lite0', whose weights are "
        "installed",
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
