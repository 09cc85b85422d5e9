"""A month of calling in virtual time through the real gate, and an oracle that knows none of its code: no disagreement.

Each month holds clock changes of both continents and public holidays. People say no, agree, change their minds and ask
to be erased in between; campaigns are paused; calls end in every way. `DIALER_ORACLE_TICKS=20000` makes a soak of it,
`DIALER_ORACLE_SEED` another month of the same kind.
"""

import os
import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from campaigns import dispositions, do_not_call, forgotten, gate, lifecycle, person
from campaigns.gate import Claim
from campaigns.lines import Lines
from campaigns.models import Attempt, Campaign, Contact
from dialer.calling_rules import InForce
from dialer.settings import TimingSettings
from tests import factories
from tests.campaigns.oracle import HEADS, History

TICKS = int(os.environ.get("DIALER_ORACLE_TICKS", "150"))
SEED = int(os.environ.get("DIALER_ORACLE_SEED", "4"))
MONTHS = {
    "spring": (datetime(2026, 3, 6, tzinfo=UTC), 34),  # America on 8 March, Europe on 29 March, Easter
    "autumn": (datetime(2026, 10, 2, tzinfo=UTC), 42),  # Saint Francis, Europe on 25 October, America on 1 November
}
# Campaign -> (country, pack, hours, mode, pack of its list, heads of numbers, addresses)
CAMPAIGNS = {
    "home": ("IT", "default-2026", "mon-sat 09:00-20:00", "progressive", None, ["+3906"], [""]),
    "rome": ("IT", "it-2026", "always", "predictive", None, ["+3906", "+331"], [""]),
    "listed": ("IT", "default-2026", "always", "progressive", "it-2026", ["+3906"], [""]),
    "states": ("US", "us-2026", "07:00-22:00", "power", None, ["+1212", "+1305", "+1213", "+1602", "+1405"],
               ["", "", "US-CA", "US-FL", "US-TN", "90210"]),
    "debts": ("US", "us-debt-2026", "always", "progressive", None, ["+1212", "+1312"], ["", "US-OK", "US-CA"]),
    "paris": ("FR", "fr-2026", "08:00-12:30 15:00-21:30", "progressive", None, ["+331"], ["", "97400", "67000"]),
    "lyon": ("FR", "fr-2026", "always", "progressive", None, ["+331"], [""]),  # the people of paris, for another client
    "message": ("GB", "uk-2026", "always", "agentless", None, ["+4420"], [""]),
}  # fmt: skip
# Campaign -> its caller ids, each with its cap; `states` and `debts` share one, and `paris` has one barred by law.
POOLS = {
    "home": {"+390210001001": 4, "+390210001002": 3},
    "states": {"+12125550100": 4, "+13055550100": None},
    "debts": {"+12125550100": 4},
    "paris": {"+33612345678": None, "+33162000001": None},
}
TAILS = {"+3906": "123450{:02}", "+331": "423456{:02}", "+4420": "712345{:02}"}
ENDS = (
    "no_answer",
    "no_answer",
    "busy",
    "completed",
    "completed",
    "abandoned",
    "hung_up",
    "failed",
    "expired",
    "refused",
)


