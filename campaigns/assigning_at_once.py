"""Give an agent to a customer in the very commit that keeps the event of their answer.

Between an answer and its join stand two things that must be on disk first: the event (I15), and the claim of agent and
command (I2, I9). Here both are one commit and one round trip, for the plain case: a call nothing else is known of, and
an agent who waits. Whatever is not plain is left alone, and the call's ordinary look (`reactions`) sees to it as ever;
of the plain case, too, it brings the call itself up to date, and finds agent and command where it would have put them.

The statement takes the locks of an ordinary look, in the same order, and waits for none of them: the log must not wait.
What it writes is what `assigning` and `agents` write; `tests/campaigns/test_assigning_at_once.py` compares the rows.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    CTE,
    BindParameter,
    ColumnElement,
    Float,
    Numeric,
    ScalarSelect,
    Select,
    Text,
    bindparam,
    cast,
    exists,
    func,
    literal_column,
    null,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.engine import make_url
from sqlalchemy.orm import aliased
from sqlalchemy.sql.dml import ReturningInsert, ReturningUpdate
from sqlalchemy.types import TypeEngine

from campaigns import agents
from campaigns.assigning import longest_parked
from campaigns.db import ROW_LOCK_OR_SKIP
from campaigns.event_log import RawEvent
from campaigns.models import Agent, Assignment, Attempt, Command, Ledger, LoggedEvent
from dialer.calls import LIVE_ANSWERED, CallState, Signal, advance
from dialer.modes import AGENTLESS

_Now = ScalarSelect[Any]
_SECOND: ColumnElement[Any] = literal_column("interval '1 second'")

# Whoever is told to hold now was not held before: who was has been looked at, and waits for a reason.
_HELD = CallState.HELD
_BEFORE = [str(state) for state in CallState if state is not _HELD and advance(state, Signal.HELD) is _HELD]
_RETURNED = (Command.id, Command.ref, Command.kind, Command.about, Command.pbx, Command.arguments, Command.sent_at)


def question(event: RawEvent, waited: float) -> tuple[str, Mapping[str, Any]] | None:
    """What to ask in the transaction that keeps an event, `waited` seconds after it came; None for most events."""
    leg, ref = event.keys.joinable, event.keys.ref
    if leg is None or ref is None or "\x00" in ref:
        return None
    told = {"ref": ref, "pbx": event.pbx, "call_id": leg.call_id, "leg_id": leg.leg_id, "waited": waited}
    return _SQL, {**_CONSTANTS, **told}


def rehearsal() -> tuple[str, Mapping[str, Any]]:
    """The same question about nobody."""
    return _SQL, {**_CONSTANTS, "ref": "", "pbx": "", "call_id": "", "leg_id": "", "waited": 0.0}


def command_of(row: Sequence[Any]) -> Command:
    """The join that was claimed, ready to be sent. It belongs to no session."""
    given = dict(zip((column.key for column in _RETURNED), row, strict=True))
    return Command(**given, state="sending")


def _plain(now: _Now) -> Select[int, int, str, str]:
    """Lock the attempt, if it is one that asks for nothing but the longest idle agent."""
    ref, pbx, waited = _told("ref"), _told("pbx"), _told("waited", Float)
    own, other = Attempt, aliased(Attempt)
    limit = func.coalesce(own.answered_at, now - waited * _SECOND) + own.answer_limit * _SECOND
    had_one = exists().where(Assignment.attempt_id == own.id)
    # This event is one of them. With another there is more to understand than an answer.
    news = select(func.count()).where(
        LoggedEvent.pbx == pbx, LoggedEvent.ref == ref, LoggedEvent.handled_at.is_(None), ~LoggedEvent.can_wait
    )
    # Who has waited longer comes first.
    before = exists().where(
        other.state.in_(_literal("waiting", [str(state) for state in LIVE_ANSWERED])),
        other.campaign_id == own.campaign_id,
        other.pbx == own.pbx,
        other.message_at.is_(None),
        other.left_at.is_(None),
        other.id != own.id,
        ~exists().where(Assignment.attempt_id == other.id, Assignment.ended_at.is_(None)),
    )
    unset = (own.message_at, own.left_at, own.given_up_at, own.over_at, own.leg_outcome, own.final_outcome)
    return (
        select(own.id, own.campaign_id, own.pbx, own.ref)
        .where(
            own.ref == ref,
            own.pbx == pbx,
            own.state.in_(_literal("before", _BEFORE)),
            ~own.agent_first,
            own.mode != AGENTLESS,
        )
        .where(own.reserved_agent_id.is_(None), *(column.is_(None) for column in unset))
        .where(func.coalesce(own.pbx_call_id, _told("call_id")) == _told("call_id"))
        .where(now < limit, ~had_one, news.scalar_subquery() == 1, ~before)
        .with_for_update(**ROW_LOCK_OR_SKIP, of=own)
    )


def _statement() -> Select[Any]:
    moment = select(func.clock_timestamp().label("now")).cte("moment")
    now = select(moment.c.now).scalar_subquery()
    attempt = _plain(now).cte("attempt")
    chosen = (
        longest_parked(attempt.c.id, attempt.c.campaign_id, attempt.c.pbx)
        .where(Agent.reserved_for == "")
        .add_columns(attempt.c.id.label("attempt_id"), attempt.c.campaign_id.label("attempt_campaign_id"))
        .cte("chosen")
    )
    columns = ["attempt_id", "agent_id", "leg_id", "assigned_at", "agent_free_at", "result"]
    given = select(chosen.c.attempt_id, chosen.c.id, chosen.c.leg_id, now, chosen.c.since, _t(""))
    made = insert(Assignment).from_select(columns, given).returning(Assignment.id).cte("made")
    moved = _moved(chosen, now).cte("moved")
    noted = _noted(chosen, now).cte("noted")
    command = _command(attempt, chosen, made, now).cte("command")
    sent = update(Attempt).where(Attempt.id == chosen.c.attempt_id).values(join_sent_at=now).returning(Attempt.id)
    return select(*(command.c[column.key] for column in _RETURNED)).add_cte(moved, noted, sent.cte("sent"))


def _moved(chosen: CTE, now: _Now) -> ReturningUpdate[Any]:
    """The agent's row, as `agents.move` would leave it."""
    return update(Agent).where(Agent.id == chosen.c.id).values(**agents.fields("assigned", now=now)).returning(Agent.id)


