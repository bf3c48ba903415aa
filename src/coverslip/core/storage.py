"""Files that are written whole or not at all, and the folder of things computed once.

The cache folder holds kinds of entries, each a folder of its own: ``pixels`` (decoded images), ``index`` (what a
folder looked like when its pixels were cached), ``features`` (outputs of frozen networks), ``weights`` (pretrained
ones, adapted to the channels) and ``engines`` (networks converted for this machine). An entry is built under a
temporary name and renamed, so that a killed process leaves nothing that is believed.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import xxhash
from filelock import FileLock, Timeout

from coverslip.core.errors import UserError
from coverslip.core.paths import expand

KINDS = ("pixels", "features", "engines", "weights", "index", "precision")
SPARE_BYTES = 256 * 2**20  # never fill a disk to the last byte
DEFAULT_LIMIT = 20 * 2**30
FULL_DISK = ("No space left on device", "Disk quota exceeded", "not enough space on the disk")
STALE_SECONDS = 24 * 3600  # an unfinished entry older than this belonged to a killed process


def digest(*parts: object) -> str:
    """32 hexadecimal characters (xxh3, 128 bit) that name these parts; not a cryptographic hash.

    >>> digest("a", 1) == digest("a", 1), digest("a", 1) == digest("a", 2)
    (True, False)
    """
    hasher = xxhash.xxh3_128()
    for part in parts:
        data = part if isinstance(part, bytes) else repr(part).encode()
        hasher.update(len(data).to_bytes(8, "little"))  # else ("ab", "c") and ("a", "bc") are one
        hasher.update(data)
    return hasher.hexdigest()


def digest_of_files(*paths: Path) -> str:
    """Like `digest`, of the content of files, which may be larger than the memory."""
    hasher = xxhash.xxh3_128()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(2**20):
                hasher.update(block)
        hasher.update(path.stat().st_size.to_bytes(8, "little"))
    return hasher.hexdigest()


def size_text(size: float) -> str:
    """Bytes as people read them.

    >>> size_text(450_200_000)
    '450 MB'
    """
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def cache_folder() -> Path:
    """The user's cache folder for Coverslip; the environment variable ``COVERSLIP_CACHE`` overrides it."""
    override = os.environ.get("COVERSLIP_CACHE")
    if override:
        return expand(override).absolute()
    from platformdirs import user_cache_path

    return user_cache_path("coverslip")


def cache_limit() -> int:
    """Bytes the cache may hold, 20 GiB unless ``COVERSLIP_CACHE_LIMIT`` (a number of gigabytes) says otherwise."""
    text = os.environ.get("COVERSLIP_CACHE_LIMIT", "")
    if not text:
        return DEFAULT_LIMIT
    try:
        limit = float(text)
    except ValueError:
        limit = -1.0
    if limit < 0:
        raise UserError(f"COVERSLIP_CACHE_LIMIT={text!r} is not a size", "give a number of gigabytes, such as 20")
    return int(limit * 10**9)


def ensure_folder(folder: Path) -> Path:
    """Make a folder that may exist already.

    Raises:
        UserError: it cannot be made (a file is in the way, no permission).
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {str(folder)!r}: {error.strerror}", "choose another folder") from error
    return folder


def free_bytes(folder: Path) -> int:
    """Free bytes on the disk that holds ``folder`` (or will: the nearest existing parent is asked)."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def need_disk(folder: Path, size: int, what: str) -> None:
    """Refuse early what cannot fit.

    Raises:
        UserError: ``size`` bytes and a small reserve are not free where ``folder`` is.
    """
    free = free_bytes(folder)
    if size + SPARE_BYTES > free:
        raise UserError(
            f"{what} need {size_text(size)}, but only {size_text(free)} are free where {str(folder)!r} is",
            "free some space ('coverslip cache --clear' empties the cache), or set COVERSLIP_CACHE to another disk",
        )


