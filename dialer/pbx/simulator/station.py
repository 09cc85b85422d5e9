"""A world in real time: moved on when something is due, woken by requests, its webhooks sent off."""

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from datetime import datetime
from urllib.parse import urlencode

import httpx

from dialer.errors import BadInput
from dialer.pbx.simulator.config import WorldConfig
from dialer.pbx.simulator.ivr import ScriptCall
from dialer.pbx.simulator.sender import WebhookSender
from dialer.pbx.simulator.world import Reply, World

_SCRIPT_TIMEOUT = 8.0


class Station:
    """Owns the world and the only clock that moves it. Everything here runs on one event loop."""

    def __init__(self, world: World, webhook_url: str = "") -> None:
        self.world = world
        self.sender = WebhookSender(webhook_url) if webhook_url else None
        self.paused_at: float | None = None
        self._zero = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for = float("inf")
        self._asking: set[asyncio.Task[None]] = set()
        self._retired: set[asyncio.Task[None]] = set()

    # life ---------------------------------------------------------------------------------------------
    async def open(self) -> None:
        """Begin to move the world; its time starts where it stands."""
        self._loop = asyncio.get_running_loop()
        self._zero = self._loop.time() - self.world.now
        self._move()

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for task in (*self._asking, *self._retired):
            task.cancel()
        await asyncio.gather(*self._asking, *self._retired, return_exceptions=True)
        if self.sender is not None:
            await self.sender.close()

    def now(self) -> float:
        """Return the world's time; it stands still while paused."""
        if self.paused_at is not None:
            return self.paused_at
        assert self._loop is not None, "the station is not open"
        return self._loop.time() - self._zero

    @property
    def wakes_at(self) -> float | None:
        """When the world is moved next without being asked; None while nothing is due, or paused."""
        return None if self._timer is None else self._armed_for

    # what is asked of it ------------------------------------------------------------------------------
    def request(self, params: Mapping[str, str], method: str = "GET") -> Reply:
        """Answer one request of the interface at this very moment."""
        self._move()
        reply = self.world.request(params, method)
        self._arm()
        return reply

    def touch(self) -> None:
        """Something was changed from outside: send what is due, and look again at when to wake up."""
        self._move()

    def pause(self) -> None:
        """Let time stand still: requests are accepted, and nothing happens."""
        if self.paused_at is None:
            self._move()
            self.paused_at = self.now()
            self._disarm()

    def resume(self) -> None:
        if self.paused_at is not None and self._loop is not None:
            self._zero = self._loop.time() - self.paused_at
            self.paused_at = None
            self._move()

    def restart(self, seconds: float) -> None:
        """The PBX is restarted: calls and unsent webhooks are gone, requests refused for `seconds`."""
        self._move()
        self.world.outages.restart(seconds)
        if self.sender is not None:
            self.sender.forget()
        self._move()

    def set_webhook(self, url: str) -> None:
        """Send what happens from now on to another address; to none, when empty."""
        old, self.sender = self.sender, WebhookSender(url) if url else None
        if old is not None:
            self._spawn(self._retired, old.close())

    def reset(self, seed: int | None = None, changes: Mapping[str, object] | None = None) -> None:
        """Begin anew with a fresh world: same call centre unless `changes` say otherwise."""
        config = changed(self.world.config, changes or {})
        self.world = World(config, self.world.seed if seed is None else seed)
        if self.sender is not None:
            self.sender.forget()
        if self._loop is not None:
            self._zero = self._loop.time()
        self.paused_at = None
        self._disarm()
        self._move()

    # moving -------------------------------------------------------------------------------------------
    def _move(self) -> None:
        world = self.world
        world.advance_to(self.now())
        hooks = world.take_webhooks()
        if hooks and self.sender is not None:
            self.sender.push(hooks)
        for call in world.take_scripts():
            self._spawn(self._asking, self._ask_script(call))
        self._arm()

    def _arm(self) -> None:
        """Wake up when the next thing is due, and not before."""
        if self.paused_at is not None or self._loop is None:
            return
        due = self.world.next_time()
        if due is None:
            self._disarm()
        elif due != self._armed_for:
            self._disarm()
            self._armed_for = due
            self._timer = self._loop.call_at(due + self._zero, self._woken)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._armed_for = float("inf")

    def _woken(self) -> None:
        self._timer, self._armed_for = None, float("inf")
        self._move()

    # scripts ------------------------------------------------------------------------------------------
    async def _ask_script(self, call: ScriptCall) -> None:
        joint = "&" if "?" in call.url else "?"
        text, world = "", self.world
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=_SCRIPT_TIMEOUT) as client:
                answer = await client.get(f"{call.url}{joint}{urlencode(call.fields)}")
                text = answer.text if answer.is_success else ""
        except (httpx.HTTPError, httpx.InvalidURL):
            pass  # no instruction: the node ends the call
        self._move()
        world.script_answered(call.id, text)
        self._move()

    def _spawn(self, tasks: set[asyncio.Task[None]], work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)


def changed(config: WorldConfig, changes: Mapping[str, object]) -> WorldConfig:
    """Return the call centre with other agents, lines, speed or answer probability; BadInput names what is wrong."""
    known = {"agents", "lines", "speed", "answer_probability"}
    unknown = set(changes) - known
    if unknown:
        raise BadInput(f"a reset does not know {', '.join(sorted(unknown))}; it knows {', '.join(sorted(known))}")
    numbers: dict[str, float] = {}
    for name, value in changes.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            raise BadInput(f"{name} must be a number of 0 or more, not {value!r}")
        numbers[name] = value
    if numbers.get("speed", 1) <= 0:
        raise BadInput("speed must be above 0 (1 is life)")
    if numbers.get("answer_probability", 0) > 1:
        raise BadInput("answer_probability is a share between 0 and 1")
    if "agents" in numbers:
        config = replace(config, agents=replace(config.agents, count=int(numbers["agents"])))
    if "lines" in numbers:
        gateways = tuple(replace(gateway, lines=int(numbers["lines"])) for gateway in config.gateways)
        config = replace(config, gateways=gateways)
    if "speed" in numbers:
        config = replace(config, speed=float(numbers["speed"]))
    if "answer_probability" in numbers:
        config = replace(config, customers=replace(config.customers, answer_probability=numbers["answer_probability"]))
    return config


def at_wall_time(config: WorldConfig, now: datetime) -> WorldConfig:
    """Let the PBX's own wall clock stand at `now` when the world begins."""
    return replace(config, epoch=now.replace(tzinfo=None, microsecond=0))
