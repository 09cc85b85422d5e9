"""Days of promises under all that goes wrong: none is lost unsaid, none is given to two, every take ends (I13, I14).

The gate's own choice, the watch and the end of calls run on real rows at a time the test gives; the world around them
(agents who come and go, schedulers that are gone, calls that fail) is drawn from a seed that is printed.
"""

import random
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from campaigns import callback_taking, callback_tickets, callback_watch, callbacks, due_contacts
from campaigns.callback_dates import When
from campaigns.due_contacts import Which
from campaigns.models import Agent, Attempt, Callback, Campaign, Contact, Ledger
from dialer.errors import DialerError
from dialer.settings import TimingSettings
from tests import factories

TIMING = TimingSettings()
START = datetime(2026, 3, 29, 0, 0, tzinfo=UTC)  # clocks go forward in Rome an hour later
STEP = timedelta(minutes=1)
STEPS = 6 * 60
PROMISES = 24


class Days:
    """A campaign, four agents and two dozen promises, a minute at a time."""

    def __init__(self, session: Session, seed: int) -> None:
        self.session, self.rng, self.now = session, random.Random(seed), START
        self.campaign: Campaign = factories.campaign(session, mode="progressive", number_gap=0.0)
        self.agents = [factories.agent(session, self.campaign, state="ready") for _ in range(4)]
        self.scheduler_up = True
        self.seen: set[int] = set()  # promises a scheduler had the time to report before they broke
        for _ in range(PROMISES):
            self._promise()
        session.commit()

    def _promise(self) -> None:
        due = START + timedelta(minutes=self.rng.randrange(5, 240))
        lasting = timedelta(minutes=self.rng.choice((10, 30, 60)))
        contact = factories.contact(self.session, self.campaign, state="closed")
        when = When(due.date(), None, "", "Europe/Rome", due, due + lasting)
        owner = self.rng.choice([None, *self.agents])
        callbacks.promise(self.session, self.campaign, contact, when, owner=owner, timing=TIMING, now=START, who="test")

    def step(self) -> None:
        self.now += STEP
        if self.rng.random() < 0.03:
            self.scheduler_up = not self.scheduler_up
        for agent in self.agents:
            if self.rng.random() < 0.05:
                agent.state = self.rng.choice(["out", "paused", "ready", "ready", "talking"])
                agent.since = self.now
        self.session.flush()
        self._people()
        if self.scheduler_up:
            if self.rng.random() < 0.2:
                callback_watch.mend(self.session, now=self.now, timing=TIMING)
            callback_watch.watch(self.session, now=self.now, timing=TIMING)
            self._note()
            if self.rng.random() < 0.6:  # a line is free
                self._call()
        self.session.commit()
        self.session.expire_all()

    def _note(self) -> None:
        for one in self.session.scalars(select(Callback).where(Callback.called_at.is_(None))):
            if one.alarm_at <= self.now < one.deadline_at:
                self.seen.add(one.id)

    def _people(self) -> None:
        """Somebody takes, gives back, or moves one."""
        open_ones = self.session.scalars(select(Callback).where(Callback.closed_at.is_(None))).all()
        if not open_ones or self.rng.random() > 0.15:
            return
        one, agent = self.rng.choice(open_ones), self.rng.choice(self.agents)
        try:
            with self.session.begin_nested():
                what = self.rng.random()
                if what < 0.6:
                    callback_taking.take(self.session, one.id, agent, now=self.now, who="test", timing=TIMING)
                elif what < 0.8:
                    callback_taking.release(self.session, one.id, now=self.now, who="test")
                else:
                    due = self.now + timedelta(minutes=self.rng.randrange(5, 60))
                    when = When(due.date(), None, "", "Europe/Rome", due, due + timedelta(minutes=30))
                    callback_tickets.reschedule(self.session, one.id, when, timing=TIMING, now=self.now, who="test")
        except DialerError:
            pass  # told why, and nothing was changed

    def _call(self) -> None:
        free = [agent.id for agent in self.agents if agent.state == "ready"]
        if not free:
            return
        which = self.rng.choice([Which.OWNED, Which.PROMISED])
        found = due_contacts.locked(self.session, self.campaign, self.now, 1, which, own=free)
        for contact in found:
            self._may_be_called(contact, free)
            outcome = self.rng.choice(["no_answer", "completed", "no_lines", "busy"])
            rang = outcome != "no_lines"
            attempt = factories.attempt(
                self.session, self.campaign, contact=contact, state=outcome, ordered_at=self.now, sent_at=self.now,
                ended_at=self.now, ringing_at=self.now if rang else None,
                joined_at=self.now if outcome == "completed" else None,
            )  # fmt: skip
            if outcome == "completed":
                contact.state, contact.next_at, contact.closed_because = "closed", None, "reached"
            else:
                contact.next_at = self.now + timedelta(minutes=5)
            self.session.flush()
            callback_tickets.after_call(self.session, attempt, now=self.now)

    def _may_be_called(self, contact: Contact, free: list[int]) -> None:
        """The judge reads the promise, not what the gate reads."""
        promise = self.session.scalars(
            select(Callback).where(Callback.contact_id == contact.id, Callback.closed_at.is_(None))
        ).one()
        assert promise.due_at <= self.now
        if promise.taken_by is not None:
            assert promise.held_until is not None
            assert promise.held_until <= self.now, "it is taken"
        elif promise.owner_id is not None and promise.called_at is None:
            alone = min(promise.due_at + timedelta(seconds=promise.fallback), promise.alarm_at)
            if self.now < alone:
                assert promise.owner_id in free, "its owner has the first minutes"


