"""A day of the virtual world written down as the processes would: attempts, agents' states, decisions of the pacer.

What the world itself says of the day is the truth to compare with what is read back from the rows.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from psycopg.types.json import Jsonb
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from campaigns.db import Base
from campaigns.models import Agent, Attempt, Campaign, CampaignAgent, Contact, Ledger, PaceDecision
from dialer.calls import CallState
from dialer.pacing import Goals, Happened, Pace, PaceEvent, Pacer, Snapshot, pacer_for
from dialer.simulation import Day, World, run_day
from tests import factories


@dataclass
class Noted:
    """A pacer that keeps what it heard and what it decided."""

    pacer: Pacer
    events: list[PaceEvent] = field(default_factory=list)
    decided: list[tuple[datetime, Snapshot, Pace]] = field(default_factory=list)

    def observe(self, event: PaceEvent) -> None:
        self.events.append(event)
        self.pacer.observe(event)

    def restore(self, events: Iterable[PaceEvent]) -> None:
        self.pacer.restore(events)

    def decide(self, now: datetime, snapshot: Snapshot) -> Pace:
        pace = self.pacer.decide(now, snapshot)
        self.decided.append((now, snapshot, pace))
        return pace


def live(
    session: Session,
    campaign: Campaign,
    world: World,
    *,
    seed: int = 1,
    goals: Goals | None = None,
    first_user: int = 5000,
    memory: Iterable[PaceEvent] = (),
) -> tuple[Day, Noted]:
    """Live through a day in the campaign's mode and write its rows; the caller commits them."""
    session.commit()  # no transaction stands open while the day goes by
    day, noted = _gone_by(campaign.mode, world, seed, goals, tuple(memory))
    end = world.begins + timedelta(seconds=world.seconds)
    agents = _agents(session, campaign, noted, world, end, first_user)
    _attempts(session, campaign, noted, world, agents, end)
    _decisions(session, campaign, noted)
    session.flush()
    return day, noted


@cache
def _gone_by(
    mode: str, world: World, seed: int, goals: Goals | None, memory: tuple[PaceEvent, ...]
) -> tuple[Day, Noted]:
    """The day as the world tells it. A seed is a day: many tests write down the same one, and none changes it."""
    noted = Noted(pacer_for(mode))
    noted.restore(memory)
    return run_day(world, [noted], seed, goals=goals), noted


def _agents(
    session: Session, campaign: Campaign, noted: Noted, world: World, end: datetime, first_user: int
) -> dict[str, int]:
    begins = world.begins
    names = [f"agent {n + 1}" for n in range(world.agents)]
    rows = [
        {"pbx": campaign.pbx, "user_id": str(first_user + n), "name": f"Agent {n + 1}", "state": "out", "since": end}
        for n in range(world.agents)
    ]
    ids = dict(zip(names, session.scalars(insert(Agent).returning(Agent.id), rows), strict=True))
    session.execute(insert(CampaignAgent), [{"campaign_id": campaign.id, "agent_id": one} for one in ids.values()])
    since: dict[str, datetime] = dict.fromkeys(names, begins)
    state: dict[str, str] = dict.fromkeys(names, "parked")
    ledger: list[dict[str, Any]] = []

    def move(name: str, to: str, at: datetime) -> None:
        details = {"from": state[name], "to": to, "seconds": round((at - since[name]).total_seconds(), 3)}
        ours = None if state[name] == "out" else campaign.id
        ledger.append(
            {"at": at, "kind": "agent", "who": "dialer", "campaign_id": ours, "agent_id": ids[name], "details": details}
        )
        state[name], since[name] = to, at

    becomes = {
        Happened.CONNECTED: "talking", Happened.TALK_END: "wrap_up", Happened.READY: "parked", Happened.LOGIN: "parked",
        Happened.LOGOUT: "out",
    }  # fmt: skip
    for event in noted.events:
        if event.agent and event.kind in becomes:
            move(event.agent, becomes[event.kind], event.at)
    for name in names:
        if state[name] != "out":
            move(name, "out", end)
    _copy(session, Ledger, ledger)
    return ids


