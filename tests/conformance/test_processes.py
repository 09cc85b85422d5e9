"""With nothing in this process: the product's simulator, its web process and the command itself, over real HTTP."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.conformance.stage import HOOK
from workers.ports import free_port

pytestmark = pytest.mark.timeout(600)
RUN = (sys.executable, "-m", "workers.command")
TOKEN = "token-canary-91ab"
STAYS, ALONE, WRONG = "+390612345604", "+390612345603", "+390612345602"
# What the simulator's control door is told of the people behind them.
PEOPLE = {
    STAYS: {"ending": "answers", "ring": 10, "patience": 3600, "talk": 3600},
    ALONE: {"ending": "no_answer"},
    WRONG: {"ending": "unavailable"},
}


@contextmanager
def process(folder: Path, name: str, env: dict[str, str], *argv: str) -> Iterator[None]:
    with (folder / f"{name}.log").open("wb") as log:
        child = subprocess.Popen([*RUN, *argv], env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            yield
        finally:
            child.terminate()
            try:
                child.wait(15)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def answers(url: str) -> None:
    until = time.monotonic() + 150
    while time.monotonic() < until:
        try:
            if httpx.get(url, timeout=2, trust_env=False, verify=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError(f"{url} does not answer")


@pytest.fixture
def running(tmp_path: Path, database_url: str, redis_url: str) -> Iterator[tuple[dict[str, str], str]]:
    """The environment of the command, and the address of the simulated PBX's control door."""
    web, pbx = free_port(), free_port()
    (tmp_path / "dialer.toml").write_text(
        f'data_dir = "{tmp_path / "data"}"\n[web]\nport = {web}\n'
        f'[database]\nurl = "{database_url}"\n[redis]\nurl = "{redis_url}"\n'
        f'[pbx.main]\nkind = "simulator"\nurl = "http://127.0.0.1:{pbx}/PBX/seri_endpoint.php"\n'
        'token_env = "PBX_TOKEN"\nwebhook_secret_env = "PBX_HOOK"\n'
        "reception_ivr = 17\nwaiting_ivr = 18\nabandon_ivr = 19\n"
    )
    env = {**os.environ, "DIALER_CONFIG": str(tmp_path / "dialer.toml"), "PBX_TOKEN": TOKEN, "PBX_HOOK": HOOK}
    with ExitStack() as stack:
        simulator = ("pbx", "simulator", "--port", str(pbx), "--token", TOKEN, "--agents", "6", "--speed", "20")
        webhook = f"http://127.0.0.1:{web}/webhooks/main/{HOOK}"
        stack.enter_context(process(tmp_path, "pbx", env, *simulator, "--webhook-url", webhook))
        stack.enter_context(process(tmp_path, "web", env, "web"))
        answers(f"http://127.0.0.1:{web}/healthz")
        answers(f"http://127.0.0.1:{pbx}/_control/state")
        told = httpx.post(f"http://127.0.0.1:{pbx}/_control/numbers", json=PEOPLE, trust_env=False)
        told.raise_for_status()
        yield env, f"http://127.0.0.1:{pbx}/_control"


ARGV = (
    *RUN, "pbx", "conformance", "main", "--yes-these-are-mine", "--caller-id", "+390210001000", "--patience", "20",
    "--own-number", STAYS, "--own-number", ALONE, "--wrong-number", WRONG, "--own-agent", "201",
)  # fmt: skip


def calls(control: str) -> int:
    return int(httpx.get(f"{control}/state", trust_env=False).json()["communications"])


def test_an_operator_s_whole_run(running: tuple[dict[str, str], str]) -> None:
    env, control = running
    done = subprocess.run([*ARGV, "--json"], env=env, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["modes"]["seen"] == ["predictive", "progressive", "power", "preview", "manual", "agentless"]
    assert calls(control) == 0
    report = Path(found["report"])
    assert report.stat().st_mode & 0o777 == 0o600
    shown = done.stdout + report.read_text()
    for hidden in (TOKEN, HOOK, STAYS[1:], ALONE[1:], WRONG[1:]):
        assert hidden not in shown


def test_ctrl_c_in_the_middle_leaves_no_call(running: tuple[dict[str, str], str]) -> None:
    env, control = running
    child = subprocess.Popen(ARGV, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 150
    while not calls(control):
        assert time.monotonic() < until
        assert child.poll() is None
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=150)
    assert child.returncode == 130, said
    assert "interrupted" in said
    assert calls(control) == 0
