"""`dialer pbx conformance`: one run against one PBX, from the plan to the conclusion. It needs no campaign."""

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from campaigns import conformance_rules, conformance_stream
from campaigns.application import Application
from campaigns.conformance_ears import log_ear
from campaigns.db import database_now
from dialer.conformance import checks
from dialer.conformance.bench import Bench
from dialer.conformance.checks import Plan
from dialer.conformance.lines import Line
from dialer.conformance.outcome import Outcome, conclude
from dialer.conformance.phones import Phones
from dialer.errors import BadInput, PbxError
from dialer.pbx.base import Feature, Pbx
from dialer.pbx_kinds import KINDS


@dataclass(frozen=True, slots=True)
class Given:
    """What the operator gave: whose phones, and how long people may take."""

    numbers: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    wrong: str = ""
    caller_id: str = ""
    gateway: str = ""
    reads_only: bool = False
    patience: float = 40.0


@dataclass
class Run:
    """A run that is prepared: `plan` says what it would do; `lines` is what it has said so far."""

    application: Application
    name: str
    given: Given
    phones: Phones
    plan: Plan
    who: str
    lines: list[Line] = field(default_factory=list)
    bench: Bench | None = None
    began: datetime | None = None

    @property
    def pbx(self) -> Pbx:
        return self.application.pbx(self.name)

    def outcome(self) -> Outcome:
        """Conclude from what was seen so far."""
        decisions = self.bench.decisions if self.bench else []
        return conclude(self.pbx.features, [*self.lines, *self.plan.left_out], decisions)

    def go(self, say: Callable[[str], None]) -> Generator[Line]:
        """Make every check, and end every call that was begun, however this ends."""
        with self._bench(say) as bench:
            try:
                for line in checks.run(bench, self.plan.checks):
                    self.lines.append(line)
                    yield line
            finally:
                left = bench.end_all()
                self.lines += left
            yield from left

    @contextmanager
    def _bench(self, say: Callable[[str], None]) -> Iterator[Bench]:
        app, kind = self.application, KINDS[self.application.settings.pbx[self.name].kind]
        ear = log_ear(app, self.name)
        self.began = ear.since
        self.bench = Bench(
            pbx=self.pbx,
            ear=ear,
            phones=self.phones,
            now=self._now,
            wait_for=time.sleep,
            say=say,
            allow=conformance_rules.gatekeeper(app, self.name, self.who),
            patience=self.given.patience,
            message_limit=app.settings.timing.message_limit,
            place=f"pbx.{self.name}",
            page=kind.page,
            gateway=self.given.gateway or (self._gateway() if self.plan.calls else ""),
        )
        try:
            with conformance_stream.held(app, ear):
                yield self.bench
        finally:
            ear.close()

    def _now(self) -> datetime:
        with self.application.transaction() as session:
            return database_now(session)

    def _gateway(self) -> str:
        """The usable line with most room. What cannot be read is told by the check of the lines."""
        try:
            usable = [one for one in self.pbx.gateways() if one.usable]
        except PbxError:
            return ""
        return max(usable, key=lambda one: one.free_lines).id if usable else ""


def prepare(application: Application, name: str, given: Given, who: str) -> Run:
    """Judge what was given and plan the run; nothing rings. RefusedByRule, BadInput, NotFound say what will not do."""
    pbx = application.pbx(name)
    phones = Phones()
    if not given.reads_only:
        if not given.numbers and not given.agents:
            raise BadInput(
                "give your own phones, --own-number +39... (twice for two) and --own-agent EXTENSION: nothing else is "
                "ever called; or --reads-only, which rings nobody"
            )
        phones = _phones(application, name, pbx, given)
        with application.transaction() as session:
            conformance_rules.refuse_what_is_kept(session, name, phones)
    plan = checks.plan(pbx, phones, reads_only=given.reads_only)
    return Run(application, name, given, phones, plan, who)


def _phones(application: Application, name: str, pbx: Pbx, given: Given) -> Phones:
    numbers = _distinct(conformance_rules.own_number(one, "--own-number") for one in given.numbers)
    wrong = conformance_rules.own_number(given.wrong, "--wrong-number") if given.wrong else ""
    if wrong in numbers:
        raise BadInput("--wrong-number is one of your own numbers: give one that nobody has, or leave it out")
    caller_id = conformance_rules.own_number(given.caller_id, "--caller-id") if given.caller_id else ""
    if not caller_id:
        with application.transaction() as session:
            caller_id = conformance_rules.caller_id_of(session, name)
    if not caller_id and Feature.CUSTOMER_FIRST in pbx.features and numbers:
        raise BadInput("give --caller-id +39...: the number your phones are to show, one that your PBX may use")
    agents = conformance_rules.own_agents(pbx.users(), _distinct(given.agents)) if given.agents else ()
    return Phones(numbers, agents, wrong, caller_id)


def _distinct(given: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(given))
