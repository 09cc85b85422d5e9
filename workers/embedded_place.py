"""Where the embedded servers keep their files, and as whom they run.

PostgreSQL refuses to run as root. Root's servers therefore run as the owner of the data folder or, when that is
root too, as `nobody`; nothing of anybody else's is made readable for them. When they cannot reach the data folder
(it is below a private one), their files go to a folder of their own and the data folder holds a link to it.
"""

import contextlib
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dialer.clock import SystemClock
from dialer.errors import ServiceUnreachable, SettingsError
from workers.embedded_files import DataFolder

UNPRIVILEGED = ("nobody", "daemon", "bin")
LASTING = Path("/var/lib/dialer")  # root's, for data that must outlive a restart of the machine
PREFIX = "dialer-services-"
THROWAWAY_AGE = 60.0  # seconds; younger leftovers may be somebody's who has not finished making them


@dataclass(frozen=True)
class Account:
    """The user the servers run as."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True)
class Place:
    """A folder for the servers, and their account (None: our own)."""

    folder: Path
    account: Account | None

    def process_arguments(self) -> dict[str, Any]:
        """What `subprocess.Popen` needs to start a program there as the servers' account."""
        arguments: dict[str, Any] = {"env": _clean(os.environ), "start_new_session": True}
        if self.account is not None:
            arguments |= {"user": self.account.uid, "group": self.account.gid, "extra_groups": []}
        return arguments

    def private_folder(self, name: str) -> Path:
        """Make the servers' own folder `name` (empty or as it was left)."""
        path = self.folder / name
        path.mkdir(mode=0o700, exist_ok=True)
        if self.account is not None:
            os.chown(path, self.account.uid, self.account.gid)
        return path

    def runs(self, *argv: str | Path) -> bool:
        """Whether the servers' account can run this."""
        try:
            done = subprocess.run(  # noqa: S603 - our own programs
                argv, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, timeout=30, **self.process_arguments()
            )
        except OSError:
            return False
        return done.returncode == 0

    def copy_of(self, name: str, parts: Mapping[str, Path]) -> Path:
        """A copy of program trees (relative path -> original) which the servers' account can read; made once."""
        target, new = self.folder / name, self.folder / f"{name}.new"
        if target.exists():
            return target
        shutil.rmtree(new, ignore_errors=True)
        for relative, original in parts.items():
            unneeded = shutil.ignore_patterns("include", "*.a", "__pycache__")
            shutil.copytree(original, new / relative, symlinks=True, ignore=unneeded)
        for path in [new, *new.rglob("*")]:  # the original may have been installed for its owner alone
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
        for older in self.folder.glob(f"{name.split('-', maxsplit=1)[0]}-*"):
            if older != new:
                shutil.rmtree(older, ignore_errors=True)
        new.rename(target)
        return target


def place_for(data: DataFolder, *, durable: bool) -> Place:
    """Find or make the servers' place for this data folder."""
    account = _account(data)
    if data.services.is_symlink() and not _is_ours(data.services):
        data.services.unlink()  # its target was cleaned away, or is somebody else's by now
    if not data.services.exists():
        data.services.mkdir(mode=0o700)
        data.give_to_owner(data.services)
        if account is not None and data.services.stat().st_uid == 0:
            data.services.chmod(0o711)
    if account is None:
        return Place(data.services, None)
    place = Place(data.services.resolve(), account)
    _check_becoming(place)
    if place.runs("/bin/sh", "-c", 'cd "$0"', place.folder) and _may_give(place):
        return place
    if data.services.is_symlink() or any(data.services.iterdir()):
        raise SettingsError(
            f"the account {account.name}, which runs the embedded servers for root, cannot reach {place.folder}; "
            f"let it pass through the folders above, or name another folder with DIALER_DATA_DIR"
        )
    elsewhere = _elsewhere(data, durable=durable)
    data.services.rmdir()
    data.services.symlink_to(elsewhere)
    return Place(elsewhere, account)


def _is_ours(folder: Path) -> bool:
    try:
        return folder.stat().st_uid == os.geteuid()
    except FileNotFoundError:
        return False


def _account(data: DataFolder) -> Account | None:
    if os.geteuid() != 0:
        return None
    owner = data.path.stat().st_uid
    names: tuple[str, ...] = UNPRIVILEGED
    with contextlib.suppress(KeyError):
        if owner != 0:
            names = (pwd.getpwuid(owner).pw_name,)
    for name in names:
        with contextlib.suppress(KeyError):
            known = pwd.getpwnam(name)
            return Account(name, known.pw_uid, known.pw_gid)
    raise SettingsError(
        f"PostgreSQL refuses to run as root and this machine has none of the accounts {', '.join(names)}; "
        "run the dialer as an ordinary user, or set database.url and redis.url"
    )


def _check_becoming(place: Place) -> None:
    account = place.account.name if place.account else ""
    try:
        subprocess.run(["/bin/sh", "-c", ":"], cwd="/", check=True, timeout=30, **place.process_arguments())
    except (OSError, subprocess.SubprocessError) as exc:
        raise ServiceUnreachable(
            f"cannot start a program as the account {account} ({exc}), and PostgreSQL refuses to run as root: "
            "run the dialer as an ordinary user, or set database.url and redis.url"
        ) from None


def _may_give(place: Place) -> bool:
    """Whether files in this folder may belong to the servers' account (not so on some network file systems)."""
    trial = place.folder / ".trial"
    try:
        trial.mkdir(mode=0o700, exist_ok=True)
        if place.account is not None:
            os.chown(trial, place.account.uid, place.account.gid)
        return place.runs("/bin/sh", "-c", 'cd "$0" && : > file && rm file', trial)
    except OSError:
        return False
    finally:
        shutil.rmtree(trial, ignore_errors=True)


def _elsewhere(data: DataFolder, *, durable: bool) -> Path:
    """A folder of its own outside the data folder, with a note saying whose it is."""
    _sweep_throwaways()
    parent = Path(tempfile.gettempdir())
    lasting = durable and not data.path.is_relative_to(parent)  # what is below /tmp is not meant to last
    if lasting:
        with contextlib.suppress(OSError):  # a read-only system: then the temporary folder has to do
            LASTING.mkdir(mode=0o755, parents=True, exist_ok=True)
            LASTING.chmod(0o755)
            parent = LASTING if os.access(LASTING, os.W_OK) else parent
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    folder.chmod(0o711)
    (folder / "owner").write_text(f"{data.path}\n{'lasting' if lasting else 'throwaway'}\n", "utf-8")
    return folder


def _sweep_throwaways() -> None:
    """Remove what test runs left in the temporary folder once their data folders are gone."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            if folder.lstat().st_uid != os.geteuid() or not stat.S_ISDIR(folder.lstat().st_mode):
                continue
            age = SystemClock().now().timestamp() - folder.lstat().st_ctime
            owner, kind, *_ = (folder / "owner").read_text("utf-8").splitlines()
            if kind == "throwaway" and age > THROWAWAY_AGE and not Path(owner).exists():
                shutil.rmtree(folder, ignore_errors=True)
        except (OSError, ValueError):
            continue


def _clean(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without what would steer PostgreSQL from outside."""
    kept = {name: value for name, value in environ.items() if not name.startswith("PG")}
    return kept | {"LC_ALL": "C", "TZ": "UTC"}
