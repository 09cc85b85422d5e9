"""The two statements of the waterfall: who stands where, and when the first consent of the others holds."""

from campaigns.waterfall_rules import RANK, RULES

_NEXT = "coalesce(k.next_number, k.phone)"  # of a contact: the number it is called at next


def _listed(number: str) -> str:
    """Whether a number is on the do-not-call list, or forgotten: one array that the server hashes once."""
    return f"{number} = ANY(CAST(:forbidden AS text[]))"


DUE = """
    due AS NOT MATERIALIZED (
        SELECT k.id, k.phone, k.next_number, coalesce(k.next_number, k.phone) AS number, k.kept_until, k.due_date,
               (CASE WHEN {with_agent} THEN CAST(:rests_with_agent AS float[]) ELSE CAST(:rests AS float[]) END)
                   [1 + {keys[pack]}] AS rest,
               {keys[pack]} AS pack, {keys[head]} AS head, {keys[address]} AS address, {keys[consent]} AS consent
        FROM contacts k WHERE k.campaign_id = :campaign_id AND k.list_id = ANY(:lists)
          AND k.state = 'open' AND k.next_at <= :now AND NOT {passed_over})
"""
# Choosing passes over those never tried of a list at its cap: no rule is asked about them, and they may be a million.
PASSED_OVER = "(k.tried = 0 AND k.due_date IS NULL AND k.list_id = ANY(:full))"
# Whoever is held is counted in both parts, so that the million need not be joined with the few: each join takes as long
# as reading half of them. Who is on the do-not-call list is told apart in the first part, by an array that the server
# hashes; it hashes none in a GROUP BY, and compares each head of a number with all of a hundred there: keys are made
# in a query of their own. A volatile column nobody reads keeps the two apart as OFFSET 0 would, and lets several
# processes share the reading, which OFFSET does not. A text among the keys costs a tenth of the whole: who is not due
# has in `head` why: closed, live, later, or passed over for the list.
COUNTED = """
    WITH {due}, {found}, first AS MATERIALIZED (
        SELECT DISTINCT ON (id) * FROM found ORDER BY id, rank
    ), held AS MATERIALIZED (
        SELECT *, {listed_held} AS listed FROM first)
    SELECT CASE stands WHEN 0 THEN 'not due' ELSE 'due' END AS stands, pack, head, address, consent, 0 AS rank,
           count(*) AS contacts, min(next_at) AS next_at, CAST(NULL AS timestamptz) AS until, min(id) AS example,
           min(consent_at) AS consent_at, stands = 2 AS listed
    FROM (
        SELECT CASE WHEN k.state = 'open' AND k.next_at <= :now AND NOT {passed_over}
                    THEN CASE WHEN {listed} THEN 2 ELSE 1 END
                    ELSE 0 END AS stands,
               CASE WHEN k.state = 'open' AND k.next_at <= :now
                         THEN CASE WHEN {passed_over} THEN 'full ' || k.list_id ELSE {keys[head]} END
                    WHEN k.state = 'open' THEN CASE WHEN k.put_off_until = k.next_at THEN 'later ' || k.put_off_by
                                                    ELSE 'later' END
                    WHEN k.state = 'closed' THEN 'closed ' || k.closed_because ELSE k.state END AS head,
               {keys[pack]} AS pack, {keys[address]} AS address, {keys[consent]} AS consent,
               k.id, k.next_at, {keys[consent_at]} AS consent_at, CASE WHEN k.id < 0 THEN clock_timestamp() END AS apart
        FROM contacts k WHERE k.list_id = ANY(:lists)) AS keyed
    GROUP BY keyed.stands, 2, 3, 4, 5
    UNION ALL
    SELECT 'held', pack, head, address, consent, rank, count(*), NULL, min(until), NULL, NULL, listed
    FROM held GROUP BY 1, 2, 3, 4, 5, 6, listed
""".replace("{listed_held}", _listed("number")).replace("{listed}", _listed(_NEXT))
# When the first consent holds of those that nothing else holds.
_OF_THE_FREE = """
    WITH {due}, {found}
    SELECT {keys[pack]} AS pack, {keys[head]} AS head, {keys[address]} AS address, min(k.consent_at) AS consent_at
    FROM contacts k
    WHERE k.campaign_id = :campaign_id AND k.list_id = ANY(:lists) AND k.state = 'open' AND k.next_at <= :now
      AND NOT {passed_over}
      AND k.consent AND k.consent_at > :now AND NOT {listed}
      AND k.id NOT IN (SELECT id FROM found WHERE rank < {consent})
    GROUP BY 1, 2, 3
"""
_OF_RULE = "SELECT held, {rank} AS rank, CAST(until AS timestamptz) AS until FROM ({found}) AS of_rule (held, until)"


def _of_rules(of: str) -> str:
    rules = [(rank, rule.found) for rank, rule in enumerate(RULES) if rule.of == of]
    return " UNION ALL ".join(_OF_RULE.format(rank=rank, found=found) for rank, found in rules)


# A number is a contact's next one in one of two ways, each looked up by its index: OFFSET 0 leaves no other plan.
_FOUND_BY_RULE = """
    stop AS MATERIALIZED ({stop}), barred AS ({barred}), met AS (
        SELECT s.rank, s.until AS begins, d.* FROM stop s CROSS JOIN LATERAL (
            SELECT * FROM due WHERE due.phone = s.held AND coalesce(due.next_number, due.phone) = due.phone OFFSET 0) d
        UNION ALL
        SELECT s.rank, s.until AS begins, d.* FROM stop s CROSS JOIN LATERAL (
            SELECT * FROM due WHERE due.next_number = s.held AND due.next_number <> due.phone OFFSET 0) d
    ), found AS (
        SELECT id, rank, CASE WHEN rank = {rest} THEN begins + make_interval(secs => rest) ELSE begins END AS until,
               pack, head, address, consent, number
        FROM met WHERE rank <> {rest} OR begins + make_interval(secs => rest) > :now
        UNION ALL
        SELECT d.id, b.rank, b.until, d.pack, d.head, d.address, d.consent, d.number
        FROM barred b JOIN due d ON d.id = b.held)
"""
AGREE = _OF_THE_FREE.replace("{consent}", str(RANK["consent"])).replace("{listed}", f"({_listed(_NEXT)})")
FOUND = _FOUND_BY_RULE.format(stop=_of_rules("number"), barred=_of_rules("contact"), rest=RANK["rest"])
