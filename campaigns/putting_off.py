"""When a contact that may not be called now is looked at again, or whether it never is. The caller holds its row."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from campaigns import contact_filters, judging
from campaigns.db import array
from campaigns.judging import Known
from campaigns.models import Campaign, Contact
from dialer.gate import Proof, Verdict
from dialer.retries import ATTEMPTS_USED_UP, DO_NOT_CALL, forward

# A contact nobody can say a time for (its zone is unknown) is asked about again after so long.
ASK_AGAIN = timedelta(hours=1)
# One who never agreed to be called: whoever writes a consent down makes the contact due at once.
ASK_AGAIN_FOR_CONSENT = timedelta(days=1)


def next_allowed(
    session: Session,
    campaign: Campaign,
    contact: Contact,
    number: str,
    at: datetime,
    *,
    ring_seconds: float = 60.0,
    promised: bool = False,
) -> datetime:
    """Return the first moment from `at` on that hours, holidays, rests, gap and caps allow a call to this number.

    `promised`: it is about to be promised, and an agent is kept for it.
    """
    known = Known.read(session, campaign, [contact], at, ring_seconds=ring_seconds, numbers=[number])
    return first_allowed(known, contact, number, at, promised=promised)


def first_allowed(known: Known, contact: Contact, number: str, at: datetime, *, promised: bool = False) -> datetime:
    """Return the same on what is known already.

    A plan; the gate decides when the moment has come. Whoever has no agent waits a rest out, and nobody knows yet
    whether there will be one. A consent that is missing has no time, and is left to the gate.
    """
    with_agent = promised or judging.agent_is_kept(known.campaign, contact)

    def ask(at: datetime) -> Iterator[Verdict]:
        for verdict in judging.of_the_time(known, contact, number, at, with_agent=with_agent):
            if verdict.allowed or verdict.until is not None or verdict.rule != "consent":
                yield verdict

    return forward(at, ask)


_PUT_OFF = text("""
    UPDATE contacts SET state = off.state, next_at = off.next_at, closed_because = off.closed_because,
           put_off_by = off.put_off_by, put_off_until = off.put_off_until
    FROM unnest(CAST(:ids AS bigint[]), CAST(:states AS text[]), CAST(:times AS timestamptz[]),
                CAST(:closed AS text[]), CAST(:rules AS text[]), CAST(:untils AS timestamptz[]))
         AS off (id, state, next_at, closed_because, put_off_by, put_off_until)
    WHERE contacts.id = off.id
""")


class _Off(NamedTuple):
    """What becomes of a contact that was refused: the columns of its row."""

    state: str
    next_at: datetime | None
    closed_because: str
    put_off_by: str | None
    put_off_until: datetime | None


def put_all_off(session: Session, known: Known, refused: Sequence[tuple[Contact, str, Proof]]) -> Counter[str]:
    """Put off what was refused, in one statement. Returns how many each rule refused.

    The contacts are read anew by whoever asks for them again.
    """
    if not refused:
        return Counter()
    columns = list(zip(*(_off(known, contact, number, proof) for contact, number, proof in refused), strict=True))
    states, times, closed, rules, untils = map(list, columns)
    ids = array(contact.id for contact, _, _ in refused)
    given = {"ids": ids, "states": states, "times": times, "closed": closed, "rules": rules, "untils": untils}
    session.execute(_PUT_OFF, given)
    for contact, _, _ in refused:
        session.expire(contact)
    return Counter(proof.refusal.rule for _, _, proof in refused if proof.refusal is not None)


def put_off(known: Known, contact: Contact, number: str, proof: Proof) -> None:
    """Say when a contact that a rule refused is looked at again, or close it."""
    off = _off(known, contact, number, proof)
    contact.state, contact.next_at, contact.closed_because = off.state, off.next_at, off.closed_because
    contact.put_off_by, contact.put_off_until = off.put_off_by, off.put_off_until


def _off(known: Known, contact: Contact, number: str, proof: Proof) -> _Off:
    refusal = proof.refusal
    assert refusal is not None
    stands = _Off(contact.state, contact.next_at, contact.closed_because, contact.put_off_by, contact.put_off_until)
    if refusal.rule == "number_open":
        # Another's call; this contact comes up again when that one has rung.
        return stands._replace(next_at=refusal.until)
    if refusal.rule in ("do_not_call", "attempts"):
        because = DO_NOT_CALL if refusal.rule == "do_not_call" else ATTEMPTS_USED_UP
        return stands._replace(state="closed", next_at=None, closed_because=because)
    if refusal.rule == "filter" and refusal.until is None:
        return stands._replace(state="closed", closed_because=contact_filters.NOT_WANTED)  # with its time, to come back
    again = proof.at + (ASK_AGAIN_FOR_CONSENT if refusal.rule == "consent" else ASK_AGAIN)
    if proof.until is not None:
        again = first_allowed(known, contact, number, proof.until)
    return _Off("open", again, stands.closed_because, refusal.rule, again)
