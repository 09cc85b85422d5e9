"""What held for the pace and when: its mode, its goals, its limits, as the stored decisions tell. Read-only."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from campaigns.models import Campaign
from campaigns.pace_explain import HELD
from campaigns.pace_records import seconds_after
from dialer.pacing import Goals, Pace, PaceEvent, Pacer, Snapshot, Staleness, pacer_for
from dialer.simulation.world import Curve

_DECISIONS = text(
    """
    SELECT pbx, decided_at, until_at, ticks, limits ->> 'mode' AS mode,
           CAST(snapshot ->> 'ceiling' AS float) AS ceiling,
           snapshot -> 'goals' AS goals, CAST(snapshot ->> 'max_lines' AS int) AS max_lines,
           coalesce(limits -> 'bound_by', '[]'::jsonb) ?| ARRAY['contacts', 'pbx'] AS shut,
           CAST(snapshot ->> 'free_lines' AS int) + coalesce(CAST(snapshot ->> 'waiting' AS int), 0)
             + coalesce(jsonb_array_length(snapshot -> 'ringing'), 0)
             + coalesce(jsonb_array_length(snapshot -> 'talking'), 0) AS lines
    FROM pace_decisions WHERE campaign_id = :campaign_id AND decided_at >= :since AND decided_at < :until
    ORDER BY decided_at, id
    """
)


@dataclass(frozen=True, slots=True)
class Rules:
    """What held for the pace from a moment on."""

    since: datetime
    mode: str
    ceiling: float
    goals: Goals
    max_lines: int | None
    shared_lines: int | None = None  # the same as it was, where several PBXs share it and a snapshot has what is left
    several: bool = False  # PBXs, some of which cannot end a ringing call


@dataclass(frozen=True, slots=True)
class Decided:
    """What the decisions of a stretch of time tell of its conditions."""

    rules: list[Rules]
    dials: Curve | None  # whether anything could be dialled, by seconds from the beginning
    lines: int | None  # of the PBX, for this campaign
    tick: float | None  # seconds between two decisions
    rows: int = 0


class InForce:
    """A pacer that keeps the rules of each moment, as they were changed while the campaign ran."""

    def __init__(self, rules: Sequence[Rules], staleness: Staleness | None = None) -> None:
        self._rules = rules
        self._since = [rule.since for rule in rules]
        self._pacers: dict[str, Pacer] = {rule.mode: pacer_for(rule.mode, staleness=staleness) for rule in rules}

    def observe(self, event: PaceEvent) -> None:
        """Let the pacers of all modes learn from it."""
        for pacer in self._pacers.values():
            pacer.observe(event)

    def restore(self, events: Iterable[PaceEvent]) -> None:
        """Let them learn anew."""
        kept = list(events)
        for pacer in self._pacers.values():
            pacer.restore(kept)

    def decide(self, now: datetime, snapshot: Snapshot) -> Pace:
        """Decide by the rules of this moment."""
        rule = self._rules[max(0, bisect_right(self._since, now) - 1)]
        goals, max_lines = rule.goals, rule.max_lines
        if rule.several and snapshot.goals.min_ring is None:
            goals = replace(goals, min_ring=None)
        if max_lines is not None and rule.shared_lines is not None and snapshot.max_lines is not None:
            max_lines = max(0, max_lines - (rule.shared_lines - snapshot.max_lines))
        budget = replace(snapshot.budget, ceiling=rule.ceiling)
        seen = replace(snapshot, budget=budget, goals=goals, max_lines=max_lines)
        return self._pacers[rule.mode].decide(now, seen)


def decided(session: Session, campaign: Campaign, since: datetime, until: datetime) -> Decided:
    """Read what the decisions tell: the rules in force, when anything could be dialled, lines and ticks."""
    given = {"campaign_id": campaign.id, "since": since, "until": until}
    rows = session.execute(_DECISIONS, given).all()
    now_in_force = Rules(since, campaign.mode, campaign.max_abandonment, Goals(), campaign.max_lines)
    if not rows:
        return Decided([now_in_force], None, campaign.max_lines, None)
    by_pbx: dict[str, list[Any]] = {}
    for row in rows:
        by_pbx.setdefault(row.pbx, []).append(row)
    # Of several PBXs each has decisions of its own: the rules are told by the one on which most was decided.
    most = max(by_pbx.values(), key=lambda told: sum(row.ticks for row in told if not row.shut))
    rules: list[Rules] = []
    for row in most:
        rule = Rules(
            row.decided_at if rules else since,
            row.mode or campaign.mode,
            campaign.max_abandonment if row.ceiling is None else row.ceiling,
            _goals(row.goals),
            row.max_lines,
        )
        if len(by_pbx) > 1:  # a look at one of them shows what the calls on the others leave of the limit
            shared = campaign.max_lines if row.max_lines is not None else None
            rule = replace(rule, max_lines=shared, shared_lines=shared, several=True)
        if not rules or replace(rule, since=rules[-1].since) != rules[-1]:
            rules.append(rule)
    ticked = sum(row.ticks - 1 for row in rows)
    lasted = sum((row.until_at - row.decided_at).total_seconds() for row in rows if row.ticks > 1)
    return Decided(
        rules,
        _any_dialling([_dialling(told, since) for told in by_pbx.values()]),
        _lines(list(by_pbx.values())),
        lasted / ticked if ticked and lasted else None,
        len(rows),
    )


def _lines(by_pbx: Sequence[Sequence[Any]]) -> int | None:
    """The lines of all PBXs together; of several, of those that were called on."""
    found = []
    for told in by_pbx:
        lines = [row.lines for row in told if row.lines is not None]
        if lines and (len(by_pbx) == 1 or not all(row.shut for row in told)):
            found.append(round(median(lines)))
    return sum(found) if found else None


def _any_dialling(curves: Sequence[Curve]) -> Curve:
    """Whether something could be dialled on any of the PBXs."""
    if len(curves) == 1:
        return curves[0]
    points: list[tuple[float, float]] = []
    for at in sorted({at for curve in curves for at, _ in curve.points}):
        value = max(curve(at) for curve in curves)
        if not points or points[-1][1] != value:
            points.append((at, value))
    return Curve(tuple(points))


def _goals(stored: Mapping[str, Any] | None) -> Goals:
    known = {each.name for each in fields(Goals)}
    return Goals(**{name: value for name, value in (stored or {}).items() if name in known})


def _dialling(rows: Sequence[Any], since: datetime) -> Curve:
    """Whether something could be dialled: a decision is made at every tick while a campaign runs."""
    points: list[tuple[float, float]] = [(0.0, 0.0)]

    def point(at: datetime, value: float) -> None:
        if points[-1][1] != value:
            points.append((seconds_after(at, since), value))

    for row, following in zip(rows, [*rows[1:], None], strict=True):
        point(row.decided_at, 0.0 if row.shut else 1.0)
        last = max(row.decided_at, row.until_at)
        if following is None or following.decided_at - last > HELD:
            point(last + timedelta(seconds=1), 0.0)
    return Curve(tuple(points))


def spent_before(session: Session, campaign: Campaign, at: datetime) -> tuple[int, int, int]:
    """D, L and m of the window as the decision before `at` saw them; nothing when there is none of about that time."""
    row = session.execute(
        text(
            "SELECT CAST(snapshot ->> 'abandoned' AS int) AS lost, CAST(snapshot ->> 'met' AS int) AS met, "
            "CAST(snapshot ->> 'machines' AS int) AS machines "
            "FROM pace_decisions WHERE campaign_id = :campaign_id AND decided_at <= :at "
            "AND decided_at > CAST(:at AS timestamptz) - interval '1 day' ORDER BY decided_at DESC LIMIT 1"
        ),
        {"campaign_id": campaign.id, "at": at},
    ).one_or_none()
    return (row.lost or 0, row.met or 0, row.machines or 0) if row is not None else (0, 0, 0)