class Month:
    """The world around the gate: people and their whims, calls and their ends."""

    def __init__(self, session: Session, start: datetime, days: int, seed: int) -> None:
        self.session, self.start, self.days, self.random = session, start, days, random.Random(seed)
        self.gone: set[str] = set()
        self.seen: Counter[str] = Counter()
        self.campaigns: list[Campaign] = []
        for name, (country, pack, hours, mode, listed, heads, homes) in CAMPAIGNS.items():
            made = factories.campaign(
                session, name=name, country=country, rule_pack=pack, hours=hours, mode=mode, time_zone=None,
                max_attempts=3 if name in ("home", "message") else 12, number_gap=0 if name == "debts" else 7200,
                caller_id="+390210001000",
            )  # fmt: skip
            factories.lease(session, made)
            of = factories.contact_list(session, made, rule_pack=listed)
            for n in range(10):
                self._somebody(made, of.id, heads[n % len(heads)], n, homes[n % len(homes)], start)
            self.campaigns.append(made)
            for shown, cap in POOLS.get(name, {}).items():
                caller_ids = {"n": shown, "cap": cap, "c": made.id}
                session.execute(
                    text("INSERT INTO caller_ids (number, daily_cap) VALUES (:n, :cap) ON CONFLICT DO NOTHING"),
                    caller_ids,
                )
                session.execute(text("INSERT INTO campaign_caller_ids VALUES (:c, :n)"), caller_ids)
        session.flush()
        self.words = {made.id: [word.id for word in dispositions.all_of(session, made.id)] for made in self.campaigns}
        self.noes = {made.id: dispositions.get(session, made, "refusal").id for made in self.campaigns}

    def _somebody(self, of: Campaign, list_id: int, head: str, n: int, home: str, start: datetime) -> None:
        agreed = n % 3 != 0
        factories.contact(
            self.session, of, list_id=list_id, phone=number(head, n),
            phone2=number(head, 40 + n) if n % 4 == 1 else None, region=home if home.startswith("US-") else "",
            postcode="" if home.startswith("US-") else home, consent=agreed, custom={"agreed": agreed}, next_at=start,
        )  # fmt: skip

    def moments(self, ticks: int) -> list[datetime]:
        """Random moments, half of them within seconds of a full or half hour, where laws begin and end."""
        found = []
        for _ in range(ticks):
            at = self.start + timedelta(seconds=self.random.randrange(self.days * 86_400))
            if self.random.random() < 0.5:
                at = at.replace(minute=self.random.choice([0, 30]), second=0)
                at += timedelta(seconds=self.random.choice([-31, -30, -29, -1, 0, 1]))
            # A few calls in a row, as a campaign makes them: caps and gaps are for those.
            found += [at + timedelta(minutes=m) for m in (0, 11, 130)[: self.random.randint(1, 3)]]
        return sorted(found)

    def live(self, now: datetime) -> None:
        """What happens between two ticks: calls end, people say things, somebody pulls contacts forward."""
        for attempt in self.session.scalars(select(Attempt).where(Attempt.ended_at.is_(None))).all():
            if self.random.random() < 0.3 and now - attempt.ordered_at < timedelta(hours=2):
                continue
            end = self.random.choice(ENDS)
            attempt.state = end
            attempt.sent_at = None if end == "expired" else attempt.ordered_at + timedelta(seconds=1)
            attempt.joined_at = attempt.ordered_at + timedelta(seconds=9) if end == "completed" else None
            if attempt.joined_at is not None and self.random.random() < 0.8:  # every other word is a no
                words = [self.noes[attempt.campaign_id], self.random.choice(self.words[attempt.campaign_id])]
                attempt.disposition_id = self.random.choice(words)
            attempt.ended_at = min(now, attempt.ordered_at + timedelta(seconds=self.random.randint(10, 120)))
            contact = self.session.get_one(Contact, attempt.contact_id)
            contact.state, contact.next_at = "open", now
            contact.next_number = self.random.choice([None, contact.phone2])
        whim = self.random.random()
        somebody = self.session.scalars(select(Contact).order_by(Contact.id)).all()
        one = self.random.choice(somebody)
        scope = self.random.choice([None, one.campaign_id])
        who: dict[str, str] = {"who": "test", "country": "US"}
        if whim < 0.06:
            do_not_call.add(self.session, one.phone, campaign_id=scope, now=now, **who)
        elif whim < 0.10:
            for entry in do_not_call.check(self.session, one.phone, country="US"):
                do_not_call.remove(self.session, one.phone, campaign_id=entry.campaign_id, reason="x", now=now, **who)
        elif whim < 0.16:
            agreed = self.random.random() < 0.5
            person.set_consent(self.session, one.phone, agreed=agreed, at=None, source="x", now=now, **who)
        elif whim < 0.165:
            forgotten.remember(self.session, [one.phone], who="test", now=now)
            self.gone.add(one.phone)
        elif whim < 0.19:
            campaign = self.random.choice(self.campaigns)
            verb: Callable[..., object] = lifecycle.resume if campaign.state == "paused" else lifecycle.pause
            verb(self.session, campaign.name, now=now, who="test")
        elif whim < 0.22:
            resting = {"n": self.random.choice(["+13055550100", "+390210001001"]), "until": now + timedelta(hours=30)}
            self.session.execute(
                text("UPDATE caller_ids SET resting_until = :until, resting_because = 'x' WHERE number = :n"), resting
            )
        self.session.flush()
        # Whatever the rules put off or closed is due again: they must say no again.
        self.session.execute(
            text(
                "UPDATE contacts SET state = 'open', next_at = :now, closed_because = '', due_date = NULL "
                "WHERE state <> 'live'"
            ),
            {"now": now},
        )
        self.session.expire_all()


