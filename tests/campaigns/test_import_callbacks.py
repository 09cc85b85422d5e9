"""Callbacks of a file for a time at which nobody may be called, and whose they are."""

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from campaigns import import_preview, importing, periods
from campaigns.import_options import ImportOptions
from campaigns.models import Agent, Callback, Campaign, Import
from dialer.errors import BadInput
from tests import factories
from tests.campaigns.importing_kit import NOW, Importer, add_campaign

# The clock of these tests: Monday, 2 March 2026, 10:00 in Rome.
SUNDAY = "2026-03-08"
HEAD = "phoneNumber|dueDate|period\n"


@pytest.fixture
def campaign(session: Session) -> Campaign:
    made = add_campaign(session, hours="mon-fri 09:00-13:00 14:00-20:00", time_zone="Europe/Rome")
    periods.define(session, made.id, "Morning", "09:00", "12:00", who="x", now=NOW)
    periods.define(session, made.id, "Evening", "19:00", "22:00", who="x", now=NOW)
    session.commit()
    return made


@pytest.fixture
def importer(engine: Engine, tmp_path: Path, campaign: Campaign) -> Importer:
    return Importer(engine, tmp_path, campaign.id)


def told(path: str | None) -> list[dict[str, str]]:
    assert path is not None
    with Path(path).open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def callbacks(session: Session) -> list[Callback]:
    return list(session.scalars(select(Callback).order_by(Callback.id).execution_options(populate_existing=True)))


def test_a_callback_nobody_may_keep_is_left_out_with_the_next_time_that_is_allowed(
    importer: Importer, session: Session
) -> None:
    job = importer(f"{HEAD}0612345678|{SUNDAY}|Morning\n0612345679|2026-03-06|Morning\n", kind="callbacks")
    assert (job.accepted, job.rejected) == (1, 1)
    (row,) = told(job.reject_file)
    assert (row["line"], row["column"], row["value"]) == ("2", "dueDate", SUNDAY)
    assert row["reason"] == (
        f"nobody may be called then ({SUNDAY} Morning): Sun 09:00 in Europe/Rome is outside "
        "mon-fri 09:00-13:00 14:00-20:00"
    )
    assert row["remedy"] == (
        "the next that is: 2026-03-09, period Morning (Mon 2026-03-09 09:00 in Europe/Rome); "
        "or import with --outside-hours move, or keep"
    )
    assert [one.due_at for one in callbacks(session)] == [datetime(2026, 3, 6, 8, 0, tzinfo=UTC)]


def test_moved_it_is_promised_for_the_next_time_that_is_allowed_and_the_row_is_told(
    importer: Importer, session: Session
) -> None:
    job = importer(f"{HEAD}0612345678|{SUNDAY}|Morning\n", kind="callbacks", outside_hours="move")
    assert (job.accepted, job.rejected, job.reject_file) == (1, 0, None)
    (made,) = callbacks(session)
    assert (made.due_date.isoformat(), made.period) == ("2026-03-09", "Morning")
    assert made.due_at == datetime(2026, 3, 9, 8, 0, tzinfo=UTC)
    (row,) = told(job.options["remarks_file"])
    assert list(row) == ["line", "column", "value", "reason", "remedy"], "and nothing of the person"
    assert row["remedy"].startswith("moved to the next that is: 2026-03-09, period Morning")
    assert job.options["note"].startswith("1 callback lies outside the hours")
    assert importing.result(job)["remarks_file"] == job.options["remarks_file"]


def test_kept_it_stands_as_it_is_and_the_row_is_told(importer: Importer, session: Session) -> None:
    job = importer(f"{HEAD}0612345678|{SUNDAY}|Morning\n", kind="callbacks", outside_hours="keep")
    (made,) = callbacks(session)
    assert made.due_at == datetime(2026, 3, 8, 8, 0, tzinfo=UTC)
    (row,) = told(job.options["remarks_file"])
    assert "kept as it is, and alarmed" in row["remedy"]
    assert "--outside-hours" not in row["remedy"]


def test_a_period_partly_within_the_hours_is_a_promise_that_can_be_kept(importer: Importer) -> None:
    assert importer(f"{HEAD}0612345678|2026-03-06|Evening\n", kind="callbacks").accepted == 1


def test_today_counts_from_now_on(importer: Importer) -> None:
    importer.now = NOW + timedelta(hours=9, minutes=59, seconds=30)  # 19:59:30: it would ring beyond the end
    job = importer(f"{HEAD}0612345678|2026-03-02|Evening\n", kind="callbacks")
    assert "could still ring outside" in told(job.reject_file)[0]["reason"]


def test_the_clock_and_the_law_are_those_of_the_phone(importer: Importer, engine: Engine, session: Session) -> None:
    campaign = add_campaign(session, "us", country="US", hours="always", rule_pack="us-2026")
    periods.define(session, campaign.id, "Late", "20:00", "21:00", who="x", now=NOW)
    session.commit()
    rows = "phoneNumber|dueDate|period\n2125550123|2026-03-04|Late\n3055550123|2026-03-04|Late\n"
    job = importer(rows, kind="callbacks", campaign_id=campaign.id)
    assert (job.accepted, job.rejected) == (1, 1), "New York may be called to 21, Florida to 20"
    (row,) = told(job.reject_file)
    assert (row["phoneNumber"], "US-FL" in row["reason"]) == ("3055550123", True)


