"""Atomic writing of files, and the cache folder of results that are computed once.

The cache folder has a subfolder for each kind of entry: ``pixels`` (decoded images), ``index`` (state of a folder when
its pixels were cached), ``features`` (outputs of frozen networks), ``weights`` (pretrained weights, adapted to the
channels), ``engines`` (networks converted for this machine) and ``precision`` (whether bfloat16 is faster here). An
entry is built under a temporary name and then renamed, so that a killed process never leaves a half-written entry.
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
SPARE_BYTES = 256 * 2**20  # always left free on a disk
DEFAULT_LIMIT = 20 * 2**30
FULL_DISK = ("No space left on device", "Disk quota exceeded", "not enough space on the disk")
STALE_SECONDS = 24 * 3600  # an unfinished entry older than this belonged to a killed process


def digest(*parts: object) -> str:
    """Return a hash of these parts: 32 hexadecimal characters (xxh3, 128 bit); not a cryptographic hash.

    Args:
        parts: bytes, or values with a stable ``repr``.

    >>> digest("a", 1) == digest("a", 1), digest("a", 1) == digest("a", 2)
    (True, False)
    """
    hasher = xxhash.xxh3_128()
    for part in parts:
        data = part if isinstance(part, bytes) else repr(part).encode()
        hasher.update(len(data).to_bytes(8, "little"))  # otherwise ("ab", "c") and ("a", "bc") would be equal
        hasher.update(data)
    return hasher.hexdigest()


def digest_of_files(*paths: Path) -> str:
    """Return a hash like `digest` of the content of files, which may be larger than the memory."""
    hasher = xxhash.xxh3_128()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(2**20):
                hasher.update(block)
        hasher.update(path.stat().st_size.to_bytes(8, "little"))
    return hasher.hexdigest()


def size_text(size: float) -> str:
    """Return a number of bytes as text with a unit.

    >>> size_text(450_200_000)
    '450 MB'
    """
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def cache_folder() -> Path:
    """Return the user's cache folder for Coverslip; the environment variable ``COVERSLIP_CACHE`` overrides it."""
    override = os.environ.get("COVERSLIP_CACHE")
    if override:
        return expand(override).absolute()
    from platformdirs import user_cache_path

    return user_cache_path("coverslip")


def cache_limit() -> int:
    """Return the maximum size of the cache in bytes: ``COVERSLIP_CACHE_LIMIT`` (in gigabytes), 20 GiB by default.

    Raises:
        UserError: the variable is not a number of 0 or more.
    """
    text = os.environ.get("COVERSLIP_CACHE_LIMIT", "")
    if not text:
        return DEFAULT_LIMIT
    try:
        limit = float(text)
    except ValueError:
        limit = -1.0
    if limit < 0:
        raise UserError(f"COVERSLIP_CACHE_LIMIT={text!r} is not a size", "set it to a number of gigabytes, such as 20")
    return int(limit * 10**9)


def ensure_folder(folder: Path) -> Path:
    """Create a folder unless it exists, and return it.

    Raises:
        UserError: the folder cannot be created (a file has that name, no permission).
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot create the folder {str(folder)!r}: {error.strerror}", "choose another folder"
        ) from error
    return folder


def free_bytes(folder: Path) -> int:
    """Return the free bytes on the disk of ``folder``; if it does not exist yet, of its nearest existing parent."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def require_disk_space(folder: Path, size: int, what: str) -> None:
    """Check, before anything is written, that there is enough disk space.

    Args:
        folder: the destination; it need not exist.
        size: bytes to be written.
        what: what is written, in the plural, such as ``120 decoded images``; begins the error message.

    Raises:
        UserError: less than ``size`` bytes and a small reserve are free on that disk.
    """
    free = free_bytes(folder)
    if size + SPARE_BYTES > free:
        raise UserError(
            f"{what} need {size_text(size)}, but only {size_text(free)} are free on the disk of {str(folder)!r}",
            "free disk space ('coverslip cache --clear' empties the cache), or set COVERSLIP_CACHE to another disk",
        )