def number(head: str, n: int) -> str:
    return head + (TAILS.get(head) or "55512{:02}").format(n)


@pytest.mark.parametrize("month", MONTHS)
def test_gate_and_oracle_agree_on_every_contact_at_every_moment(session: Session, month: str) -> None:
    start, days = MONTHS[month]
    world = Month(session, start, days, SEED)
    calls = refused = 0
    for now in world.moments(TICKS // 2):
        world.live(now)
        campaign = world.random.choice(world.campaigns)
        due = [
            dict(row)
            for row in session.execute(
                text("SELECT * FROM contacts WHERE campaign_id = :c AND state = 'open' AND next_at <= :now"),
                {"c": campaign.id, "now": now},
            ).mappings()
        ]
        before = History.read(session, world.gone)
        wanted = {one["id"]: before.refusals(one, now) for one in due}
        shown = before.shown(before.campaigns[campaign.id], now)
        left = sum(shown.values())
        claim = Claim(f"campaign:{campaign.id}", "test", 1)
        passed = gate.order(session, campaign.id, 40, Lines({"4": 90}), claim, now=now, timing=TimingSettings())
        session.flush()
        ordered = set(session.scalars(select(Attempt.contact_id).where(Attempt.ref.in_(passed.refs))))
        allowed = {contact for contact, refusals in wanted.items() if not refusals}
        used = Counter(session.scalars(select(Attempt.caller_id).where(Attempt.ref.in_(passed.refs))))
        context = f"seed {SEED}, {month}, {campaign.name} at {now.isoformat()}"
        beyond = {number: calls for number, calls in used.items() if calls > shown.get(number, 0)}
        assert not beyond, f"{context}: the gate alone shows {beyond} beyond {shown}"
        if left < len(due):  # the caller ids decide how many, and the gate looks no farther
            world.seen["caller ids"] += 1
            allowed &= ordered
            assert not left or ordered or not allowed
        assert ordered == allowed, (
            f"{context}: the gate alone allows {[wanted[one] for one in ordered - allowed]}, "
            f"the oracle alone {[one for one in due if one['id'] in allowed - ordered]}; refused {passed.refused}"
        )
        calls += len(ordered)
        refused += len(due) - len(ordered)
        world.seen.update(rule for refusals in wanted.values() for rule in refusals)
    print(f"\n{month}, seed {SEED}: {calls} calls allowed, {refused} refused; {dict(world.seen)}")
    assert calls > 50
    rules = {"do_not_call", "hours", "number_gap", "rest", "consent", "refusal", "caller ids"}
    if TICKS >= 1000:  # what a short month may miss
        rules |= {"agent", "campaign", "attempts", "number_open", "three a day", "seven in seven", "four in thirty"}
    assert rules <= set(world.seen), f"a month in which nobody met {rules - set(world.seen)} shows nothing"


@pytest.mark.parametrize(
    "broken",
    [
        ("campaigns.laws.in_force", lambda *_: InForce()),
        ("campaigns.earlier_calls.EarlierCalls.refused_at", lambda *_: None),
        ("campaigns.judging.asks_for_agent", lambda *_: ""),
        ("campaigns.caller_ids._kept_back", lambda *_: ("", None)),
    ],
    ids=["no laws", "deaf to a no", "no agent kept", "any caller id"],
)
def test_the_oracle_finds_what_a_gate_without_a_rule_would_let_pass(
    session: Session, monkeypatch: pytest.MonkeyPatch, broken: tuple[str, Callable[..., object]]
) -> None:
    """Sabotage: with one rule less the same month ends in a disagreement."""
    monkeypatch.setattr(*broken)
    with pytest.raises(AssertionError, match="the gate alone"):
        test_gate_and_oracle_agree_on_every_contact_at_every_moment(session, "spring")


def test_every_number_of_the_world_has_a_place_in_the_oracle() -> None:
    assert {head for one in CAMPAIGNS.values() for head in one[5]} <= set(HEADS)
