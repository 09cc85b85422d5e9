"""Each PBX of the campaigns that have several: its part, its health, and what the campaign has at work there."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from campaigns import stored_gateways, unseen_calls
from campaigns.agent_states import FREE


@dataclass(frozen=True, slots=True)
class PbxPart:
    """One PBX of a campaign, now."""

    pbx: str
    role: str
    state: str  # ok, trouble, out of use, back soon, removed
    why: str  # it is not well
    since: datetime | None  # of that
    agents: dict[str, int] = field(default_factory=dict)  # the campaign's, by state, on their phones there
    calls: int = 0  # the campaign's open calls there
    counted: int = 0  # of them, those that count against the campaign's limit of lines
    lines: int = 0
    busy: int = 0
    age: float | None = None  # seconds since it was read
    pace: str = ""  # what was decided for it last

    def as_json(self) -> dict[str, Any]:
        """Return it for a program."""
        return {name: getattr(self, name) for name in self.__slots__}

    @property
    def at_work(self) -> int:
        """The campaign's agents at work there."""
        return sum(number for state, number in self.agents.items() if state != "out")

    def in_words(self, zone: tzinfo = UTC) -> str:
        """Say how it is, in a sentence; its time by the clock of `zone`."""
        since = f" since {self.since.astimezone(zone):%H:%M:%S %Z}" if self.since else ""
        why = f": {self.why}" if self.why else ""
        return f"{_ROLES[self.role]}{self.state}{since}{why}"

    def shortly(self) -> str:
        """Say how it is in the few words of a tile: how busy it is while all is well, and else what is wrong."""
        busy = f"{self.busy} of {self.lines} busy"
        return f"{_ROLES[self.role]}{busy if self.state == 'ok' else self.state}"

    @property
    def calls_in_words(self) -> str:
        """Say how many calls it has, and of those that nobody can see, how many are still taken for lines in use."""
        calls = f"{self.calls} call{'' if self.calls == 1 else 's'}"
        if self.state != "out of use" or not self.calls:
            return calls
        return f"{calls} out of sight, {self.counted} counted as lines in use"

    def in_full(self) -> str:
        """Say everything that matters of it on one line."""
        return f"{self.in_words()}; {self.calls_in_words}, {self.busy} of {self.lines} lines busy"


_ROLES = {"pool": "", "standby": "standby, ", "removed": "taken out, "}
_PARTS = text(
    f"""
    SELECT m.campaign_id, m.pbx, m.role, s.read_at, s.gateways, s.trouble, s.trouble_at, s.out_since, s.back_since,
           s.out_why,
      (SELECT json_object_agg(g.state, g.n) FROM (
         SELECT a.state, count(*) AS n FROM campaign_agents ca JOIN agents a ON a.id = ca.agent_id
         WHERE ca.campaign_id = m.campaign_id AND a.pbx = m.pbx GROUP BY a.state) g) AS agents,
      open.calls, open.counted,
      (SELECT d.why FROM pace_decisions d WHERE d.campaign_id = m.campaign_id AND d.pbx = m.pbx
         AND d.decided_at > CAST(:now AS timestamptz) - interval '1 day'
        ORDER BY d.decided_at DESC, d.id DESC LIMIT 1) AS pace
    FROM campaign_pbxes m LEFT JOIN pbx_status s ON s.pbx = m.pbx
    CROSS JOIN LATERAL (
        SELECT count(*) AS calls, count(*) FILTER (WHERE {unseen_calls.COUNTS}) AS counted FROM attempts t
        WHERE t.campaign_id = m.campaign_id AND t.ended_at IS NULL AND t.pbx = m.pbx) AS open
    WHERE m.campaign_id = ANY(:ids) ORDER BY m.campaign_id, m.role = 'removed', m.position, m.pbx
    """  # noqa: S608 (text of our own)
)


def parts(session: Session, ids: Sequence[int], now: datetime) -> dict[int, list[PbxPart]]:
    """Return the PBXs of each campaign in their order; nothing for those of one PBX."""
    found: dict[int, list[PbxPart]] = {}
    for row in session.execute(_PARTS, {"ids": list(ids), "now": now}):
        state, why, since = _health(row)
        lines, busy = stored_gateways.lines(row.gateways)
        if row.role == "removed" and not row.calls:
            continue  # nothing of it goes on
        found.setdefault(row.campaign_id, []).append(
            PbxPart(
                pbx=row.pbx, role=row.role, state=state, why=why, since=since, agents=_agents(row.agents or {}, state),
                calls=row.calls, counted=row.counted, lines=lines, busy=busy,
                age=round(max(0.0, (now - row.read_at).total_seconds()), 3) if row.read_at else None,
                pace=row.pace or "",
            )
        )  # fmt: skip
    return found


def _agents(by_state: dict[str, int], state: str) -> dict[str, int]:
    """Whoever waits for calls on a PBX that is out of use counts as out (`cut_off`)."""
    if state != "out of use":
        return by_state
    told = {one: number for one, number in by_state.items() if one not in FREE}
    waiting = sum(by_state.values()) - sum(told.values())
    return {**told, "out": told.get("out", 0) + waiting} if waiting else told


def _health(row: Any) -> tuple[str, str, datetime | None]:
    if row.back_since is not None:
        return "back", f"it was out of use ({row.out_why}) and gets calls again when that has lasted", row.back_since
    if row.out_since is not None:
        return "out of use", row.out_why, row.out_since
    if row.trouble and (row.read_at is None or (row.trouble_at is not None and row.trouble_at > row.read_at)):
        return "in trouble", row.trouble, row.trouble_at
    if row.read_at is None:
        return "not read yet", "", None
    return "ok", "", None