def is_full_disk(error: BaseException) -> bool:
    """Return whether an error means a full disk; polars, safetensors and OpenVINO report it in the text only."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return any(text in str(error) for text in FULL_DISK)


@contextmanager
def explain_full_disk(folder: Path) -> Iterator[None]:
    """Turn a full disk inside the block into a `UserError` that names the disk and the fix."""
    try:
        yield
    except Exception as error:
        # OpenVINO reports only that a write failed, so the free space decides.
        probably_full = "iostream error" in str(error) and free_bytes(folder) < SPARE_BYTES
        if isinstance(error, UserError) or not (probably_full or is_full_disk(error)):
            raise
        raise UserError(
            f"the disk of {str(folder)!r} became full",
            "free disk space ('coverslip cache --clear' empties the cache) and run the same command again",
        ) from error


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder, which replaces ``path`` if the block ends without an error."""
    ensure_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with explain_full_disk(path.parent):
            yield temporary
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file atomically."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


@contextmanager
def locked(kind: str, key: str, busy: UserError | None = None) -> Iterator[None]:
    """Hold the lock of one cache entry; the system releases it when the process ends, even if it is killed.

    Args:
        kind: kind of the entry.
        key: name of the entry.
        busy: raised if another process holds the lock; None waits for it.

    Raises:
        UserError: ``busy``, if it is given and another process holds the lock.
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
class CacheDraft:
    """A cache entry under construction: write into ``folder``, and set ``key`` before the block ends."""

    folder: Path
    key: str = ""


@contextmanager
def create_entry(kind: str) -> Iterator[CacheDraft]:
    """Yield a new folder that becomes the entry ``kind/key`` if the block ends without an error.

    Close every memory map and file inside it first: Windows does not rename a folder with open files. If another
    process finished the same entry first, that one is kept; the two are equal.
    """
    parent = ensure_folder(cache_folder() / kind)
    draft = CacheDraft(parent / f".tmp-{uuid.uuid4().hex}")
    draft.folder.mkdir()
    try:
        with explain_full_disk(parent):
            yield draft
            try:
                draft.folder.replace(parent / draft.key)
            except OSError:
                if not (parent / draft.key).is_dir():
                    raise
    finally:
        shutil.rmtree(draft.folder, ignore_errors=True)


def delete_entry(kind: str, key: str) -> None:
    """Delete a damaged entry, so that it is built again."""
    _remove(cache_folder() / kind / key)


def entry_folder(kind: str, key: str) -> Path | None:
    """Return the folder of a finished entry and mark it as used; None if there is no such entry."""
    folder = cache_folder() / kind / key
    if not folder.is_dir():
        return None
    mark_used(folder)
    return folder


def mark_used(folder: Path) -> None:
    """Set the last use of an entry to now; `evict` deletes the least recently used entries."""
    try:
        os.utime(folder)
    except OSError:
        return  # a cache on a read-only disk can still be read


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """A finished entry of the cache: kind, key, folder, size in bytes, and last use (seconds since 1970)."""

    kind: str
    key: str
    path: Path
    bytes: int
    used: float


def cache_entries() -> list[CacheEntry]:
    """Return every finished entry, the most recently used first."""
    entries = []
    for kind in KINDS:
        parent = cache_folder() / kind
        for path in sorted(parent.iterdir()) if parent.is_dir() else []:
            if path.name.startswith("."):
                continue
            entries.append(CacheEntry(kind, path.name, path, _size(path), path.stat().st_mtime))
    return sorted(entries, key=lambda entry: -entry.used)


def clear_cache(kinds: tuple[str, ...] = KINDS) -> int:
    """Delete every entry of these kinds, including unfinished ones of killed processes; return the bytes freed."""
    freed = 0
    for kind in kinds:
        parent = cache_folder() / kind
        freed += _size(parent) if parent.is_dir() else 0
        shutil.rmtree(parent, ignore_errors=True)
    return freed


def evict(keep: frozenset[Path] = frozenset()) -> list[CacheEntry]:
    """Delete the least recently used entries until the cache is within its limit, and return them.

    Args:
        keep: folders of entries that are never deleted.
    """
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
        parent = cache_folder() / kind
        for path in parent.glob(".tmp-*") if parent.is_dir() else []:
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
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