def test_the_lists_own_pack_and_its_holidays_count_too(importer: Importer, session: Session) -> None:
    rows = f"{HEAD}0612345678|2026-06-02|Morning\n"  # the day of the Republic
    assert importer(rows, kind="callbacks", dry_run=True).accepted == 1
    job = importer(rows, kind="callbacks", rule_pack="it-2026")
    assert "is a public holiday, 2026-06-02 (it-2026)" in told(job.reject_file)[0]["reason"]
    assert "2026-06-03, period Morning" in told(job.reject_file)[0]["remedy"]


def test_the_preview_says_it_before_anything_is_imported(session: Session, campaign: Campaign, tmp_path: Path) -> None:
    path = tmp_path / "back.csv"
    path.write_text(f"{HEAD}0612345678|{SUNDAY}|Morning\n")

    def look(outside: str) -> import_preview.Preview:
        return import_preview.preview(
            session, campaign, path, file_name="back.csv", kind="callbacks",
            options=ImportOptions(outside_hours=outside), now=NOW,
        )  # fmt: skip

    skipped = look("skip")
    assert (skipped.accepted, skipped.rejected, skipped.remarks) == (0, 1, [])
    assert "nobody may be called then" in skipped.reasons[0].reason
    moved = look("move")
    assert (moved.accepted, moved.rejected, len(moved.remarks)) == (1, 0, 1)
    assert (moved.remarks[0].line, moved.remarks[0].value) == ("2", SUNDAY)
    assert moved.first[0]["promised"] == "Mon 2026-03-09 09:00 (Europe/Rome)"


def test_what_is_to_become_of_them_is_one_of_three(importer: Importer) -> None:
    with pytest.raises(BadInput, match="use one of skip, move, keep"):
        importer(f"{HEAD}0612345678|{SUNDAY}|Morning\n", kind="callbacks", outside_hours="guess")


# --- owners ----------------------------------------------------------------------------------------------------------


def anna(session: Session, campaign: Campaign, **more: object) -> Agent:
    given = {"user_id": "7101", "name": "Anna Rossi", "extension": "201", **more}
    made = factories.agent(session, campaign, **given)
    session.commit()
    return made


@pytest.mark.parametrize("word", ["anna  rossi", "201", "7101"])
def test_a_callback_of_a_file_may_have_an_owner(
    importer: Importer, session: Session, campaign: Campaign, word: str
) -> None:
    agent = anna(session, campaign)
    rows = f"phoneNumber|dueDate|owner\n0612345678|2026-03-03|{word}\n0612345679|2026-03-03|\n"
    job = importer(rows, kind="callbacks")
    assert (job.accepted, job.rejected) == (2, 0)
    mine, anyones = callbacks(session)
    assert (mine.owner_id, anyones.owner_id, anyones.held_until) == (agent.id, None, None)
    first, second = importer.contacts(job)
    assert (first.kept_for, first.kept_as, first.kept_until) == (agent.id, "owner", mine.held_until)
    assert mine.held_until == mine.due_at + timedelta(seconds=300)
    assert (second.kept_for, second.kept_as, second.kept_until) == (None, "", None)


def test_an_owner_nobody_knows_and_one_that_two_are_called_are_refused(
    importer: Importer, session: Session, campaign: Campaign
) -> None:
    anna(session, campaign)
    anna(session, campaign, user_id="7102", extension="202")
    elsewhere = add_campaign(session, "autumn")
    anna(session, elsewhere, user_id="7109", name="Zoe", extension="209")
    rows = "phoneNumber|owner\n0612345678|Anna Rossi\n0612345679|Zoe\n"
    job: Import = importer(rows, kind="callbacks")
    assert job.rejected == 2
    two, nobody = told(job.reject_file)
    assert (two["column"], "2 agents of this campaign" in two["reason"]) == ("owner", True)
    assert nobody["reason"] == "no agent of this campaign is called 'Zoe'"
    assert "(there are: Anna Rossi 201, Anna Rossi 202), or empty the cell for anyone" in nobody["remedy"]


def test_in_a_list_of_contacts_an_owner_is_a_column_like_any_other(importer: Importer) -> None:
    job = importer("phone,owner\n0612345678,Zoe\n")
    assert importer.contacts(job)[0].custom == {"owner": "Zoe"}


# --- periods ---------------------------------------------------------------------------------------------------------


def test_a_period_in_which_nobody_may_ever_be_called_is_not_defined(session: Session, campaign: Campaign) -> None:
    with pytest.raises(BadInput, match=r"nobody may be called in it on any day.*mon-fri 09:00-13:00 14:00-20:00"):
        periods.define(session, campaign.id, "Night", "21:00", "23:00", who="x", now=NOW)
    campaign.hours, campaign.rule_pack = "always", "it-2026"
    with pytest.raises(BadInput, match="by the rules of it-2026"):
        periods.define(session, campaign.id, "Night", "21:00", "23:00", who="x", now=NOW)


def test_what_is_left_of_a_period_is_told_day_by_day(session: Session, campaign: Campaign) -> None:
    campaign.rule_pack, campaign.hours = "it-2026", "08:00-20:00"
    made = periods.define(session, campaign.id, "Evening", "18:00", "21:00", who="x", now=NOW)
    assert periods.hours_of(session, made).sentence() == (
        "nobody may be called in it on Sunday; only 18:00-20:00 of it may be used on Monday, Tuesday, Wednesday, "
        "Thursday and Friday; only 18:00-19:00 of it may be used on Saturday"
    )
