"""Set up on a directory what a campaign needs, and take it back: each thing once, whoever is killed half-way.

The order of a thing: its row is committed (a claim with an end), then somebody looks whether it is there, then the one
request leaves, then the row says what came of it. After a kill the next run finds the row, looks, and goes on. A claim
that is over is never sent on: the clock is looked at as the last act before the first byte.

No transaction is open while the platform is asked.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from campaigns import ledger
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.models import DirectoryChange
from dialer.directory.base import (
    Creates,
    Directory,
    DirectoryNonsense,
    DirectoryRefused,
    DirectoryUnavailable,
    DirectoryUnknown,
    Made,
    Request,
    Step,
)
from dialer.errors import BadInput, NotFound, PbxError, TryAgainLater

OPEN = ("sent", "made", "undoing")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became, or would become, of one thing. `request` is None when nothing is sent."""

    what: str
    end: str  # there, ours, make, made, refused | take back, taken back, gone, by hand, kept
    request: Request | None = None
    remark: str = ""


Tell = Callable[[Outcome], None]


class _ClaimOver(TryAgainLater):
    """We were held up: somebody else may be at it by now, so nothing was sent."""


@dataclass(frozen=True, slots=True)
class _Claim:
    row_id: int
    again: bool  # an earlier run had claimed it, and may have sent the request
    send_before: float  # on our own stopwatch
    made: bool = False  # an earlier run has made it, though the plan did not see it


# Setting up ----------------------------------------------------------------------------------------------


def preview(app: Application, name: str, steps: Sequence[Step], *, existing: bool = False) -> list[Outcome]:
    """Say what `provision` would do with the steps of the directory's plan, request by request. Sends nothing."""
    with app.transaction() as session:
        ours = _open_rows(session, name)
    _may_use(steps[0], ours, existing)
    return [_before(step, ours) for step in steps]


def provision(
    app: Application,
    name: str,
    steps: Sequence[Step],
    *,
    label: str,
    who: str,
    tell: Tell,
    campaign_id: int | None = None,
    existing: bool = False,
) -> list[Outcome]:
    """Make what is missing of the directory's plan, one thing after the other; what is there stays as it is.

    The plan may be some minutes old: each thing is looked for again before it is made. Raises at the first thing
    that cannot be made; planned and run again, it goes on from there. `label` is what `undo` calls it by.
    `existing`: the group may be one that was not made from here.
    """
    directory = app.directory(name)
    with app.transaction() as session:
        ours = _open_rows(session, name)
    _may_use(steps[0], ours, existing)
    done = []
    for step in steps:
        outcome = _before(step, ours)
        if outcome.end == "make":
            outcome = _make(app, directory, step, label=label, campaign_id=campaign_id, who=who)
            if outcome.end == "there" and step.creates is Creates.GROUP and not existing:
                raise _not_made_here(step)  # somebody made it since the plan
        tell(outcome)
        done.append(outcome)
    return done


def _may_use(group: Step, ours: Sequence[DirectoryChange], existing: bool) -> None:
    known = any(row.key == group.key for row in ours)
    if group.there is not None and not known and not existing:
        raise _not_made_here(group)


def _not_made_here(group: Step) -> BadInput:
    return BadInput(
        f"{group.what} is there already and was not made from here: choose another name with --group, or add to it "
        "with --existing (what was not made from here is never taken back)"
    )


def _before(step: Step, ours: Sequence[DirectoryChange]) -> Outcome:
    row = next((row for row in ours if row.key == step.key), None)
    if step.there is not None and row is None:
        return Outcome(step.what, "there")
    if step.there is not None and row is not None and row.state == "made":
        return Outcome(step.what, "ours")
    return Outcome(step.what, "make", step.request, step.remark)


def _make(
    app: Application, directory: Directory, step: Step, *, label: str, campaign_id: int | None, who: str
) -> Outcome:
    claim = _claim(app, directory.name, step, label=label, campaign_id=campaign_id, who=who)
    while claim.made:
        if _still_there(app, directory, step, claim):
            return Outcome(step.what, "ours")  # another run made it since the plan
        claim = _claim(app, directory.name, step, label=label, campaign_id=campaign_id, who=who)
    try:
        made = directory.look(step)
        if made is not None and not claim.again:
            _end(app, claim, "not_ours")
            return Outcome(step.what, "there")
        if made is None:
            made = _sent(app, directory, step, claim)
    except (DirectoryRefused, DirectoryUnavailable, DirectoryNonsense) as exc:
        # Surely nothing was made now; what an earlier run may have sent is still to be looked for.
        _end(app, claim, "sent" if claim.again else "refused", trouble=str(exc))
        raise
    _end(app, claim, "made", made=made, who=who)
    return Outcome(step.what, "made", step.request, step.remark)


