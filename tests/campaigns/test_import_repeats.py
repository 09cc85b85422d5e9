"""Several numbers of one contact, and rows that repeat somebody: found over every number, and what is done then."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, inspect, text
from sqlalchemy.orm import Session

from campaigns import contact_numbers, endings, importing
from campaigns.db import Base
from campaigns.import_columns import find_columns
from campaigns.import_repeats import Seen
from campaigns.models import Contact, ContactList, Import
from dialer.calls import CallState
from dialer.errors import BadInput
from tests import factories
from tests.campaigns.importing_kit import NOW, Importer, add_campaign, counts, rejects

A, B, C, D = (f"+39061234560{n}" for n in range(4))


@pytest.fixture
def importer(engine: Engine, session: Session, tmp_path: object) -> Importer:
    campaign = add_campaign(session)
    session.commit()
    return Importer(engine, tmp_path, campaign.id)  # type: ignore[arg-type]


def other_campaign(engine: Engine) -> int:
    with Session(engine) as session, session.begin():
        return add_campaign(session, "autumn").id


def undo(engine: Engine, job: Import) -> importing.Undone:
    with Session(engine) as session, session.begin():
        return importing.undo_import(session, job.id, NOW, "ada")


# Several numbers --------------------------------------------------------------------------------------------


def test_a_contact_keeps_all_its_numbers_with_type_and_order(importer: Importer) -> None:
    job = importer(f"Telefono ufficio,Cellulare,Telefono,Phone3,Name\n{A},{B},{C},{D},Ada\n{A[:-1]}9,,,,Bea\n")
    ada, bea = importer.contacts(job)
    assert contact_numbers.numbers_of(ada) == (C, B, A, D)
    assert (ada.more_numbers, ada.number_types) == ([A, D], ["phone", "mobile", "work", "phone"])
    assert (bea.phone, bea.phone2, bea.more_numbers, bea.number_types) == (f"{A[:-1]}9", None, None, ["work"])


def test_the_mapping_names_position_and_type(importer: Importer) -> None:
    job = importer(
        f"Uno,Due,Tre\n{A},{B},{C}\n", mapping={"Tre": "phone:mobile", "Uno": "phone3:work", "Due": "phone4:home"}
    )
    (one,) = importer.contacts(job)
    assert (contact_numbers.numbers_of(one), one.number_types) == ((C, A, B), ["mobile", "work", "home"])


@pytest.mark.parametrize("target", ["description:work", "phone:", "phone:WORK 1", "phone:x;y", "custom:work"])
def test_only_a_number_has_a_type_and_it_is_a_word(target: str) -> None:
    with pytest.raises(BadInput, match=r"type|no field"):
        find_columns(
            ["a", "b"], "contacts", place="x", country="IT", mapping={"a": "phone", "b": target} | {"b": target}
        )


def test_a_number_written_twice_in_a_row_is_one_number(importer: Importer) -> None:
    (one,) = importer.contacts(importer(f"phone,mobile,phone3\n{A},{A},{B}\n"))
    assert (one.phone, one.phone2, one.more_numbers) == (A, B, None)


def test_a_bad_number_in_any_column_is_told_at_its_column(importer: Importer) -> None:
    job = importer(f"phone,mobile,work phone\n{A},{B},3.93E+11\n")
    assert counts(job) == (1, 0, 1, 0)
    assert [(row["column"], row["value"]) for row in rejects(job)] == [("work phone", "3.93E+11")]


def test_numbers_follow_each_other_and_end(session: Session) -> None:
    one = factories.contact(session, factories.campaign(session), phone=A, phone2=B, more_numbers=[C, A])
    assert [contact_numbers.following(one, number) for number in (A, B, C, D)] == [B, C, None, None]


def test_a_priority_is_a_whole_number_within_its_limits(importer: Importer) -> None:
    job = importer(f"phone,priority\n{A},-100\n{B},\n{C},101\n{D},high\n")
    assert [(one.phone, one.priority) for one in importer.contacts(job)] == [(A, -100), (B, 0)]
    assert [(row["column"], row["value"]) for row in rejects(job)] == [("priority", "101"), ("priority", "high")]


# Repeats are found over every number ------------------------------------------------------------------------


def test_a_row_repeats_an_earlier_one_by_any_of_its_numbers(importer: Importer) -> None:
    job = importer(f"phone,mobile,phone3\n{A},{B},\n{C},{B},\n{D},,{A}\n{D},,\n")
    assert counts(job) == (4, 2, 0, 2)
    told = [(row["line"], row["column"], row["reason"]) for row in rejects(job)]
    assert told == [
        ("3", "mobile", "duplicate of line 2: the number is the same"),
        ("4", "phone3", "duplicate of line 2: the number is the same"),
    ]


@pytest.mark.parametrize("header", ["phone,mobile,phone3", "phone3,phone,mobile", "mobile,phone3,phone"])
@pytest.mark.parametrize("number", [A, B, C])
def test_a_later_file_repeats_a_contact_by_any_of_its_numbers(importer: Importer, header: str, number: str) -> None:
    importer(f"{header}\n{A},{B},{C}\n")
    again = importer(f"phone,mobile\n{D},{number}\n", file_name="later.csv")
    assert counts(again) == (1, 0, 0, 1)
    assert "list 'list'" in rejects(again)[0]["reason"]


def test_repeats_are_looked_for_in_the_file_the_campaign_or_everywhere(importer: Importer, engine: Engine) -> None:
    autumn = other_campaign(engine)
    importer(f"phone\n{A}\n", campaign_id=autumn)
    assert counts(importer(f"phone\n{A}\n", duplicates_in="campaign")) == (1, 1, 0, 0)
    everywhere = importer(f"phone\n{A}\n{B}\n", campaign_id=autumn, file_name="b.csv", duplicates_in="system")
    assert counts(everywhere) == (2, 1, 0, 1)
    assert counts(importer(f"phone\n{A}\n{B}\n{B}\n", duplicates_in="list")) == (3, 2, 0, 1)
    third = add_third(engine)
    abroad = importer(f"phone\n{B}\n", campaign_id=third, duplicates_in="system")
    assert "another campaign" in rejects(abroad)[0]["reason"]


def add_third(engine: Engine) -> int:
    with Session(engine) as session, session.begin():
        return add_campaign(session, "winter").id


def test_contacts_imported_longer_ago_repeat_nobody(importer: Importer) -> None:
    importer(f"phone\n{A}\n")
    importer.now = NOW + timedelta(days=30)
    assert counts(importer(f"phone,x\n{A},1\n", within_days=30)) == (1, 0, 0, 1)
    assert counts(importer(f"phone,x\n{A},2\n", within_days=29)) == (1, 1, 0, 0)


# What is done about them ------------------------------------------------------------------------------------


def loaded(importer: Importer) -> Import:
    return importer(f"phone,mobile,first_name,company,city\n{A},{B},Ada,,Roma\n{C},,Carl,Acme,\n")


def test_update_takes_what_the_row_says_and_keeps_what_it_does_not(importer: Importer, engine: Engine) -> None:
    loaded(importer)
    job = importer(
        f"phone,work_phone,first_name,company,city,age\n{B},{D},Adele,Rossi,,30\n",
        duplicates="update",
        file_name="u.csv",
    )
    assert (counts(job), job.updated, job.list_id, job.reject_file) == ((1, 0, 0, 1), 1, None, None)
    ada, carl = importer.contacts()
    assert (ada.first_name, ada.company, ada.custom) == ("Adele", "Rossi", {"city": "Roma", "age": "30"})
    assert (contact_numbers.numbers_of(ada), ada.number_types) == ((A, B, D), ["phone", "mobile", "work"])
    assert (carl.first_name, carl.company) == ("Carl", "Acme")
    undone = undo(engine, job)
    assert undone == importing.Undone(0, 0, 1)
    ada, _ = importer.contacts()
    assert (ada.first_name, ada.company, ada.custom) == ("Ada", "", {"city": "Roma"})
    assert (ada.phone2, ada.more_numbers, ada.number_types) == (B, None, ["phone", "mobile"])


def test_merge_fills_only_what_is_empty(importer: Importer) -> None:
    loaded(importer)
    importer(f"phone,first_name,company,city\n{A},Adele,Rossi,Milano\n{D},Dora,,\n", duplicates="merge")
    ada, _, dora = importer.contacts()
    assert (ada.first_name, ada.company, ada.custom) == ("Ada", "Rossi", {"city": "Roma"})
    assert dora.first_name == "Dora"


def test_an_update_brings_the_address_along_and_never_a_consent(importer: Importer, engine: Engine) -> None:
    importer(f"phone,time_zone,consent\n{A},Europe/Rome,no\n{B},,yes\n", file_name="0.csv")
    told = f"phone,time_zone,postcode,consent\n{A},America/New_York,10001,yes\n{B},Europe/Rome,,\n"
    job = importer(told, duplicates="update", file_name="1.csv")
    ada, bea = importer.contacts()
    assert (ada.time_zone, ada.postcode, ada.consent) == ("America/New_York", "10001", False)
    assert (bea.time_zone, bea.consent) == ("Europe/Rome", True)
    undo(engine, job)
    assert [(one.time_zone, one.postcode) for one in importer.contacts()] == [("Europe/Rome", ""), ("", "")]
    importer(told, duplicates="merge", file_name="2.csv")
    assert [one.time_zone for one in importer.contacts()] == ["Europe/Rome", "Europe/Rome"]


def test_link_takes_the_row_and_names_the_earlier_contact(importer: Importer) -> None:
    loaded(importer)
    job = importer(f"phone,mobile\n{D},{B}\n{A},{B}\n{A},\n", duplicates="link", file_name="l.csv")
    assert counts(job) == (3, 2, 0, 1)
    ada = importer.contacts()[0]
    assert [(one.phone, one.same_as) for one in importer.contacts(job)] == [(D, ada.id), (A, ada.id)]


def test_two_rows_that_change_one_contact_are_one_change_and_a_duplicate(importer: Importer) -> None:
    loaded(importer)
    job = importer(f"phone,first_name\n{A},One\n{B},Two\n", duplicates="update")
    assert (counts(job), job.updated) == ((2, 0, 0, 2), 1)
    assert importer.contacts()[0].first_name == "One"
    assert rejects(job)[0]["reason"] == "duplicate of line 2: both change the same contact"


def test_a_row_that_says_nothing_new_changes_nothing(importer: Importer, engine: Engine) -> None:
    loaded(importer)
    job = importer(f"phone,first_name\n{A},Ada\n", duplicates="update")
    assert (counts(job), job.updated) == ((1, 0, 0, 1), 0)
    with Session(engine) as session:
        assert session.scalar(text("SELECT count(*) FROM import_changes")) == 0


def test_undo_leaves_alone_what_was_changed_since(importer: Importer, engine: Engine) -> None:
    loaded(importer)
    first = importer(f"phone,first_name\n{A},One\n{C},Two\n", duplicates="update", file_name="1.csv")
    importer(f"phone,first_name\n{A},Three\n", duplicates="update", file_name="2.csv")
    assert undo(engine, first).put_back == 1
    assert [one.first_name for one in importer.contacts()] == ["Three", "Carl"]


def test_a_dry_run_changes_nobody(importer: Importer) -> None:
    loaded(importer)
    job = importer(f"phone,first_name\n{A},One\n", duplicates="update", dry_run=True)
    assert (counts(job), job.updated) == ((1, 0, 0, 1), 0)
    assert importer.contacts()[0].first_name == "Ada"


def test_what_means_nothing_is_refused_before_the_file_is_kept(importer: Importer) -> None:
    for options in (
        {"duplicates": "eat"},
        {"duplicates_in": "town"},
        {"duplicates": "merge", "duplicates_in": "system"},
    ):
        with pytest.raises(BadInput, match="duplicates"):
            importer.submit(f"phone\n{A}\n", **options)


@given(st.lists(st.lists(st.integers(1, 30), min_size=1, max_size=3, unique=True), max_size=40))
def test_seen_says_what_a_search_through_all_lines_would(rows: list[list[int]]) -> None:
    seen, taken = Seen(), list[tuple[int, set[int]]]()
    for line, numbers in enumerate(rows, start=2):
        earlier = next((at for number in numbers for at, had in taken if number in had), line)
        assert seen.first([f"+39{number}" for number in numbers], line)[1] == earlier
        if earlier == line:
            taken.append((line, set(numbers)))


# Undo -------------------------------------------------------------------------------------------------------


def test_a_contact_somebody_was_offered_is_closed_and_not_removed(importer: Importer, engine: Engine) -> None:
    job = importer(f"phone\n{A}\n{B}\n")
    with Session(engine) as session, session.begin():
        one = session.get_one(Contact, importer.contacts()[0].id)
        session.execute(
            text(
                "INSERT INTO agents (pbx, user_id, name, extension) VALUES ('main', '1', '', '');"
                "INSERT INTO offers (campaign_id, contact_id, agent_id, offered_at, until, state, ended_at) "
                f"SELECT {one.campaign_id}, {one.id}, id, now(), now(), 'skipped', now() FROM agents"
            )
        )
    assert undo(engine, job) == importing.Undone(1, 1)
    with Session(engine) as session:
        assert session.get_one(ContactList, job.list_id).undone_at == NOW
    assert [(left.phone, left.state, left.closed_because) for left in importer.contacts()] == [
        (A, "closed", importing.UNDONE)
    ]


def test_undo_goes_through_a_list_in_parts(importer: Importer, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "_AT_ONCE", 7)
    job = importer("phone\n" + "".join(f"06123456{n:02d}\n" for n in range(40)))
    keep = importer(f"phone\n{A[:-2]}99\n", file_name="other.csv")
    assert undo(engine, job) == importing.Undone(40, 0)
    assert len(importer.contacts(keep)) == 1


def test_whatever_refers_to_a_contact_is_found_by_an_index(engine: Engine) -> None:
    """Without one, taking back a million contacts would read that table a million times."""
    for table in Base.metadata.sorted_tables:
        for key in table.foreign_keys:
            if key.column.table.name == "contacts":
                first = [index["column_names"][0] for index in inspect(engine).get_indexes(table.name)]
                assert key.parent.name in first, f"{table.name}.{key.parent.name}"


# Damage of a whole file, and the number after the next -------------------------------------------------------


def test_many_numbers_with_five_zeros_are_said_to_be_rounded(importer: Importer) -> None:
    rounded = importer("phone\n" + "".join(f"39061{n}00000\n" for n in range(10, 14)) + f"{A}\n")
    assert counts(rounded) == (5, 5, 0, 0)
    assert "4 numbers end in five zeros" in rounded.options["note"]
    one = importer(f"phone\n39062100000\n{B}\n{C}\n", file_name="fine.csv")
    assert "note" not in one.options


def test_after_a_number_that_cannot_be_reached_comes_the_next_and_after_the_last_none(session: Session) -> None:
    of = factories.campaign(session, max_attempts=9)
    one = factories.contact(session, of, phone=A, phone2=B, more_numbers=[C], state="live", next_at=None)
    tried = []
    for _ in range(3):
        number = one.next_number or one.phone
        attempt = factories.attempt(session, of, contact=one, number=number, state=CallState.PLACED)
        tried.append(number)
        endings.close_attempt(session, attempt, CallState.UNAVAILABLE, now=NOW)
        assert one.state == "open"
        one.state, one.next_at = "live", None
        session.flush()
    assert tried == [A, B, C]
    assert one.next_number == C
