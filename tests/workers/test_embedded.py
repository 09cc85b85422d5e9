"""Real servers, really killed: who starts them, who shares them, and what is left when everybody has gone."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from dialer.errors import ServiceUnreachable, SettingsError, TryAgainLater
from dialer.settings import DatabaseSettings, RedisSettings, Settings
from tests.waiting import once_within
from workers import embedded_place, embedded_postgres
from workers.embedded import EmbeddedServices, services_for
from workers.embedded_files import SERVICES, DataFolder, wait_for
from workers.embedded_place import Place
from workers.embedded_service import Site
from workers.ports import free_port

USER = """
import sys
import tempfile
from pathlib import Path
from workers.embedded import EmbeddedServices
with EmbeddedServices(Path(sys.argv[1]), durable=False) as running:
    print(running.database_url, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Names of data folders that are cleared, servers and all, at the end."""
    made: list[Path] = []

    def folder(name: str) -> Path:
        made.append(tmp_path / name)
        return made[-1]

    yield folder
    for path in made:
        if not path.is_dir():
            continue
        data = DataFolder(path)
        if (pid := data.guardian_pid()) is not None:
            os.kill(pid, signal.SIGTERM)
        assert wait_for(lambda data=data: not anything_runs(data), 15), f"something still runs in {path}"
        if data.services.is_symlink():
            shutil.rmtree(data.services.resolve(), ignore_errors=True)


@pytest.fixture
def folder(folders: Callable[[str], Path]) -> Path:
    return folders("data")


def anything_runs(data: DataFolder) -> bool:
    return any(data.is_held(name) for name in ("guardian", *SERVICES))


@contextlib.contextmanager
def another_user(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process of its own that uses the services until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", USER, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("postgresql://")
        try:
            yield process
        finally:
            process.kill()


def write(running: EmbeddedServices, value: str) -> None:
    with psycopg.connect(running.database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (value text)")
        connection.execute("INSERT INTO kept VALUES (%s)", (value,))
    with redis.Redis.from_url(running.redis_url) as client:
        client.rpush("kept", value)


def read(running: EmbeddedServices) -> tuple[list[str], list[str]]:
    with psycopg.connect(running.database_url) as connection:
        rows = [value for (value,) in connection.execute("SELECT value FROM kept")]
    with redis.Redis.from_url(running.redis_url, decode_responses=True) as client:
        return rows, client.lrange("kept", 0, -1)


def test_what_was_written_is_found_again_at_the_next_start(folder: Path) -> None:
    with EmbeddedServices(folder) as running:
        first_urls = running.database_url, running.redis_url
        write(running, "first")
    assert not anything_runs(DataFolder(folder))

    with EmbeddedServices(folder) as running:
        assert read(running) == (["first"], ["first"])
        assert (running.database_url, running.redis_url) == first_urls


def test_a_warm_start_and_a_stop_are_quick(folder: Path) -> None:
    def start_and_stop() -> None:
        EmbeddedServices(folder, durable=False).start().stop()

    start_and_stop()
    once_within(3, start_and_stop)  # 0.3 s on an idle machine; a fixed wait would show


def test_the_role_may_create_databases_and_the_servers_are_set_up_for_us(folder: Path) -> None:
    with EmbeddedServices(folder) as running, psycopg.connect(running.database_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE another")
        asked = (
            "fsync",
            "synchronous_commit",
            "full_page_writes",
            "jit",
            "max_connections",
            "server_encoding",
            "timezone",
        )
        told = {name: connection.execute(f"SHOW {name}").fetchone()[0] for name in asked}
        with redis.Redis.from_url(running.redis_url, decode_responses=True) as client:
            policy = client.config_get("maxmemory-policy") | client.config_get("append*")
    assert list(told.values()) == ["on", "on", "on", "off", "200", "UTF8", "UTC"]
    assert policy["maxmemory-policy"] == "noeviction"
    assert (policy["appendonly"], policy["appendfsync"]) == ("yes", "everysec")


def test_a_throwaway_server_does_not_wait_for_the_disk(folder: Path) -> None:
    with EmbeddedServices(folder, durable=False) as running, psycopg.connect(running.database_url) as connection:
        for name in ("fsync", "synchronous_commit", "full_page_writes"):
            assert connection.execute(f"SHOW {name}").fetchone() == ("off",)
        with pytest.raises(TryAgainLater, match="without durability"):
            EmbeddedServices(folder, durable=True).start()


def test_two_folders_side_by_side_do_not_disturb_each_other(folders: Callable[[str], Path]) -> None:
    with EmbeddedServices(folders("one"), durable=False) as one:
        with EmbeddedServices(folders("two"), durable=False) as two:
            write(one, "one")
            write(two, "two")
            assert len({one.database_url, two.database_url, one.redis_url, two.redis_url}) == 4
            assert read(two) == (["two"], ["two"])
        assert read(one) == (["one"], ["one"])


def test_the_first_to_leave_stops_nothing_and_the_last_stops_everything(folder: Path) -> None:
    first = EmbeddedServices(folder, durable=False).start()
    with another_user(folder) as other:
        write(first, "still here")
        url = first.database_url
        first.stop()
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT value FROM kept").fetchone() == ("still here",)
        other.communicate("")
    assert wait_for(lambda: not anything_runs(DataFolder(folder)), 30)


def test_the_kill_of_the_only_user_stops_the_servers_within_three_seconds(folder: Path) -> None:
    def stopped() -> float:
        with another_user(folder) as user:
            assert anything_runs(DataFolder(folder))
            user.kill()
            user.wait()
            killed = time.monotonic()
            assert wait_for(lambda: not anything_runs(DataFolder(folder)), 30)
            return time.monotonic() - killed

    assert any(stopped() < 3 for _ in range(4))  # a busy machine may be slow


def test_a_forked_child_does_not_keep_the_services_alive(folder: Path) -> None:
    running = EmbeddedServices(folder, durable=False).start()
    awake, asleep = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(asleep)
        os.read(awake, 1)  # until the parent lets go
        os._exit(0)
    try:
        running.stop()
        assert not anything_runs(DataFolder(folder))
    finally:
        os.close(asleep)
        os.close(awake)
        os.waitpid(child, 0)


def test_after_a_kill_of_everything_the_next_start_finds_what_was_committed(folder: Path) -> None:
    data = DataFolder(folder)
    running = EmbeddedServices(folder).start()
    write(running, "committed")
    wait_for(lambda: "committed" in appended(data), 5)  # Valkey's promise is one second
    kill_all(data)
    running.stop()

    with EmbeddedServices(folder) as running:
        assert read(running) == (["committed"], ["committed"])


def test_servers_that_outlived_their_guardian_are_ended_before_others_start(folder: Path) -> None:
    data = DataFolder(folder)
    running = EmbeddedServices(folder).start()
    write(running, "before")
    orphans = set(data.read_state().pids.values())
    os.kill(data.guardian_pid() or 0, signal.SIGKILL)
    assert wait_for(lambda: not data.is_held("guardian"), 30)
    assert data.is_held("postgres")

    with EmbeddedServices(folder) as again:
        assert read(again) == (["before"], ["before"])
        assert orphans.isdisjoint(data.read_state().pids.values())
    running.stop()


@pytest.mark.parametrize("service", SERVICES)
def test_a_server_that_is_killed_comes_back_on_its_port(folder: Path, service: str) -> None:
    data = DataFolder(folder)
    with EmbeddedServices(folder) as running:
        write(running, "before")
        killed = data.read_state().pids[service]
        os.kill(killed, signal.SIGKILL)
        assert wait_for(lambda: data.read_state().pids[service] != killed, 15)
        assert read(running)[0] == ["before"]


def test_a_port_somebody_else_has_taken_is_exchanged_for_another(folder: Path) -> None:
    with EmbeddedServices(folder, durable=False) as running:
        write(running, "kept")
    taken = DataFolder(folder).read_state().ports["postgres"]
    with socket.socket() as foreign:
        foreign.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        foreign.bind(("127.0.0.1", taken))
        foreign.listen()
        with EmbeddedServices(folder, durable=False) as running:
            assert f":{taken}/" not in running.database_url
            with psycopg.connect(running.database_url) as connection:
                assert connection.execute("SELECT value FROM kept").fetchone() == ("kept",)


def test_a_port_is_chosen_that_systems_give_to_no_outgoing_connection() -> None:
    assert all(20_000 <= free_port() < 32_000 for _ in range(50))


def test_no_free_port_is_said_in_a_sentence() -> None:
    with pytest.raises(ServiceUnreachable, match=r"no free port on 192\.0\.2\.1 .*database\.url"):
        free_port(None, host="192.0.2.1")  # not an address of this machine


def test_a_stale_pid_file_is_no_obstacle(folder: Path) -> None:
    data = DataFolder(folder)
    with EmbeddedServices(folder, durable=False) as running:
        write(running, "kept")
        pid_file = data.services / "postgres" / "postmaster.pid"
        left_behind = pid_file.read_text()
    # As after a crash, when the pid has become another program's: ours.
    pid_file.write_text(left_behind.replace(left_behind.split("\n")[0], str(os.getpid()), 1))
    with EmbeddedServices(folder, durable=False) as running:
        assert read(running)[0] == ["kept"]


def test_a_cluster_whose_making_was_cut_short_is_made_anew(folder: Path) -> None:
    with EmbeddedServices(folder, durable=False):
        pass
    cluster = DataFolder(folder).services / "postgres"
    cluster.rename(cluster.with_name("postgres.new"))
    (cluster.with_name("postgres.new") / "PG_VERSION").unlink()
    with EmbeddedServices(folder, durable=False) as running, psycopg.connect(running.database_url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_lost_password_file_loses_no_data(folder: Path) -> None:
    with EmbeddedServices(folder, durable=False) as running:
        write(running, "kept")
        old_url = running.database_url
    (folder / "passwords.json").unlink()
    with EmbeddedServices(folder, durable=False) as running:
        assert running.database_url != old_url
        assert read(running)[0] == ["kept"]


def test_a_broken_cluster_names_the_log_and_the_remedy(folder: Path) -> None:
    with EmbeddedServices(folder, durable=False):
        pass
    data = DataFolder(folder)
    (data.services / "postgres" / "global" / "pg_control").write_bytes(b"")
    with pytest.raises(ServiceUnreachable) as told:
        EmbeddedServices(folder, durable=False).start()
    assert "pg_control" in str(told.value)
    assert str(data.log_path("postgres")) in str(told.value)
    assert f"remove {data.services.resolve() / 'postgres'}" in str(told.value)


def test_a_cluster_of_an_unknown_version_is_left_alone(folder: Path) -> None:
    with EmbeddedServices(folder, durable=False):
        pass
    (DataFolder(folder).services / "postgres" / "PG_VERSION").write_text("12\n")
    with pytest.raises(SettingsError, match="was written by PostgreSQL 12 and this installation brings"):
        EmbeddedServices(folder, durable=False).start()


def test_too_little_space_is_said_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_postgres, "SPACE_NEEDED", 10**18)
    site = Site(DataFolder.open(tmp_path / "data"), Place(tmp_path, None))
    with pytest.raises(ServiceUnreachable, match=r"no space left .* DIALER_DATA_DIR"):
        embedded_postgres.Postgres(durable=True).prepare(site)
    assert not (tmp_path / "postgres.new").exists()


def test_a_folder_that_cannot_be_used_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SettingsError, match=r"data folder .*/file/data: .* DIALER_DATA_DIR"):
        EmbeddedServices(tmp_path / "file" / "data").start()


def test_nobody_else_can_read_a_password_and_no_program_shows_one(folder: Path) -> None:
    data = DataFolder(folder)
    with EmbeddedServices(folder, durable=False) as running:
        passwords = [data.password(name) for name in SERVICES]
        assert stat.S_IMODE((folder / "passwords.json").stat().st_mode) == 0o600
        assert "@" in running.database_url
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                shown = process.read_bytes().decode("utf-8", "replace")
                assert not any(password in shown for password in passwords if password)
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(running.database_url.replace(passwords[0] or "", "guess"))
        with pytest.raises(redis.AuthenticationError):
            redis.Redis.from_url(running.redis_url.replace(passwords[1] or "", "guess")).ping()
    for log in (folder / "logs").iterdir():
        assert not any(password in log.read_text() for password in passwords if password)


def test_what_the_settings_name_is_used_and_only_the_rest_is_embedded(folder: Path) -> None:
    given = Settings(
        data_dir=folder, database=DatabaseSettings(url="postgresql://a@b/c"), redis=RedisSettings(url="redis://d")
    )
    with services_for(given) as urls:
        assert urls == ("postgresql://a@b/c", "redis://d")
    assert not folder.exists()

    with services_for(given.model_copy(update={"redis": RedisSettings()}), durable=False) as (database_url, redis_url):
        assert database_url == "postgresql://a@b/c"
        with redis.Redis.from_url(redis_url) as client:
            assert client.ping()
        assert not DataFolder(folder).is_held("postgres")
        with EmbeddedServices(folder, durable=False) as both, psycopg.connect(both.database_url):
            assert both.redis_url == redis_url  # the missing one joins the running one


def test_production_is_told_to_name_its_servers(tmp_path: Path) -> None:
    settings = Settings(env="production", data_dir=tmp_path / "data", redis=RedisSettings(url="redis://d"))
    with (
        pytest.raises(SettingsError, match=r"^database\.url must be set when env is production"),
        services_for(settings),
    ):
        pass
    assert not (tmp_path / "data").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can lock others out of a folder and still work in it")
def test_root_s_servers_run_as_somebody_else_and_open_no_door_to_private_folders(tmp_path: Path, folder: Path) -> None:
    above = [tmp_path, *tmp_path.parents]
    before = [path.stat().st_mode for path in above]
    with EmbeddedServices(folder, durable=False):
        for pid in DataFolder(folder).read_state().pids.values():
            assert pwd.getpwuid(Path(f"/proc/{pid}").stat().st_uid).pw_name != "root"
    assert [path.stat().st_mode for path in above] == before


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_an_ordinary_user_gets_along_without_root(folders: Callable[[str], Path]) -> None:
    nobody = pwd.getpwnam("nobody")
    as_nobody = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": [], "cwd": Path(__file__).parents[2]}
    try:
        subprocess.run([sys.executable, "-c", "import workers.embedded"], check=True, capture_output=True, **as_nobody)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this interpreter or these sources are in a folder that ordinary users cannot read")
    home = Path("/tmp") / f"dialer-test-{os.getpid()}"
    home.mkdir()
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    try:
        command = [sys.executable, "-c", USER, home / "data"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, **as_nobody)
        assert done.stdout.startswith("postgresql://dialer:")
        assert not anything_runs(DataFolder(home / "data"))
    finally:
        shutil.rmtree(home)


def appended(data: DataFolder) -> str:
    return "".join(file.read_text() for file in (data.services / "valkey").glob("appendonlydir/*.aof"))


def kill_all(data: DataFolder) -> None:
    pids = [data.guardian_pid(), *data.read_state().pids.values()]
    for pid in pids:
        os.kill(pid or 0, signal.SIGKILL)
    assert wait_for(lambda: not anything_runs(data), 5)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's servers are kept elsewhere")
def test_what_deleted_test_folders_left_elsewhere_is_swept(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(embedded_place, "THROWAWAY_AGE", 0.0)
    kept, lost, lasting = (
        embedded_place._elsewhere(DataFolder(path), durable=durable)
        for path, durable in ((tmp_path, False), (tmp_path / "gone", True), (Path("/gone"), False))
    )
    (lasting / "owner").write_text("/gone\nlasting\n")
    embedded_place._elsewhere(DataFolder(folder), durable=False)
    assert kept.exists()
    assert not lost.exists()
    assert lasting.exists()
