"""Each campaign in one row: what it is, what is left to call, and what the last 24 hours brought."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from campaigns import cut_off, detected
from dialer.abandonment import Figures, rate
from dialer.dispositions import MACHINES, NO_PERSON

WINDOW = timedelta(hours=24)  # the window in which the default rule pack counts abandonment


@dataclass(frozen=True, slots=True)
class CampaignRow:
    """One campaign; counts of attempts are of the last 24 hours, and of closed calls except `calls`."""

    name: str
    state: str
    state_at: datetime
    mode: str
    pbx: str
    country: str
    time_zone: str | None
    hours: str
    caller_id: str
    max_attempts: int
    number_gap: float
    retry_delay: float
    wrap_up_limit: float
    answer_limit: float
    max_abandonment: float
    max_lines: int | None
    rule_pack: str
    agents_spec: str
    number_caps: str
    contact_caps: str
    created_at: datetime
    started_at: datetime | None
    agents: int
    agents_at_work: int
    contacts: int
    contacts_left: int
    in_progress: int
    calls: int
    joined: int
    abandoned: int
    hung_up: int

    @property
    def abandonment(self) -> float:
        """D / (D + L)."""
        return rate(self.abandoned, self.joined)

    def as_json(self) -> dict[str, Any]:
        """Return the row for a program."""
        return {**asdict(self), "abandonment": round(self.abandonment, 6), "window_hours": 24}


# A call joined after the limit is an abandoned one, a machine no person met: as `dialer.abandonment.figures` has it.
_QUERY = text(
    """
    SELECT c.name, c.state, c.state_at, c.mode, c.pbx, c.country, c.time_zone, c.hours, c.caller_id, c.max_attempts,
           c.number_gap, c.retry_delay, c.wrap_up_limit, c.answer_limit, c.max_abandonment, c.max_lines, c.rule_pack,
           c.agents_spec, c.number_caps, c.contact_caps, c.created_at, c.started_at,
           who.agents, who.agents_at_work, whom.contacts, whom.contacts_left,
           tries.in_progress, tries.calls, tries.joined, tries.abandoned, tries.hung_up,
           tries.detected, c.people_among_machines
    FROM campaigns c
    CROSS JOIN LATERAL (
        SELECT count(*) AS agents, count(*) FILTER (WHERE a.state <> 'out' AND {cut_off} IS NOT TRUE) AS agents_at_work
        FROM campaign_agents ca JOIN agents a ON a.id = ca.agent_id LEFT JOIN pbx_status s ON s.pbx = a.pbx
        WHERE ca.campaign_id = c.id) who
    CROSS JOIN LATERAL (
        SELECT count(*) AS contacts, count(*) FILTER (WHERE k.state <> 'closed') AS contacts_left
        FROM contacts k JOIN lists l ON l.id = k.list_id
        WHERE k.campaign_id = c.id AND l.undone_at IS NULL) whom
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE t.ended_at IS NULL) AS in_progress,
               count(*) FILTER (WHERE t.sent_at >= :since) AS calls,
               count(*) FILTER (WHERE t.answered_at >= :since AND t.state = 'completed' AND NOT t.late
                                AND t.meaning <> ALL(:no_person)) AS joined,
               count(*) FILTER (WHERE t.answered_at >= :since
                                AND (t.state = 'abandoned' OR t.state = 'completed' AND t.late
                                     AND t.meaning <> ALL(:machines))) AS abandoned,
               count(*) FILTER (WHERE t.detected AND t.mode <> 'agentless'
                                AND coalesce(t.answered_at, t.ended_at) >= :since) AS detected,
               count(*) FILTER (WHERE t.answered_at >= :since AND t.state = 'hung_up'
                                AND t.mode <> 'agentless') AS hung_up
        FROM (SELECT a.*, coalesce(joined_at - answered_at > make_interval(secs => answer_limit), false) AS late,
                     coalesce(d.meaning, '') AS meaning, {detected} AS detected
              FROM attempts a LEFT JOIN dispositions d ON d.id = a.disposition_id
              WHERE a.campaign_id = c.id AND (ordered_at >= :since OR ended_at IS NULL)) t) tries
    WHERE (CAST(:name AS text) IS NULL OR c.name = :name) AND (:archived OR c.state <> 'archived')
    ORDER BY array_position(ARRAY['running','paused','draft','stopped','archived'], c.state), lower(c.name)
    """.format(cut_off=cut_off.IS.format(campaign="c.id"), detected=detected.IS)  # noqa: S608 (text of our own)
)


def campaign_rows(
    session: Session, now: datetime, *, name: str | None = None, archived: bool = True
) -> list[CampaignRow]:
    """Return every campaign, running ones first; or the one called exactly `name`."""
    given = {
        "since": now - WINDOW, "name": name, "archived": archived,
        "machines": list(MACHINES), "no_person": list(NO_PERSON),
    }  # fmt: skip
    rows = []
    for row in map(dict, session.execute(_QUERY, given).mappings()):
        ended = Figures(abandoned=row["abandoned"], detected=row.pop("detected"))
        row["abandoned"] = ended.with_mistakes(row.pop("people_among_machines")).abandoned
        rows.append(CampaignRow(**row))
    return rows