def is_full_disk(error: BaseException) -> bool:
    """Whether this is the system's 'no space left'; polars, safetensors and OpenVINO pass it on as text only."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return any(text in str(error) for text in FULL_DISK)


@contextmanager
def explain_full_disk(folder: Path) -> Iterator[None]:
    """Turn the system's 'no space left' into an error that says where, and how to mend it."""
    try:
        yield
    except Exception as error:
        # OpenVINO says no more than that a write failed.
        unsaid = "iostream error" in str(error) and free_bytes(folder) < SPARE_BYTES
        if isinstance(error, UserError) or not (unsaid or is_full_disk(error)):
            raise
        raise UserError(
            f"the disk that holds {str(folder)!r} became full",
            "free some space ('coverslip cache --clear' empties the cache) and run the same command again",
        ) from error


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path`` that takes its place when the block ends without an error."""
    ensure_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with explain_full_disk(path.parent):
            yield temporary
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file whole or not at all."""
    with writing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


@contextmanager
def locked(kind: str, key: str, busy: UserError | None = None) -> Iterator[None]:
    """One process at a time for this entry; another waits. The lock goes with its process, however that ends.

    Raises:
        UserError: ``busy``, where it is given and another process is there.
    """
    lock = FileLock(ensure_folder(cache_folder() / "locks") / f"{kind}-{key}.lock")
    try:
        lock.acquire(timeout=None if busy is None else 0)
    except Timeout as error:
        if busy is None:
            raise
        raise busy from error
    try:
        yield
    finally:
        lock.release()


@dataclass(slots=True)
class Draft:
    """An entry under construction: write into ``folder``, and set ``key`` before the block ends."""

    folder: Path
    key: str = ""


@contextmanager
def building(kind: str) -> Iterator[Draft]:
    """A new folder that becomes the entry ``kind/key`` when the block ends without an error.

    Close every map and handle inside it first: Windows does not rename a folder with open files. If another process
    was faster, its entry stays and ours is dropped: they are equal.
    """
    home = ensure_folder(cache_folder() / kind)
    draft = Draft(home / f".tmp-{uuid.uuid4().hex}")
    draft.folder.mkdir()
    try:
        with explain_full_disk(home):
            yield draft
            try:
                draft.folder.replace(home / draft.key)
            except OSError:
                if not (home / draft.key).is_dir():
                    raise
    finally:
        shutil.rmtree(draft.folder, ignore_errors=True)


def drop_entry(kind: str, key: str) -> None:
    """Remove an entry that turned out to be broken, so that it is built anew."""
    _remove(cache_folder() / kind / key)


def entry_folder(kind: str, key: str) -> Path | None:
    """The folder of a finished entry, marked as used now; None where there is none."""
    folder = cache_folder() / kind / key
    if not folder.is_dir():
        return None
    mark_used(folder)
    return folder


def mark_used(folder: Path) -> None:
    """Note that an entry was used now; `evict` removes what was used longest ago."""
    try:
        os.utime(folder)
    except OSError:
        return  # a cache on a read-only disk can still be read


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """One finished entry of the cache: its kind, name, size in bytes, and its last use (seconds since 1970)."""

    kind: str
    key: str
    path: Path
    bytes: int
    used: float


def cache_entries() -> list[CacheEntry]:
    """Every finished entry, most recently used first."""
    found = []
    for kind in KINDS:
        home = cache_folder() / kind
        for path in sorted(home.iterdir()) if home.is_dir() else []:
            if path.name.startswith("."):
                continue
            found.append(CacheEntry(kind, path.name, path, _size(path), path.stat().st_mtime))
    return sorted(found, key=lambda entry: -entry.used)


def clear_cache(kinds: tuple[str, ...] = KINDS) -> int:
    """Remove every entry of these kinds, and what killed processes left; returns the bytes that became free."""
    freed = 0
    for kind in kinds:
        home = cache_folder() / kind
        freed += _size(home) if home.is_dir() else 0
        shutil.rmtree(home, ignore_errors=True)
    return freed


def evict(keep: frozenset[Path] = frozenset()) -> list[CacheEntry]:
    """Remove the entries used longest ago until the cache is within its limit; never those in ``keep``."""
    _remove_stale()
    entries = cache_entries()
    total, limit, removed = sum(entry.bytes for entry in entries), cache_limit(), []
    for entry in reversed(entries):
        if total <= limit:
            break
        if entry.path not in keep:
            _remove(entry.path)
            total -= entry.bytes
            removed.append(entry)
    return removed


def _remove_stale() -> None:
    for kind in KINDS:
        home = cache_folder() / kind
        for path in home.glob(".tmp-*") if home.is_dir() else []:
            if time.time() - path.stat().st_mtime > STALE_SECONDS:
                _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(each.stat().st_size for each in path.rglob("*") if each.is_file())