@pytest.mark.timeout(400)  # four hundred minutes of a campaign, a few seconds of a machine that is not busy
@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_no_promise_is_lost_unsaid(session: Session, seed: int) -> None:
    print(f"seed {seed}")
    days = Days(session, seed)
    for _ in range(STEPS):
        days.step()
    # The trouble is over: a scheduler runs, everybody is at work, nothing more is promised or taken.
    days.scheduler_up = True
    for agent in days.agents:
        agent.state = "ready"
    for _ in range(30):
        days.now += STEP
        callback_watch.mend(session, now=days.now, timing=TIMING)
        callback_watch.watch(session, now=days.now, timing=TIMING)
    session.commit()
    session.expire_all()
    promises = session.scalars(select(Callback).order_by(Callback.id)).all()
    assert len(promises) >= PROMISES
    said = {
        row.details["callback"]: row.kind
        for row in session.scalars(select(Ledger).where(Ledger.kind.in_(("callback_alarm", "callback_broken"))))
    }
    for one in promises:
        broken = one.called_at is None or one.called_at >= one.deadline_at
        if one.result in ("moved", "withdrawn") or (one.closed_at is None and one.deadline_at > days.now):
            continue
        if broken and one.id in days.seen:
            assert one.alarmed_at is not None, one.id
            assert one.alarmed_at < one.deadline_at, f"{one.id} was reported after it broke"
        if broken and one.result != "lost":
            assert one.id in said, f"{one.id} broke and nobody was told"
        assert (one.result in ("late", "lost", "")) == broken or one.result == "", (one.id, one.result)
    assert (
        session.scalars(select(Callback.id).where(Callback.taken_by.is_not(None), Callback.closed_at.is_(None))).all()
        == []
    )
    lost = session.execute(
        text(
            "SELECT k.id FROM contacts k WHERE k.due_date IS NOT NULL AND k.state = 'open' AND (k.next_at IS NULL OR "
            "NOT EXISTS (SELECT 1 FROM callbacks b WHERE b.contact_id = k.id AND b.closed_at IS NULL))"
        )
    ).all()
    assert lost == [], "an open contact that nobody will call"
    assert session.scalars(select(Attempt.id)).all() != []
    agents = set(session.scalars(select(Agent.id)))
    assert set(session.scalars(select(Contact.kept_for).where(Contact.kept_for.is_not(None)))) <= agents
