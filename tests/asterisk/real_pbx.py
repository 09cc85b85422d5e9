"""Asterisk, customers behind its trunk and agents' telephones: all of it ours alone, and gone when we are."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from dialer.pbx.asterisk import AsteriskPbx
from dialer.settings import PbxSettings
from tests.asterisk.blocks import Block, claimed

HERE = Path(__file__).parent
PASSWORD = "DIALER_TEST_ARI_PASSWORD"


class NotHere(Exception):
    """There is no Asterisk to test with; the text says why."""


class Broken(Exception):
    """It is there and does not do as it should: never a reason to skip a test."""


def usual_home() -> Path:
    """Where install.sh puts an Asterisk, by the same rule."""
    env = os.environ
    caches = env.get("XDG_CACHE_HOME") or f"{env.get('HOME') or '/tmp'}/.cache"
    return Path(env.get("PBX_HOME") or f"{caches}/dialer-pbx")


def install(home: Path, *, within: float = 300.0) -> None:
    """Put an Asterisk into `home`; NotHere says why there can be none."""
    done = subprocess.run(
        [str(HERE / "install.sh"), str(home)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=within
    )
    if done.returncode:
        raise NotHere(f"no Asterisk can be installed here: {done.stderr.strip()[-400:]}")


def folder_of(home: Path, block: Block) -> Path:
    """Configuration, passwords and logs of the run that holds this block; kept until the block is used again."""
    return home / "runs" / str(block.base)


def end_leftovers(home: Path, block: Block) -> None:
    """End what runs in a block whose holder is gone, by the folder's own list, and forget the folder."""
    folder = folder_of(home, block)
    if folder.exists():
        env = {**os.environ, "PBX_HOME": str(home), "PBX_RUN": str(folder)}
        subprocess.run([str(HERE / "stop.sh")], env=env, capture_output=True, check=True, timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


class RealPbx:
    """A PBX in a block: its ports, its folder and its processes belong to this run, and end with it."""

    def __init__(self, home: Path, **settings: str) -> None:
        if not (home / "bin" / "asterisk").exists():
            raise NotHere(f"no Asterisk in {home}: tests/asterisk/install.sh puts one there (Debian, 15 seconds)")
        self.home = home
        self._given = {"RING_MIN": "200", "RING_SPAN": "800", "TALK_MIN": "800", "TALK_SPAN": "1700", **settings}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            block = stack.enter_context(claimed(tidy=lambda block: end_leftovers(self.home, block)))
            self.run = folder_of(self.home, block)
            self.run.mkdir(parents=True)
            # Our last word, and our death, is the end of the keeper's input.
            self._keeper = subprocess.Popen(
                [str(HERE / "run.sh"), "keep"],
                env={
                    **self._given,
                    **os.environ,
                    **block.settings,
                    "PBX_HOME": str(self.home),
                    "PBX_RUN": str(self.run),
                },
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=(self.run / "keeper.log").open("wb"),
                text=True,
                start_new_session=True,
            )
            stack.callback(self._end)
            self._wait_for_word("nothing")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def order(self, *words: str) -> None:
        """Start or stop a part, log agents on or off: `start pbx`, `agents off 1003 2`."""
        assert self._keeper.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._keeper.stdin.write(" ".join(words) + "\n")
            self._keeper.stdin.flush()
        self._wait_for_word(" ".join(words))

    def restart(self) -> None:
        """Asterisk itself, with everything that was on it. Telephones have to register anew."""
        self.order("stop", "pbx")
        self.order("start", "pbx")
        self.order("agents", "on")

    @property
    def keeper(self) -> int:
        """The process that holds all the others."""
        return self._keeper.pid

    @property
    def facts(self) -> Mapping[str, str]:
        lines = (self.run / "env").read_text("utf-8").splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    @property
    def http_port(self) -> int:
        return int(self.facts["PBX_HTTP_PORT"])

    @property
    def password(self) -> str:
        return self.facts["ARI_PASSWORD"]

    def settings(self, **more: object) -> PbxSettings:
        return PbxSettings.model_validate(
            {
                "kind": "asterisk",
                "url": self.facts["ARI_URL"],
                "user": "dialer",
                "token_env": PASSWORD,
                "trunks": {"trunk": 100},
                "agent_endpoints": ["agent*"],
                **more,
            }
        )

    def open(self, **more: object) -> AsteriskPbx:
        return AsteriskPbx("main", self.settings(**more), environ={PASSWORD: self.password})

    def told(self, after: int = 0) -> list[tuple[str, str]]:
        """What the customers' telephones say became of each call: (number, word), from byte `after` of their log on."""
        path = self.run / "log" / "customers.told"
        if not path.exists():
            return []
        rows = path.read_bytes()[after:].decode("ascii", "replace").splitlines()
        return [(number, word) for number, _, word in (row.partition(" ") for row in rows) if number and word]

    def told_so_far(self) -> int:
        path = self.run / "log" / "customers.told"
        return path.stat().st_size if path.exists() else 0

    def left_over(self) -> dict[str, list[str]]:
        """Channels and bridges that are there."""
        pbx = self.open()
        try:
            found = {what: [str(one["id"]) for one in pbx._wire.read(f"/{what}")] for what in ("channels", "bridges")}
        finally:
            pbx.close()
        return {what: ids for what, ids in found.items() if ids}

    def _wait_for_word(self, order: str) -> None:
        # The keeper bounds its own waits; what it cannot do ends it, and so its output.
        assert self._keeper.stdout is not None
        if self._keeper.stdout.readline() != "done\n":
            said = (self.run / "keeper.log").read_text("utf-8", "replace").strip()
            raise Broken(f"the test PBX did not come up, or not do as it was told ({order}): {said[-600:]}")

    def _end(self) -> None:
        for pipe in (self._keeper.stdin, self._keeper.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        try:
            self._keeper.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self._keeper.kill()  # the kernel ends what it has started
            self._keeper.wait()
