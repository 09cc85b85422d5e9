from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns.models import Contact, Forgotten, Ledger
from tests import factories
from tests.cli.conftest import Dialer

NUMBER = "+390612345678"


def somebody(session: Session) -> Contact:
    made = factories.contact(
        session, factories.campaign(session, name="spring"), phone=NUMBER, first_name="Ilaria", last_name="Zanfra",
        custom={"Colour": "blue"},
    )  # fmt: skip
    session.commit()
    return made


def test_show_tells_everything_and_4_when_there_is_nothing(dialer: Dialer, session: Session) -> None:
    somebody(session)
    told = dialer.ok("person", "show", "06 1234 5678")
    assert "Zanfra" in told
    assert "Colour: blue" in told
    assert "spring" in told
    known = dialer.json("person", "show", NUMBER)
    assert (known["known"], known["contacts"][0]["first_name"]) == (True, "Ilaria")
    nobody = dialer.json("person", "show", "+390699999999", code=4)
    assert nobody["known"] is False
    assert dialer("person", "show", "12").exit_code == 2


def test_erase_asks_first_and_then_does_it(dialer: Dialer, session: Session) -> None:
    contact = somebody(session)
    unasked = dialer("person", "erase", NUMBER, "--why", "letter")
    assert (unasked.exit_code, "--yes" in unasked.stderr) == (2, True)
    done = dialer.json("person", "erase", NUMBER, "--why", "letter", "--yes")
    assert (done["erased"], done["contacts"], done["numbers"]) == (True, 1, 1)
    session.expire_all()
    assert contact.last_name == ""
    assert len(session.scalars(select(Forgotten.digest)).all()) == 1
    assert "erased on request" in dialer.ok("person", "show", NUMBER)
    checked = dialer.json("dnc", "check", NUMBER)
    assert (checked["blocked"], checked["entries"]) == (True, [])
    assert checked["erased_at"]
    told = dialer.ok("dnc", "check", NUMBER)
    assert "is never called again: its owner was erased on request on 20" in told
    assert "not on" not in told
    assert "never called again" in dialer.ok("person", "erase", NUMBER, "--why", "again", "--yes")


def test_erase_says_75_while_a_call_goes_on(dialer: Dialer, session: Session) -> None:
    contact = somebody(session)
    contact.state, contact.next_at = "live", None
    factories.attempt(session, contact=contact)
    session.commit()
    result = dialer("person", "erase", NUMBER, "--why", "letter", "--yes")
    assert result.exit_code == 75
    assert "not over" in result.stderr
    assert session.scalars(select(Forgotten.digest)).all()


def test_consent_is_given_and_withdrawn_with_its_source(dialer: Dialer, session: Session) -> None:
    contact = somebody(session)
    given = dialer.json("person", "consent", NUMBER, "--given", "--source", "web form", "--at", "2026-02-01")
    assert given == {"number": NUMBER, "consent": True, "contacts": 1}
    session.expire_all()
    assert contact.consent
    assert contact.consent_at is not None
    assert (contact.consent_source, f"{contact.consent_at:%Y-%m-%d}") == ("web form", "2026-02-01")
    for more, told in ((("web form", "--at", "2999-01-01"), "a day to come"), ((" ",), "how it can be proved")):
        refused = dialer("person", "consent", NUMBER, "--given", "--source", *more)
        assert (refused.exit_code, told in refused.stderr) == (2, True)
    dialer.ok("person", "consent", NUMBER, "--withdrawn", "--source", "said so")
    session.expire_all()
    assert (contact.consent, contact.consent_at) == (False, None)
    kinds = session.scalars(select(Ledger.kind).where(Ledger.kind.like("consent%")).order_by(Ledger.id)).all()
    assert kinds == ["consent_given", "consent_withdrawn"]
    dialer.ok("person", "consent", NUMBER, "--withdrawn", "--source", " ")  # a no needs no proof
    assert dialer("person", "consent", "+390699999999", "--given", "--source", "x").exit_code == 4
