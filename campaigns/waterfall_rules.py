"""The rules that hold contacts back, in the gate's own order: the only list of them that the waterfall has.

A rule that holds back numbers or contacts is here as the SQL that finds them; one that laws and zones decide
(`waterfall_groups`) is asked about groups of contacts.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of the gate. `found`: SQL of (number or id, until) of what it holds back; empty: asked about groups.

    Who is `listed` is told apart while all are counted: they may be many.

    Of the rest after an abandoned call it gives the moment it begins: how long it is, the packs of each contact say.
    """

    name: str
    words: str
    of: Literal["number", "contact", "group", "listed"]
    found: str = ""


_ALL_USED = """
    SELECT k.id, NULL FROM contacts k JOIN attempts t ON t.contact_id = k.id
    WHERE k.campaign_id = :campaign_id AND k.state = 'open' AND k.next_at <= :now AND k.{}
      AND t.state <> ALL(:never_rang) AND (k.promised_at IS NULL OR t.ordered_at > k.promised_at)
    GROUP BY k.id HAVING count(*) >= :max_attempts
"""
RULES = (
    Rule(
        "promised", "promised callbacks, which an agentless campaign never calls", "contact",
        "SELECT id, NULL FROM due WHERE :agentless AND due_date IS NOT NULL",
    ),
    Rule(
        "kept", "callbacks that are an agent's own for now", "contact",
        "SELECT id, kept_until FROM due WHERE due_date IS NOT NULL AND kept_until > :now",
    ),
    Rule(
        "number_open", "their number is in a call of another contact", "number",
        "SELECT number, NULL FROM attempts WHERE ended_at IS NULL",
    ),
    Rule("do_not_call", "on the do-not-call list, or forgotten on request", "listed"),
    Rule(
        "attempts", "all attempts used up", "contact",
        # Who was tried so often is found by what the gate keeps of it, in an index; a promise begins the count anew.
        " UNION ALL ".join(map(_ALL_USED.format, ("due_date IS NULL AND k.tried >= :tried", "due_date IS NOT NULL"))),
    ),
    Rule("hours", "outside the hours", "group"),
    Rule(
        "rest", "resting after an abandoned call", "number",
        """SELECT number, max(ended_at) FROM attempts WHERE state = 'abandoned' AND ordered_at > :abandoned_since
           GROUP BY number""",
    ),
    Rule(
        "refusal", "left in peace after they said no", "contact",
        "SELECT * FROM unnest(CAST(:refused AS bigint[]), CAST(:refused_until AS timestamptz[]))",
    ),
    Rule(
        "law_caps", "called as often as a rule pack allows", "contact",
        "SELECT * FROM unnest(CAST(:law_capped AS bigint[]), CAST(:law_capped_until AS timestamptz[]))",
    ),
    Rule("consent", "not known to have agreed to be called", "group"),
    Rule(
        "number_gap", "called too short a time ago", "number",
        # An order is sent within a day, or never.
        """SELECT a.number, max(coalesce(a.sent_at, a.ordered_at)) + make_interval(secs => :gap)
           FROM campaigns c CROSS JOIN LATERAL (
               SELECT * FROM attempts t WHERE t.campaign_id = c.id AND t.state <> ALL(:never_rang)
                 AND t.ordered_at > CAST(:now AS timestamptz) - make_interval(days => 1, secs => :gap)
                 AND coalesce(t.sent_at, t.ordered_at) > CAST(:now AS timestamptz) - make_interval(secs => :gap)) a
           GROUP BY a.number""",
    ),
    Rule(
        "caps", "called as often as the caps allow", "contact",
        "SELECT * FROM unnest(CAST(:capped AS bigint[]), CAST(:capped_until AS timestamptz[]))",
    ),
    Rule(
        "filter", "not wanted by the campaign's filter for now", "contact",
        """SELECT * FROM unnest(CAST(:unwanted AS bigint[]), CAST(:unwanted_until AS timestamptz[]))
           UNION ALL
           SELECT d.id, CAST(:untried_until AS timestamptz) FROM due d WHERE :untried AND d.due_date IS NULL
             AND NOT EXISTS (SELECT FROM attempts t WHERE t.contact_id = d.id)""",
    ),
)  # fmt: skip
RANK = {rule.name: rank for rank, rule in enumerate(RULES)}
LISTED = RANK["do_not_call"]
