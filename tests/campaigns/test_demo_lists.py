"""The sample lists show every kind of trouble a list can have, and stay what the documents say of them."""

from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

import configs
from campaigns import periods
from tests.campaigns.importing_kit import NOW, Importer, add_campaign, counts, rejects

DEMO = Path(configs.__file__).parent / "demo"


@pytest.fixture
def importer(engine: Engine, session: Session, tmp_path: Path) -> Importer:
    campaign = add_campaign(session)
    session.commit()
    return Importer(engine, tmp_path, campaign.id)


def test_the_sample_contacts_are_320_good_ones_among_every_kind_of_trouble(importer: Importer) -> None:
    job = importer(DEMO / "contacts.csv", file_name="contacts.csv")
    assert counts(job) == (359, 320, 33, 6)


def test_no_sample_number_reaches_anybody(importer: Importer) -> None:
    job = importer(DEMO / "contacts.csv", file_name="contacts.csv")
    # 399 belongs to no operator, and after an Italian area code no subscriber's number begins with 0.
    unassigned = ("+39399555", "+39060055", "+39020055", "+390110055", "+390810055")
    assert all(one.phone.startswith(unassigned) for one in importer.contacts(job))


def test_the_sample_callbacks_are_mostly_kept(importer: Importer, engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        for name, starts, ends in (("Morning", "9:00", "12:30"), ("Afternoon", "14:00", "18:00")):
            periods.define(session, importer.campaign_id, name, starts, ends, who="ada", now=NOW)
    job = importer(DEMO / "callbacks.csv", kind="callbacks", file_name="callbacks.csv")
    assert counts(job) == (20, 14, 5, 1)


def test_the_sample_contacts_show_each_trouble_the_documents_speak_of(importer: Importer) -> None:
    reasons = {row["reason"].split(" (also")[0] for row in rejects(importer(DEMO / "contacts.csv"))}
    shown = {reason.split(" of line")[0] for reason in reasons}
    for reason in (
        "a spreadsheet turned the number into an exponent",
        "a spreadsheet turned the number into a decimal",
        "the cell is a spreadsheet formula",
        "it looks like a lost leading zero",
        "a premium-rate number is never called",
        "a shared-cost number is never called",
        "an emergency number is never called",
        "a short service number is never called",
        "there are letters in the number",
        "there are two numbers in one cell",
        "the number has an extension, which cannot be dialled",
        "it has too few digits for a number of IT",
        "no country has this country code",
        "there is no number in phone",
        "the row has 8 cells and the header 7",
        'a quote inside a quoted cell is not written twice ("")',
        "duplicate",
    ):
        assert reason in shown, sorted(shown)