def _still_there(app: Application, directory: Directory, step: Step, claim: _Claim) -> bool:
    """Look whether a thing that is written as made is there; written off only when the platform says that it is not."""
    try:
        there = directory.look(step) is not None
    except PbxError:
        _let_go(app, claim)
        raise
    _let_go(app, claim, "" if there else "was not there any more")
    return there


def _sent(app: Application, directory: Directory, step: Step, claim: _Claim) -> Made:
    try:
        return directory.make(step, before_send=_not_after(app, claim))
    except DirectoryUnknown as exc:
        unknown = exc
    try:
        made = directory.look(step)
    except PbxError:
        made = None  # unknown as before: an error of this look says nothing about the request
    if made is None:
        # It may still be on its way: the claim stands until it cannot be any more.
        raise unknown
    return made


# Taking back ---------------------------------------------------------------------------------------------


def undo(app: Application, name: str, label: str, *, who: str, tell: Tell, dry_run: bool = False) -> list[Outcome]:
    """Take back, in reverse, what was made under a label. What cannot be is told, and stays ours."""
    directory = app.directory(name)
    with app.transaction() as session:
        rows = [row for row in _open_rows(session, name) if row.label == label]
        labels = sorted({row.label for row in _open_rows(session, name)})
    if not rows:
        shown = f"what can be taken back: {', '.join(labels)}" if labels else "nothing on it was made from here"
        raise NotFound(f"directory {name} has nothing of {label!r} that was made from here; {shown}")
    done = []
    for row in sorted(rows, key=lambda row: row.id, reverse=True):
        outcome = _would_take_back(directory, row) if dry_run else _take_back(app, directory, row, who=who)
        tell(outcome)
        done.append(outcome)
    return done


def _would_take_back(directory: Directory, row: DirectoryChange) -> Outcome:
    step, made = _step(row), _made(row)
    made = made or directory.look(step)
    if made is None:
        return Outcome(row.what, "gone")
    request = directory.way_back(step, made)
    return Outcome(row.what, "take back" if request is not None else "by hand", request)


def _take_back(app: Application, directory: Directory, row: DirectoryChange, *, who: str) -> Outcome:
    step = _step(row)
    claim = _claim_back(app, directory.name, row.id)
    try:
        made = _made(row) or directory.look(step)
        gone = made is None or not _taken(app, directory, step, made, claim)
    except DirectoryRefused as exc:
        _end(app, claim, "made", trouble=str(exc))
        return Outcome(row.what, "kept", remark=exc.why)
    except (DirectoryUnavailable, DirectoryNonsense) as exc:
        _end(app, claim, "made" if _made(row) else "sent", trouble=str(exc))
        raise
    _end(app, claim, "undone", who=who)
    return Outcome(row.what, "gone" if gone else "taken back")


def _taken(app: Application, directory: Directory, step: Step, made: Made, claim: _Claim) -> bool:
    try:
        return directory.take_back(step, made, before_send=_not_after(app, claim))
    except DirectoryUnknown as exc:
        unknown = exc
    try:
        gone = directory.look(step) is None
    except PbxError:
        gone = False
    if not gone:
        raise unknown
    return True


# The record ----------------------------------------------------------------------------------------------


def changes(session: Session, name: str, label: str = "") -> list[DirectoryChange]:
    """Return what was set up on a directory, oldest first."""
    query = select(DirectoryChange).where(DirectoryChange.directory == name).order_by(DirectoryChange.id)
    return list(session.scalars(query.where(DirectoryChange.label == label) if label else query))


def _open_rows(session: Session, name: str) -> list[DirectoryChange]:
    query = select(DirectoryChange).where(DirectoryChange.directory == name, DirectoryChange.state.in_(OPEN))
    return list(session.scalars(query.order_by(DirectoryChange.id)))


