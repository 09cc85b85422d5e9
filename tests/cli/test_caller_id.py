"""`dialer caller-id` through the front door."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns.models import Ledger
from tests import factories
from tests.cli.conftest import Dialer

ROME, MILAN = "+390612345678", "+390287654321"


def test_a_pool_is_filled_looked_at_rested_and_emptied_down_to_one(dialer: Dialer, session: Session) -> None:
    dialer.ok("campaign", "create", "spring", "--caller-id", ROME)
    told = dialer.json("caller-id", "add", "spring", "02 8765 4321", "--daily-cap", "80", "--rest", "2d")
    assert (told["added"], told["caller_ids"], told["warnings"]) == ([MILAN], [MILAN, ROME], [])
    rows = {row["number"]: row for row in dialer.json("caller-id", "list", "spring")["caller_ids"]}
    assert (rows[MILAN]["daily_cap"], rows[MILAN]["rest"], rows[MILAN]["campaigns"]) == (80, 172_800.0, ["spring"])
    assert (rows[ROME]["daily_cap"], rows[ROME]["calls"], rows[ROME]["share"]) == (None, 0, None)
    assert MILAN in dialer.ok("campaign", "show", "spring")

    dialer.ok("caller-id", "rest", MILAN, "--for", "8h", "--why", "marked as spam")
    shown = dialer.ok("caller-id", "show", MILAN)
    assert "resting to" in shown
    assert "marked as spam" in shown
    assert "resting to" in dialer.ok("caller-id", "list")
    assert dialer.json("caller-id", "wake", MILAN) == {"number": MILAN, "woken": True}
    assert "was not resting; a daily cap holds all the same" in dialer.ok("caller-id", "wake", "0039 02 8765 4321")

    assert dialer("caller-id", "set", MILAN, "--daily-cap", "none").exit_code == 2  # looser, without a reason
    assert (
        dialer.json("caller-id", "set", MILAN, "--daily-cap", "none", "--why", "it is answered well")["daily_cap"]
        is None
    )
    assert dialer("caller-id", "set", MILAN).exit_code == 2
    assert dialer.json("caller-id", "remove", "spring", ROME)["caller_ids"] == [MILAN]
    only = dialer("caller-id", "remove", "spring", MILAN)
    assert (only.exit_code, "only caller id" in only.stderr) == (2, True)
    assert dialer("caller-id", "show", "+390699999999").exit_code == 4
    verbs = [
        row.details["verb"] for row in session.scalars(select(Ledger).where(Ledger.kind == "caller_id").order_by("id"))
    ]
    assert verbs == ["add", "rest", "wake", "set", "remove"]


def test_a_number_the_law_bars_takes_none_of_them(dialer: Dialer) -> None:
    refused = dialer("campaign", "create", "printemps", "--caller-id", "+33612345678", "--rule-pack", "fr-2026")
    assert (refused.exit_code, "fr-2026" in refused.stderr) == (5, True)
    dialer.ok("campaign", "create", "printemps", "--caller-id", "+33162345678", "--rule-pack", "fr-2026")
    refused = dialer("caller-id", "add", "printemps", "+33270123456", "+33712345678")
    assert refused.exit_code == 5
    rows = dialer.json("caller-id", "list", "printemps")["caller_ids"]
    assert [row["number"] for row in rows] == ["+33162345678"]
    told = dialer.json("caller-id", "add", "printemps", "+33142345678")["warnings"]
    assert ["ranges asked for" in one for one in told] == [True]


def test_the_report_counts_each_number_with_the_range_chance_leaves(dialer: Dialer, session: Session) -> None:
    of = factories.campaign(session, name="spring", caller_id=ROME)
    for state in ("completed", "no_answer", "no_answer", "expired"):
        answered = {"answered_at": factories.NOW} if state == "completed" else {}
        factories.attempt(session, of, state=state, **answered)
    session.commit()
    made = dialer.json("report", "caller-ids", "--campaign", "spring", "--from", "2026-03-02", "--to", "2026-03-03")
    (row,) = made["rows"]
    assert (row["caller_id"], row["calls"], row["answered"]) == (ROME, 3, 1)
    assert row["least"] < 1 / 3 < row["most"]
    assert "nothing happened" in dialer("report", "caller-ids", "--from", "2026-04-01", "--to", "2026-04-02").stderr
