"""One simulated call centre: a seeded model in seconds of its own, with no thread, no socket and no clock.

Drive it with `advance_to`, ask it with `request`, and take what it would send with `take_webhooks`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from dialer.pbx.simulator import judging
from dialer.pbx.simulator.agenda import Agenda
from dialer.pbx.simulator.book import Book
from dialer.pbx.simulator.chance import Chance
from dialer.pbx.simulator.commands import Commands
from dialer.pbx.simulator.config import WorldConfig
from dialer.pbx.simulator.entities import Entities
from dialer.pbx.simulator.exchange import Exchange
from dialer.pbx.simulator.faults import Faults, read_faults
from dialer.pbx.simulator.ivr import ScriptCall, Scripts
from dialer.pbx.simulator.legs import Order
from dialer.pbx.simulator.outages import Outages
from dialer.pbx.simulator.parties import Parties
from dialer.pbx.simulator.people import Customers
from dialer.pbx.simulator.tables import EntityType, Presence
from dialer.pbx.simulator.voispeed_api import Services, refused
from dialer.pbx.simulator.webhooks import Notifier, Webhook

_LOGIN_PAGE = b"<!DOCTYPE html>\n<html><head><title>Login</title><body><form action=/login.php><br>Password</html>"


class Fate(Enum):
    """What becomes of a reply on its way."""

    ARRIVES = "arrives"
    CUT = "cut"  # the connection is closed before a byte of it
    WITHHELD = "withheld"  # nothing comes for `delay` seconds, and then the connection is closed


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to one request."""

    body: bytes
    status: int = 200
    content_type: str = "text/xml; charset=utf-8"
    delay: float = 0.0
    fate: Fate = Fate.ARRIVES