def _claim(app: Application, name: str, step: Step, *, label: str, campaign_id: int | None, who: str) -> _Claim:
    life, send_within = _times(app, name)
    began = app.clock.monotonic()
    query = select(DirectoryChange).where(
        DirectoryChange.directory == name, DirectoryChange.key == step.key, DirectoryChange.state.in_(OPEN)
    )
    try:
        with app.transaction() as session:
            now = database_now(session)
            row = session.scalars(query.with_for_update()).one_or_none()
            if row is not None:
                _not_claimed(row, now)
            if row is not None and row.state == "undoing":
                finish = f"`dialer directory undo {name} {row.label}`"
                raise BadInput(f"{row.what} is being taken back: finish that first, {finish}")
            again = row is not None and row.state == "sent"
            if row is not None and row.state == "made":
                # Another run made it since the plan, or somebody removed it on the platform's own page: a look tells.
                row.claimed_until = now + life
                return _Claim(row.id, False, began + send_within, made=True)
            if row is None:
                row = DirectoryChange(directory=name, key=step.key, who=who, written_at=now)
                session.add(row)
            if not again or step.there is None:
                # What is there was made by the request that is written already, and is taken back by what that says.
                row.label, row.campaign_id, row.creates, row.what = label, campaign_id, step.creates.value, step.what
                row.method, row.path, row.body = step.request.method, step.request.path, dict(step.request.body)
            row.state, row.claimed_until = "sent", now + life
            session.flush()
            return _Claim(row.id, again, began + send_within)
    except IntegrityError:
        pass
    raise TryAgainLater(f"{step.what}: another run is at work on it just now; look again in a moment")


def _claim_back(app: Application, name: str, row_id: int) -> _Claim:
    life, send_within = _times(app, name)
    began = app.clock.monotonic()
    with app.transaction() as session:
        now = database_now(session)
        row = session.get_one(DirectoryChange, row_id, with_for_update=True, populate_existing=True)
        _not_claimed(row, now)
        if row.state not in OPEN:
            raise TryAgainLater(f"{row.what}: another run has taken it back just now")
        row.state, row.claimed_until = "undoing", now + life
    return _Claim(row_id, True, began + send_within)


def _not_claimed(row: DirectoryChange, now: datetime) -> None:
    if row.claimed_until is not None and row.claimed_until > now:
        left = max(1, round((row.claimed_until - now).total_seconds()))
        raise TryAgainLater(
            f"{row.what}: another run is at work on it, or was stopped in the middle of it and its request may still "
            f"be on the way: try again in {left} s"
        )


def _times(app: Application, name: str) -> tuple[timedelta, float]:
    """Return how long a claim lasts, and within how many seconds its request must leave, to be over with it."""
    section = app.settings.directory[name]
    life = 4 * section.timeout + 10 / section.requests_per_second
    return timedelta(seconds=life), life - section.timeout


def _not_after(app: Application, claim: _Claim) -> Callable[[], None]:
    def look() -> None:
        if app.clock.monotonic() > claim.send_before:
            raise _ClaimOver("this run was held up for too long, so nothing was sent: run it again")

    return look


def _end(
    app: Application, claim: _Claim, state: str, *, made: Made | None = None, who: str = "", trouble: str = ""
) -> None:
    with app.transaction() as session:
        now = database_now(session)
        row = session.get_one(DirectoryChange, claim.row_id, with_for_update=True, populate_existing=True)
        row.state, row.claimed_until, row.trouble = state, None, trouble[:500]
        row.ended_at = None if state == "sent" else now
        if made is not None:
            row.made_id, row.made_path, row.record = made.id, made.path, dict(made.record)
        if state in ("made", "undone") and who:
            ledger.record(
                session,
                at=now,
                kind="directory",
                who=who,
                campaign_id=row.campaign_id,
                directory=row.directory,
                what=row.what,
                done=state,
                method=row.method,
                path=row.path,
            )


def _let_go(app: Application, claim: _Claim, gone: str = "") -> None:
    """Give up the claim on a thing that was made; `gone` says why it is to be made anew, with a row of its own."""
    with app.transaction() as session:
        row = session.get_one(DirectoryChange, claim.row_id, with_for_update=True, populate_existing=True)
        row.claimed_until = None
        if gone and row.state == "made":
            row.state, row.ended_at, row.trouble = "gone", database_now(session), gone


def _step(row: DirectoryChange) -> Step:
    return Step(Creates(row.creates), row.key, row.what, Request(row.method, row.path, row.body))


def _made(row: DirectoryChange) -> Made | None:
    return Made(row.made_id, row.made_path, row.record) if row.made_path else None