def _attempts(
    session: Session, campaign: Campaign, noted: Noted, world: World, agents: dict[str, int], end: datetime
) -> None:
    calls: dict[str, dict[str, Any]] = {}
    for event in noted.events:
        if not event.call:
            continue
        row = calls.setdefault(event.call, {})
        match event.kind:
            case Happened.LAUNCHED:
                row |= {"ordered_at": event.at}
            case Happened.ANSWERED:
                row |= {"answered_at": event.at, "ringing_at": row["ordered_at"] + timedelta(seconds=1)}
            case Happened.NO_ANSWER:
                row |= {"state": CallState.NO_ANSWER, "ended_at": event.at}
            case Happened.ABANDONED:
                row |= {"state": CallState.ABANDONED, "ended_at": event.at}
            case Happened.CONNECTED:
                joined = event.at + timedelta(seconds=world.connect)
                row |= {"joined_at": joined, "join_sent_at": event.at, "agent_id": agents[event.agent]}
                row |= {"state": CallState.COMPLETED, "ended_at": end, "over_at": end}
            case Happened.TALK_END:
                row |= {"ended_at": event.at, "over_at": event.at, "left_at": event.at}
    over = {name: row for name, row in calls.items() if "state" in row}  # what still rang at the end is left out
    listed = factories.contact_list(session, campaign)
    contacts = [
        {"campaign_id": campaign.id, "list_id": listed.id, "line": n + 2, "phone": f"+39021{n:07d}", "state": "closed"}
        for n in range(len(over))
    ]
    _copy(session, Contact, contacts)
    ids = session.scalars(select(Contact.id).where(Contact.list_id == listed.id).order_by(Contact.line)).all()
    keys = {key for row in over.values() for key in row}
    _copy(
        session,
        Attempt,
        [
            {
                **dict.fromkeys(keys), "campaign_id": campaign.id, "contact_id": contact_id, "pbx": campaign.pbx,
                "ref": f"lived-{listed.id}-{name}", "number": contact["phone"], "gateway": "4",
                "caller_id": campaign.caller_id, "attempt_no": 1, "fence": 1, "proof": {},
                "rule_pack": campaign.rule_pack, "answer_limit": campaign.answer_limit, "not_after": row["ordered_at"],
                "sent_at": row["ordered_at"], **row,
            }
            for (name, row), contact_id, contact in zip(over.items(), ids, contacts, strict=True)
        ],
    )  # fmt: skip


def _decisions(session: Session, campaign: Campaign, noted: Noted) -> None:
    launched: dict[datetime, int] = {}
    for event in noted.events:
        if event.kind is Happened.LAUNCHED:
            launched[event.at] = launched.get(event.at, 0) + 1
    rows: list[dict[str, Any]] = []
    for at, snapshot, pace in noted.decided:
        last = rows[-1] if rows else None
        if last is not None and pace.calls == 0 == last["calls"] and pace.why == last["why"]:
            last |= {"until_at": at, "ticks": last["ticks"] + 1}
            continue
        limits = {"bound_by": list(pace.limits), "refused": {}, "mode": campaign.mode, "reckoned": dict(pace.reckoned)}
        rows.append(
            {
                "campaign_id": campaign.id, "decided_at": at, "until_at": at, "ticks": 1, "calls": pace.calls,
                "ordered": launched.get(at, 0), "why": pace.why, "snapshot": snapshot.as_json(), "limits": limits,
                "fence": 1,
            }
        )  # fmt: skip
    _copy(session, PaceDecision, rows)


def _copy(session: Session, table: type[Base], rows: list[dict[str, Any]]) -> None:
    """Write rows as a file is loaded, thousands in the time of some hundreds, with the defaults of the model."""
    usual = {
        column.name: column.default.arg(None) if column.default.is_callable else column.default.arg
        for column in table.__table__.columns
        if column.default is not None
    }
    rows = [{**usual, **row} for row in rows]
    names = list(rows[0])
    cursor = session.connection().connection.cursor()
    with cursor.copy(f"COPY {table.__tablename__} ({', '.join(names)}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row([Jsonb(row[name]) if isinstance(row[name], dict) else row[name] for name in names])