class World:
    """A PBX with its users, and the people its gateways reach. Everything comes from `seed`."""

    def __init__(self, config: WorldConfig | None = None, seed: int = 1) -> None:
        self.config = config or WorldConfig()
        self.seed = seed
        self._agenda = Agenda()
        chance = Chance(seed)
        self.book = Book()
        self.faults = Faults(chance)
        self.entities = Entities(self.config, chance)
        self.customers = Customers(self.config.customers, chance, self.config.speed)
        self._notifier = Notifier(self.config, self._agenda, self.faults)
        self._scripts = Scripts()
        self.exchange = Exchange(
            self.config, self._agenda, chance, self.entities, self.customers, self._notifier, self.book
        )
        parties = Parties(self.exchange, self._scripts)
        self.exchange.watcher = parties
        self.agents = parties.agents
        self._commands = Commands(self.exchange, self.faults)
        self._services = Services(self.config, self.exchange, self._commands, self.agents)
        self.outages = Outages(self.exchange, self._commands, self.faults, chance)
        self._requests = 0
        self._this_second = (-1, 0)

    # time ---------------------------------------------------------------------------------------------
    @property
    def now(self) -> float:
        return self._agenda.now

    def next_time(self) -> float | None:
        """Return when the next thing happens by itself; None when nothing ever will."""
        return self._agenda.next_time()

    def advance_to(self, time: float) -> None:
        """Let everything due by `time` happen."""
        self._agenda.run_until(time)

    # what comes in and what goes out ------------------------------------------------------------------
    @property
    def outbox(self) -> list[Webhook]:
        """The webhooks due and not taken yet."""
        return self._notifier.outbox

    def take_webhooks(self) -> list[Webhook]:
        """Take the webhooks that are due; they are sent once and never again."""
        taken = self._notifier.outbox
        if taken:
            self._notifier.outbox = []
        return taken

    def take_scripts(self) -> list[ScriptCall]:
        """Take the questions that responders' nodes put to scripts."""
        taken, self._scripts.outbox = self._scripts.outbox, []
        return taken

    def script_answered(self, id: int, text: str) -> None:
        """A script gave its instruction; an empty text is none."""
        self._scripts.answered(id, text)

    def request(self, params: Mapping[str, str], method: str = "GET") -> Reply:
        """Answer one request of the interface, now. Unlucky ones are answered badly, or carried out unanswered."""
        self._requests += 1
        if self.now < self.outages.restarting_until:
            return Reply(refused("connection not found").encode())
        if not self.faults.active:
            return Reply(self._services.answer(params, method).encode())
        return self._unlucky(params, method, self._requests)

    def _unlucky(self, params: Mapping[str, str], method: str, nth: int) -> Reply:
        faults = self.faults
        if self._is_too_much():
            return Reply(b"<html><body>Too many requests</body></html>", 429, "text/html")
        if faults.strikes("html", nth):
            return Reply(_LOGIN_PAGE, 200, "text/html")
        for name in ("http_500", "timeouts", "cut_connections"):
            fault = faults.strikes(name, nth)
            if fault is None:
                continue
            done = faults.share(name, nth) < fault.carried_out
            if done:
                self._services.answer(params, method)
            faults.struck[f"{name} {'carried out' if done else 'not carried out'}"] += 1
            if name == "http_500":
                return Reply(b"<html><body><h1>Internal Server Error</h1></body></html>", 500, "text/html")
            if name == "timeouts":
                return Reply(b"", delay=fault.seconds, fate=Fate.WITHHELD)
            return Reply(b"", fate=Fate.CUT)
        body = self._services.answer(params, method).encode()
        if faults.strikes("truncated_xml", nth):
            body = body[: int(len(body) * faults.share("truncated_xml", nth) * 0.95)]
        slow = faults.strikes("slow", nth)
        return Reply(body, delay=slow.seconds * faults.share("slow", nth) if slow else 0.0)

    def _is_too_much(self) -> bool:
        fault = self.faults.active.get("rate_limited")
        if fault is None:
            return False
        second, count = self._this_second
        count = count + 1 if second == int(self.now) else 1
        self._this_second = (int(self.now), count)
        if count <= fault.limit:
            return False
        self.faults.struck["rate_limited"] += 1
        return True

    # steering -----------------------------------------------------------------------------------------
    def set_faults(self, told: str | Mapping[str, object]) -> None:
        """Switch these faults on and all others off: "all", "slow,html=0.2", {"slow": {...}}, "" for none."""
        self.faults.set(read_faults(told))
        self.outages.plan()

    def quiet(self) -> None:
        """Accept no more calls and send the agents home: everything that is up comes to its end."""
        self._services.closing = True
        for user in self.entities.users.values():
            self.agents.leave(user)

    def reopen(self) -> None:
        """Accept calls again, and let the agents come back."""
        self._services.closing = False
        for user in self.entities.users.values():
            self.agents.set_mode(user, Presence.AVAILABLE)

    def incoming(self, number: str, called_type: int, called_id: int, called_number: str = "") -> int | None:
        """Let somebody outside call in; the communication's id, or None when no line is free or nobody there."""
        gateway = next((g for g in self.entities.gateways.values() if g.has_free_line), None)
        if gateway is None or self.entities.trouble_with(called_type, called_id) is not None:
            return None
        order = Order(EntityType.GATEWAY, gateway.id, number, EntityType(called_type), called_id, called_number or "0")
        com = self.exchange.arrive(order)
        return None if com is None else com.id

    # looking ------------------------------------------------------------------------------------------
    def judgement(self) -> dict[str, object]:
        """Sum up the book: what really happened."""
        summary = judging.judge(
            self.book, now=self.now, limit=self.config.silence_limit, tolerance=self.config.tolerance
        )
        return {"seed": self.seed, **summary, "faults": self.faults.as_json()["struck"]}

    def calls(self) -> list[dict[str, object]]:
        """Every call of the book."""
        return judging.every_call(self.book, self.now)

    def state(self) -> dict[str, object]:
        """What is the case now."""
        return {
            "seed": self.seed,
            "time": round(self.now, 3),
            "speed": self.config.speed,
            "closing": self._services.closing,
            "restarting": self.now < self.outages.restarting_until,
            "communications": len(self.exchange.live),
            "requests": self._requests,
            "answer_probability": self.customers.answer_probability(self.now),
            "gateways": [
                {"id": g.id, "name": g.name, "link": g.link.name, "lines": g.lines, "busy_lines": g.busy}
                for g in self.entities.gateways.values()
            ],
            "agents": [
                {
                    "id": user.id,
                    "extension": user.extension,
                    "presence": int(user.presence),
                    "state": self.book.agent(user.extension).state,
                }
                for user in self.entities.users.values()
            ],
            "faults": self.faults.as_json(),
        }
