"""What an open journal stands on: its directory, its owner, what was recovered.

`take` opens the directory. Where the disk itself takes nothing, `nowhere` stands in for it:
everything stays in memory, every commit fails, and nothing is ever on disk.
"""

from __future__ import annotations

import errno
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from gateway.errors import JournalError, NoDiskError
from gateway.journal.files import DiskFiles, File, Files, NoFiles
from gateway.journal.format import FORMAT
from gateway.journal.loan import Loan
from gateway.journal.pool import DISK_FULL, Pool
from gateway.journal.recovery import Recovery
from gateway.journal.schemas import Schemas
from gateway.journal.slots import STATE_KEYS, SlotFile
from gateway.journal.tail import Origin
from gateway.journal.words import KEPT_BACK, Recovered, Settings
from gateway.model import Lane

log = structlog.get_logger()
_FOLDERS = (
    *(lane.value for lane in Lane),
    "pool",
    "pool/large",
    "pool/small",
    "quarantine",
    "schemas",
)
_READY_SEGMENTS = 2 + KEPT_BACK
"""Files of each pool written before `take` returns."""
_MAY_PASS = DISK_FULL | {
    errno.EROFS, errno.EIO, errno.ENODEV, errno.ENXIO, errno.ESTALE, errno.ETIMEDOUT,
    errno.ENOMEDIUM, errno.EREMOTEIO,
}  # fmt: skip
"""The disk is not well, and may be later; anything else a person has to put right."""
_CLAIM_REFUSED = {errno.ENOTDIR: "journal_not_a_folder", errno.EPERM: "journal_not_private"}
"""What `Files.claim` says of a folder that cannot be ours alone."""


@dataclass(frozen=True, slots=True)
class Starter:
    """Who begins a new incarnation."""

    gateway: str
    schema: bytes
    """Layout of the records to come."""
    boot: str
    config: str
    time_ns: int


@dataclass(frozen=True, slots=True)
class Ground:
    """A directory that is ours, recovered, with an incarnation begun in it."""

    files: Files
    claim: File
    """Held open: it is the lock."""
    state: SlotFile
    cursor: SlotFile
    schemas: Schemas
    schema: int
    origin: Origin
    recovery: Recovery
    recovered: Recovered
    pools: Mapping[Lane, Pool]
    loan: Loan
    trouble: str | None = None
    """Why nothing can be stored; None: this is a directory on a disk."""


def take(settings: Settings, starter: Starter, files: Files | None = None) -> Ground:
    """Recover what is in the directory and begin a new incarnation there.

    Raises:
        NoDiskError: The disk does not take it, and may later.
        JournalError: Not ours, in use, of a newer format.
    """
    files = files or DiskFiles()
    claim = _claim(files, settings)
    try:
        return _begin(settings, starter, files, claim)
    except OSError as error:
        claim.close()
        raise _refusal(settings, error) from error
    except JournalError:
        claim.close()
        raise


def nowhere(settings: Settings, starter: Starter, why: str) -> Ground:
    """An incarnation that no disk will ever hold."""
    files = NoFiles(why)
    state, cursor = _slots(files, settings)
    pools = _pools(files, settings)
    recovery = Recovery(files, settings.path, pools, None, None, starter.time_ns)
    recovered = recovery.run()
    origin = Origin(starter.gateway, uuid.uuid4().hex, None, starter.boot, starter.config)
    schemas = Schemas(files, settings.path / "schemas")
    return Ground(
        files, files.claim(settings.path), state, cursor, schemas, schemas.use(starter.schema),
        origin, recovery, recovered, pools, Loan(settings, pools, 0), why,
    )  # fmt: skip


def _begin(settings: Settings, starter: Starter, files: Files, claim: File) -> Ground:
    path = settings.path
    state, cursor = _slots(files, settings)
    pools = _pools(files, settings)
    before = state.read()
    if before is not None:
        _check_ours(settings, before["format"], before["gateway"], starter.gateway)
    recovery = Recovery(files, path, pools, before, cursor.read(), starter.time_ns)
    live = recovery.check_formats()
    for folder in _FOLDERS:
        files.make_folder(path / folder)
    for pool in (pools[Lane.DATA], pools[Lane.ALARM]):
        recovery.set_aside(pool.open(live))
    recovered = recovery.run()
    cursor.write(recovery.cursor(), sync=True)
    recovery.discard()
    origin = Origin(
        starter.gateway, uuid.uuid4().hex, recovered.previous, starter.boot, starter.config
    )
    schemas = Schemas(files, path / "schemas")
    key = schemas.use(starter.schema)
    schemas.keep(recovery.schemas() | {key})
    schemas.save()
    loan = Loan(settings, pools, len(recovery.lanes[Lane.ALARM].segments))
    for pool in (pools[Lane.DATA], pools[Lane.ALARM]):
        _make_ready(pool)
    mark: dict[str, Any] = {
        "format": FORMAT,
        "gateway": starter.gateway,
        "incarnation": origin.incarnation,
    }
    mark |= {"previous": origin.previous, "began_ns": starter.time_ns}
    state.write({**mark, "clean": False}, sync=True)
    return Ground(
        files, claim, state, cursor, schemas, key, origin, recovery, recovered, pools, loan
    )  # fmt: skip


def _check_ours(settings: Settings, version: int, owner: str, gateway: str) -> None:
    """Refuse a directory that must not be touched.

    Raises:
        JournalError: A newer version wrote it, or another gateway.
    """
    path = settings.path
    if version > FORMAT:
        raise JournalError(
            f"{path}: format {version} is newer than this program; "
            "nothing was touched: install the version that wrote it"
        ).in_words("journal_newer", path=path, format=version)
    if owner != gateway:
        raise JournalError(
            f"{path}: belongs to gateway {owner}, and this is {gateway}; "
            "nothing was touched: use another directory, or the old name until all is "
            "delivered"
        ).in_words("journal_of_another", path=path, owner=owner, gateway=gateway)


def _claim(files: Files, settings: Settings) -> File:
    try:
        return files.claim(settings.path)
    except BlockingIOError as error:
        raise JournalError(f"{settings.path}: another instance is using this journal").in_words(
            "journal_in_use", path=settings.path
        ) from error
    except OSError as error:
        raise _refusal(settings, error) from error


def _refusal(settings: Settings, error: OSError) -> JournalError:
    kind = NoDiskError if error.errno in _MAY_PASS else JournalError
    code = _CLAIM_REFUSED.get(error.errno or 0, "journal_disk")
    return kind(f"{settings.path}: {error.strerror or error}").in_words(
        code, path=settings.path, reason=error
    )


def _slots(files: Files, settings: Settings) -> tuple[SlotFile, SlotFile]:
    state = SlotFile(files, settings.path / "state", STATE_KEYS)
    return state, SlotFile(files, settings.path / "cursor")


def _make_ready(pool: Pool) -> None:
    """Have some files written; a full disk is no reason not to start."""
    try:
        pool.trim()
        while pool.free < _READY_SEGMENTS and pool.grow():
            pass
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        log.warning("journal pool cannot grow", error=str(error))


def _pools(files: Files, settings: Settings) -> dict[Lane, Pool]:
    folder = settings.path / "pool"
    small = settings.quota(Lane.ALARM) + settings.quota(Lane.META) + KEPT_BACK
    data = settings.quota(Lane.DATA) + KEPT_BACK
    large = Pool(files, folder / "large", settings.data_segment, data, KEPT_BACK)
    others = Pool(files, folder / "small", settings.small_segment, small, KEPT_BACK)
    return {Lane.DATA: large, Lane.ALARM: others, Lane.META: others}
