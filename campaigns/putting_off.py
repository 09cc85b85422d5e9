"""When a contact that may not be called now is looked at again, or whether it never is. The caller holds its row."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from campaigns import contact_filters, judging
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


def put_all_off(session: Session, known: Known, refused: Iterable[tuple[Contact, str, Proof]]) -> Counter[str]:
    """Put off what was refused, rule by rule: those of one rule change the same columns, and are one statement.

    Returns how many each rule refused.
    """
    by_rule: dict[str, list[tuple[Contact, str, Proof]]] = defaultdict(list)
    for contact, number, proof in refused:
        assert proof.refusal is not None
        by_rule[proof.refusal.rule].append((contact, number, proof))
    for these in by_rule.values():
        for contact, number, proof in these:
            put_off(known, contact, number, proof)
        session.flush()
    return Counter({rule: len(these) for rule, these in by_rule.items()})


def put_off(known: Known, contact: Contact, number: str, proof: Proof) -> None:
    """Say when a contact that a rule refused is looked at again, or close it."""
    refusal = proof.refusal
    assert refusal is not None
    if refusal.rule == "number_open":
        contact.next_at = refusal.until  # another's call; this contact comes up again when that one has rung
    elif refusal.rule in ("do_not_call", "attempts"):
        contact.state, contact.next_at = "closed", None
        contact.closed_because = DO_NOT_CALL if refusal.rule == "do_not_call" else ATTEMPTS_USED_UP
    elif refusal.rule == "filter" and refusal.until is None:
        contact.state, contact.closed_because = "closed", contact_filters.NOT_WANTED  # with its time, to come back
    else:
        again = ASK_AGAIN_FOR_CONSENT if refusal.rule == "consent" else ASK_AGAIN
        contact.state, contact.next_at = "open", proof.at + again
        if proof.until is not None:
            contact.next_at = first_allowed(known, contact, number, proof.until)
        contact.put_off_by, contact.put_off_until = refusal.rule, contact.next_at
