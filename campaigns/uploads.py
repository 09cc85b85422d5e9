"""Files that were uploaded and are not imported yet: looked at, mapped, compared, and then imported or forgotten.

Each is a kept file of `import_storing` with a note beside it, under a name nobody can guess, in the folder that web and
workers share: any web process can go on with it, and no row is written for a file that somebody only looked at. A day
later the nightly sweep takes both. The name a person gave the file is shown and never opened.
"""

import json
import os
import re
import shutil
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

from campaigns import import_storing
from campaigns.import_storing import Incoming, Kept
from campaigns.models import Campaign
from dialer.errors import DialerError, NoRoom, NotFound

KEPT_FOR = timedelta(days=1)
RESERVE = 512 << 20  # bytes left free on the disk of the data folder: events and contacts need them more
_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that waits for somebody to say what to do with it."""

    id: str
    campaign_id: int
    file_name: str  # as the person named it
    size: int
    sha256: str
    who: str
    at: datetime
    path: Path


def room_for(data_dir: Path, file_name: str, size: int) -> None:
    """NoRoom when a file of `size` bytes, and the copy its import makes, would fill the disk."""
    folder = import_storing.folder(data_dir)
    free = shutil.disk_usage(folder).free
    if free - 2 * size < RESERVE:
        raise NoRoom(
            f"{file_name} does not fit on the disk of the data folder beside the {RESERVE >> 20} MiB that are left for "
            f"events: {max(free, 0) >> 20} MiB are free. Make room (DIALER_DATA_DIR) and send it again"
        )


def keep(incoming: Incoming, campaign: Campaign, file_name: str, *, who: str, now: datetime) -> Upload:
    """Keep a file that has come in whole, with a note of what it is."""
    kept: Kept = incoming.finish()
    upload = Upload(kept.path.stem, campaign.id, file_name, kept.size, kept.sha256, who, now, kept.path)
    note = json.dumps({**asdict(upload), "at": now.isoformat(), "path": kept.path.name})
    part = kept.path.with_suffix(".part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(note)
        part.replace(_note(kept.path))
    except OSError as exc:
        import_storing.forget(part)
        raise NoRoom(
            f"{file_name} cannot be kept in {part.parent}: {exc.strerror}. Make room and send it again"
        ) from None
    return upload


def get(data_dir: Path, campaign: Campaign, upload_id: str) -> Upload:
    """Return an upload of this campaign; NotFound when it was imported, thrown away, or its day is over."""
    gone = NotFound(
        "this uploaded file is not there any more: it was imported, thrown away, or uploaded more than a day ago. "
        "Upload it again"
    )
    if not _ID.fullmatch(upload_id):
        raise gone
    path = import_storing.folder(data_dir) / f"{upload_id}.csv"
    try:
        told = json.loads(_note(path).read_text("utf-8"))
        told |= {"at": datetime.fromisoformat(told["at"]), "path": path}
        upload = Upload(**told)
    except FileNotFoundError:
        raise gone from None
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise DialerError(
            f"the note of an uploaded file cannot be read ({type(exc).__name__}): upload it again"
        ) from None
    if upload.campaign_id != campaign.id or not path.is_file():
        raise gone
    return upload


def waiting(data_dir: Path) -> list[Path]:
    """Return the uploaded files that nobody imported or threw away yet, of whatever campaign."""
    notes = import_storing.folder(data_dir).glob("*.json")
    return sorted(note.with_suffix(".csv") for note in notes if _ID.fullmatch(note.stem))


def forget(upload: Upload) -> None:
    """Throw an uploaded file away."""
    forget_file(upload.path)


def forget_file(path: Path) -> None:
    """Throw the uploaded file at `path` away, with its note."""
    import_storing.forget(_note(path))
    import_storing.forget(path)


def _note(path: Path) -> Path:
    return path.with_suffix(".json")