def _noted(chosen: CTE, now: _Now) -> ReturningInsert[Any]:
    """The ledger's two rows: the agent's, and that the attempt has one."""
    seconds = func.round(cast(func.extract("epoch", now - chosen.c.since), Numeric), 3)
    change = func.jsonb_build_object(_t("from"), chosen.c.state, _t("to"), _t("assigned"), _t("seconds"), seconds)
    nothing = cast(_t("{}"), JSONB)
    who, why = _t("dialer"), _t("")
    agent = select(now, _t("agent"), who, chosen.c.campaign_id, null(), chosen.c.id, why, change)
    assigned = select(
        now, _t("assigned"), who, chosen.c.attempt_campaign_id, chosen.c.attempt_id, chosen.c.id, why, nothing
    )
    columns = ["at", "kind", "who", "campaign_id", "attempt_id", "agent_id", "why", "details"]
    return insert(Ledger).from_select(columns, union_all(agent, assigned)).returning(Ledger.id)


def _command(attempt: CTE, chosen: CTE, made: CTE, now: _Now) -> ReturningInsert[Any]:
    """The join, claimed."""
    customer = _leg(_told("call_id"), _told("leg_id"))
    agent = _leg(chosen.c.pbx_call_id, chosen.c.first_leg_id)
    arguments = func.jsonb_build_object(
        _t("customer"), customer, _t("agent"), agent, _t("user_id"), chosen.c.user_id, type_=JSONB
    )
    columns = ["ref", "kind", "about", "pbx", "arguments", "state", "due_at", "sent_at", "answer"]
    given = select(
        attempt.c.ref, _t("join"), made.c.id, attempt.c.pbx, arguments, _t("sending"), now, now, _t("")
    ).select_from(attempt.join(chosen, true()).join(made, true()))
    return insert(Command).from_select(columns, given).returning(*_RETURNED)


def _leg(call_id: ColumnElement[Any], leg_id: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.jsonb_build_object(_t("call_id"), call_id, _t("leg_id"), leg_id)


def _told(name: str, kind: type[TypeEngine[Any]] = Text) -> ColumnElement[Any]:
    """What an event tells, and `question` gives."""
    return bindparam(name, type_=kind, required=False)


def _t(text: str) -> ColumnElement[Any]:
    """A word of ours, as it stands in the statement."""
    return cast(_literal("word", text), Text)


def _literal(name: str, value: object) -> BindParameter[Any]:
    """Written into the statement: PostgreSQL uses an index over certain states only where it reads which."""
    return bindparam(name, value, unique=True, literal_execute=True, expanding=isinstance(value, list))


def _written() -> tuple[str, dict[str, Any]]:
    """The statement as psycopg takes it, and what in it is the same for every event."""
    dialect = make_url("postgresql+psycopg://").get_dialect()()
    compiled = _statement().compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
    asked = ("ref", "pbx", "call_id", "leg_id", "waited")
    # psycopg writes an enumeration by its members' names.
    values = {name: str(value) if isinstance(value, str) else value for name, value in compiled.params.items()}
    return str(compiled), {name: value for name, value in values.items() if name not in asked}


_SQL, _CONSTANTS = _written()  # once: building it takes longer than asking it
