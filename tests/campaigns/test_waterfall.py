"""The waterfall against the gate: of random contacts each is counted under the very rule by which the gate refuses it.

`DIALER_WATERFALL_WORLDS=200` makes a soak of it, `DIALER_WATERFALL_SEED` other worlds of the same kind.
"""

import os
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from campaigns import (
    dispositions,
    forgotten,
    gate,
    list_caps,
    waterfall,
    waterfall_rules,
    waterfall_sql,
    waterfall_steps,
)
from campaigns.due_contacts import Which
from campaigns.gate import Claim
from campaigns.models import Callback, Campaign, Contact, DoNotCall, Installation
from campaigns.prospects import ALIKE_FROM
from dialer.calls import CallState
from dialer.modes import AUTOMATIC
from dialer.settings import TimingSettings
from tests import factories

WORLDS = int(os.environ.get("DIALER_WATERFALL_WORLDS", "1"))
SEED = int(os.environ.get("DIALER_WATERFALL_SEED", "4"))
PEOPLE = 20
RING = 30.0
TUESDAY = datetime(2026, 3, 3, 15, 0, tzinfo=UTC)
# Country, pack of the campaign, pack of one of its lists, mode, heads of numbers, addresses, and what else is set.
KINDS = {
    "Italy": ("IT", "default-2026", "it-2026", "predictive", ["+3906123{:05}", "+3934712{:05}"], [""],
              {"number_caps": "2/day", "contact_caps": "3/7d"}),
    "America": ("US", "us-2026", None, "progressive",
                ["+1212555{:04}", "+1305555{:04}", "+1213555{:04}", "+1850555{:04}", "+1602555{:04}"],
                ["", "", "US-CA", "US-FL", "US-TN", "90210", " 331 01", "9021", "Pacific/Honolulu"], {}),
    "debts": ("US", "us-debt-2026", None, "preview", ["+1212555{:04}", "+1312555{:04}"], ["", "US-OK"],
              {"hours": "always"}),
    "France": ("FR", "fr-2026", None, "power", ["+3314234{:04}", "+3363412{:04}"], ["", "97400", "67000"],
               {"hours": "09:00-20:00"}),
    "refused": ("FR", "fr-2026", None, "preview", ["+3314234{:04}"], [""], {"hours": "always", "number_gap": 0.0}),
    "message": ("GB", "uk-2026", "it-2026", "agentless", ["+44207123{:04}"], ["", "BT1 1AA"], {"needs_consent": True}),
    "filtered": ("IT", "default-2026", None, "predictive", ["+3906123{:05}"], [""],
                 {"hours": "always", "contact_filter": [
                     {"field": "attempts", "operator": "<", "values": ["2"]},
                     {"field": "days_since_call", "operator": ">=", "values": ["1"]},
                     {"field": "last_outcome", "operator": "!=", "values": ["busy"]}]}),
    "capped": ("IT", "default-2026", None, "preview", ["+3906123{:05}"], [""],
               {"hours": "always", "number_caps": "1/30d", "contact_caps": "2/30d", "number_gap": 0.0}),
    "untried": ("IT", "default-2026", None, "power", ["+3906123{:05}"], [""],
                {"hours": "always", "contact_filter": [{"field": "attempts", "operator": ">", "values": ["0"]}]}),
    "worked": ("IT", "default-2026", None, "predictive", ["+3906123{:05}"], [""], {"hours": "always"}),
}  # fmt: skip
ENDS = ("no_answer", "busy", "completed", "abandoned", "abandoned", "hung_up", "failed", "expired", "refused")


class World:
    """One campaign with people to whom everything may have happened."""

    def __init__(self, session: Session, kind: str, seed: int) -> None:
        country, pack, listed, mode, self.heads, self.homes, more = KINDS[kind]
        self.session, self.random = session, random.Random(f"{kind} {seed}")
        self.noes = 0.4 if kind == "refused" else 0.05
        # Some worlds are looked at when some of the phones may not ring.
        self.now = TUESDAY + timedelta(minutes=self.random.choice([0, 0, 0, -90, 240, 1130]) * (kind != "refused"))
        self.campaign = factories.campaign(
            session, country=country, rule_pack=pack, mode=mode, time_zone=None, max_attempts=4,
            **{"hours": "09:00-20:00", "number_gap": 7200.0, **more},
        )  # fmt: skip
        self.elsewhere = factories.campaign(session, country=country)
        factories.lease(session, self.campaign)
        session.get_one(Installation, 1).number_caps = "5/30d"
        self.lists = [
            factories.contact_list(session, self.campaign, rule_pack=one, name=f"{n}")
            for n, one in enumerate((None, None, listed, listed))
        ]
        self.agent = factories.agent(session, self.campaign)
        for n in range(PEOPLE):
            self._somebody(n)
        session.flush()
        if kind == "worked":
            caps = ("0%", ""), ("", "0"), ("100%", "500"), ("", "")
            for one, (cap, today) in zip(self.lists, caps, strict=True):
                list_caps.set_caps(
                    session, self.campaign, one.name, cap=cap, today=today, who="test", now=self.now
                )  # fmt: skip

    def _chance(self, share: float) -> bool:
        return self.random.random() < share

    def _number(self, n: int) -> str:
        return self.random.choice(self.heads).format(n)

    def _somebody(self, n: int) -> None:
        home, now = self.random.choice(self.homes), self.now
        second = self._number(100 + n) if self._chance(0.4) else None
        third = self._number(200 + n) if self._chance(0.2) else None
        promised = self._chance(0.25)
        one = factories.contact(
            self.session, self.campaign, list_id=self.random.choice(self.lists).id, phone=self._number(n),
            phone2=second, more_numbers=[third] if third else None,
            next_number=self.random.choice([None, None, second, third]),
            region=home if home.startswith("US-") else "", time_zone=home if "/" in home else "",
            postcode=home if "/" not in home and not home.startswith("US-") else "",
            consent=self._chance(0.7), next_at=now - timedelta(seconds=self.random.randrange(100)),
            due_date=now.date() if promised else None,
        )  # fmt: skip
        if one.consent and self._chance(0.3):
            one.consent_at = now + timedelta(hours=self.random.choice([-5, 5]))
        whim = self.random.random()
        if whim < 0.06:
            one.state, one.next_at, one.closed_because = "closed", None, self.random.choice(["reached", "unreachable"])
        elif whim < 0.10:
            one.next_at = now + timedelta(hours=1)
        elif whim < 0.14:
            scope = self.random.choice([None, self.campaign.id, self.elsewhere.id])
            self.session.add(DoNotCall(number=one.next_number or one.phone, source="test", campaign_id=scope))
        elif whim < 0.18:
            forgotten.remember(self.session, [one.next_number or one.phone], who="test", now=now)
        elif whim < 0.26 and promised:
            one.kept_for, one.kept_as = self.agent.id, "owner"
            one.kept_until = now + timedelta(minutes=self.random.choice([-5, 5]))
        if self._chance(0.6):
            self._tried(one)
        if promised:
            self._promised(one)

    def _tried(self, one: Contact) -> None:
        numbers = [number for number in (one.phone, one.phone2, *(one.more_numbers or ())) if number]
        for _ in range(self.random.randint(1, 8)):
            at = self.now - timedelta(minutes=self.random.choice([30, 100, 200, 2_000, 5_000, 7_300, 20_000, 60_000]))
            ours = self._chance(0.7)
            of = self.campaign if ours else self.elsewhere
            one.tried = min(one.tried + ours, ALIKE_FROM)  # as the gate keeps it
            twin = one if ours else factories.contact(self.session, of, phone=numbers[0], state="closed", next_at=None)
            no = self._chance(self.noes)
            end = CallState("completed" if no else self.random.choice(ENDS))
            factories.attempt(
                self.session, of, contact=twin, number=self.random.choice(numbers), state=end, ordered_at=at,
                sent_at=None if end == "expired" else at + timedelta(seconds=1),
                joined_at=at + timedelta(seconds=9) if end == "completed" else None,
                ended_at=at + timedelta(seconds=50),
                disposition_id=dispositions.get(self.session, of, "refusal").id if no else None,
                disposed_at=at + timedelta(seconds=50) if no else None,
            )  # fmt: skip
        if self._chance(0.15):
            factories.attempt(
                self.session, self.elsewhere, number=one.next_number or one.phone, state=CallState.RINGING,
                ordered_at=self.now, sent_at=self.now,
            )  # fmt: skip

    def _promised(self, one: Contact) -> None:
        if self._chance(0.5):
            one.promised_at = self.now - timedelta(minutes=self.random.choice([50, 1_000, 6_000]))
        made: dict[str, object] = {"made_at": self.now, "made_by": "test", "alarm_at": self.now, "due_at": self.now}
        made |= {"due_date": self.now.date(), "zone": "UTC", "deadline_at": self.now + timedelta(hours=1)}
        self.session.flush()
        self.session.add(Callback(campaign_id=self.campaign.id, contact_id=one.id, **made))

    def by_the_gate(self) -> Counter[str]:
        """Ask the gate about each contact alone: what it refuses it for, or that it lets it through."""
        found: Counter[str] = Counter()
        rows = self.session.execute(
            text("SELECT id, state, next_at > :now AS later FROM contacts WHERE campaign_id = :c ORDER BY id"),
            {"c": self.campaign.id, "now": self.now},
        ).all()
        for row in rows:
            if row.state == "open" and not row.later:
                found[self._asked(row.id)] += 1
            else:
                found["later" if row.state == "open" else row.state] += 1
        return found

    def _asked(self, contact_id: int) -> str:
        claim = Claim(f"campaign:{self.campaign.id}", "test", 1)
        with self.session.begin_nested() as alone:
            others = "UPDATE contacts SET state = 'closed' WHERE state = 'open' AND id <> :id"
            self.session.execute(text(others), {"id": contact_id})
            for which in (Which.OTHERS, Which.PROMISED) if self.campaign.mode in AUTOMATIC else (None,):
                passed = gate.let_through(
                    self.session, self.campaign.id, 2, claim, now=self.now, timing=TimingSettings(ring_limit=RING),
                    which=which,
                )  # fmt: skip
                said = next(iter(passed.passed.refused), "dialable" if passed.contacts else "")
                if said:
                    break
            alone.rollback()
        self.session.expire_all()
        return said or "not asked"

    def by_the_waterfall(self) -> Counter[str]:
        fall = waterfall.waterfall(self.session, self.campaign, now=self.now, ring_seconds=RING)
        found = Counter({"dialable": fall.dialable})
        for step in fall.steps:
            found[step.rule] += step.contacts
        assert found.total() == fall.imported
        return +found


# What the gate does not name: it never sees those contacts. Its caps have one name, whoever set them.
SAME = {
    "kept": "not asked",
    "promised": "not asked",
    "list_cap": "not asked",
    "law_caps": "caps",
    "number_cap": "caps",
    "contact_cap": "caps",
}


def alike(counts: Counter[str]) -> Counter[str]:
    found: Counter[str] = Counter()
    for rule, contacts in counts.items():
        found[SAME.get(rule, rule)] += contacts
    return found


def compare(session: Session, kind: str, seed: int) -> Counter[str]:
    """Count one world both ways; what the waterfall says, by its own names."""
    world = World(session, kind, seed)
    gate_says, said = alike(world.by_the_gate()), world.by_the_waterfall()
    session.rollback()
    told = alike(said)
    context = f"{kind}, seed {seed}"
    assert told == gate_says, f"{context}: the waterfall says {told - gate_says} more, the gate {gate_says - told}"
    return said


def test_every_contact_is_counted_under_the_rule_by_which_the_gate_refuses_it(session: Session) -> None:
    seen: Counter[str] = Counter()
    for kind in KINDS:
        for seed in range(SEED, SEED + WORLDS):
            seen += compare(session, kind, seed)
    missing = {"list_cap", *(rule.name for rule in waterfall_rules.RULES)} - set(seen)
    assert not missing, f"worlds in which nobody met {missing} show nothing; {dict(seen)}"


@pytest.mark.parametrize(
    ("kind", "words", "instead"),
    [
        ("Italy", "WHERE ended_at IS NULL", "WHERE false"),
        ("Italy", "begins + make_interval(secs => rest) > :now", "true"),
        ("filtered", "k.promised_at IS NULL OR", "true OR"),
        ("filtered", "k.tried >= :tried", "k.tried > :tried"),
        ("filtered", "k.due_date IS NOT NULL", "false"),
        ("refused", "unnest(CAST(:refused AS bigint[])", "unnest(CAST('{}' AS bigint[])"),
        ("France", "unnest(CAST(:law_capped AS bigint[])", "unnest(CAST('{}' AS bigint[])"),
    ],
)
def test_a_rule_that_is_not_the_gates_is_noticed(
    session: Session, monkeypatch: pytest.MonkeyPatch, kind: str, words: str, instead: str
) -> None:
    """Sabotage: with one rule worded otherwise the two disagree."""
    assert words in waterfall_sql.FOUND
    monkeypatch.setattr(waterfall_sql, "FOUND", waterfall_sql.FOUND.replace(words, instead))
    with pytest.raises(AssertionError, match="the waterfall says"):
        [compare(session, kind, seed) for seed in range(SEED, SEED + 9)]


@pytest.mark.parametrize("rank", [-1, len(waterfall_rules.RULES)])
def test_who_is_on_the_do_not_call_list_is_counted_there_unless_an_earlier_rule_holds_them(
    session: Session, monkeypatch: pytest.MonkeyPatch, rank: int
) -> None:
    """Sabotage: with the list first or last of the rules the two disagree."""
    monkeypatch.setattr(waterfall_steps, "_held", lambda found, listed: dict(_counted_at(rank, found, listed)))
    with pytest.raises(AssertionError, match="the waterfall says"):
        [compare(session, "Italy", seed) for seed in range(SEED, SEED + 9)]


def _counted_at(rank: int, found: Sequence[Any], listed: int) -> Iterator[tuple[int, tuple[int, datetime | None]]]:
    """Count as the waterfall does, but with the do-not-call list at another place."""
    do_not_call = waterfall_rules.RANK["do_not_call"]
    for one in sorted({row.rank for row in found}):
        rows = [row for row in found if row.rank == one and not (row.listed and one > rank)]
        listed -= sum(row.contacts for row in rows if row.listed)
        if rows:
            yield one, (sum(row.contacts for row in rows), None)
    if listed:
        yield do_not_call, (listed, None)


def test_the_do_not_call_numbers_are_hashed_however_often_one_connection_counts(session: Session) -> None:
    """A plan for any array would compare each contact with every number of it: hours, for a million of them."""
    campaign = factories.campaign(session, hours="always", mode="progressive")
    factories.contact(session, campaign, next_at=TUESDAY)
    session.flush()
    for _ in range(14):  # five times until a statement is prepared, and five more until it might be planned for good
        waterfall.waterfall(session, campaign, now=TUESDAY, ring_seconds=RING)
    kept = "SELECT generic_plans FROM pg_prepared_statements WHERE statement LIKE '%AS listed%'"
    assert session.scalars(text(kept)).all() == [0]


@pytest.mark.parametrize("apart", ["", "OFFSET 0"])
def test_several_processes_may_share_the_one_pass(
    session: Session, monkeypatch: pytest.MonkeyPatch, apart: str
) -> None:
    """OFFSET 0 in it forbids that, as the second turn shows."""
    campaign = factories.campaign(session, hours="always", mode="progressive")
    for _ in range(2_000):
        factories.contact(session, campaign, next_at=TUESDAY)
    session.flush()
    for setting in ("min_parallel_table_scan_size = 0", "enable_indexscan = off"):  # as with a million of them
        session.execute(text(f"SET LOCAL {setting}"))
    session.execute(text("ANALYZE contacts"))
    words = "FROM contacts k WHERE k.list_id = ANY(:lists)) AS keyed"
    assert words in waterfall_sql.COUNTED
    asked = waterfall_sql.COUNTED.replace(words, f"{words.removesuffix(') AS keyed')} {apart}) AS keyed")
    monkeypatch.setattr(waterfall_sql, "COUNTED", f"EXPLAIN (FORMAT TEXT) {asked}")
    plan = _plan(session, campaign)
    assert ("Partial HashAggregate" in plan) == (not apart), plan


def _plan(session: Session, campaign: Campaign) -> str:
    plans: list[str] = []
    real = session.execute

    def kept(query: Any, *given: Any, **more: Any) -> Any:
        if not str(query).startswith("EXPLAIN (FORMAT TEXT)"):
            return real(query, *given, **more)
        plans.append("\n".join(row[0] for row in real(query, *given, **more)))
        raise _Explained

    session.execute = kept  # type: ignore[method-assign]
    with pytest.raises(_Explained):
        waterfall.waterfall(session, campaign, now=TUESDAY, ring_seconds=RING)
    return plans[0]


class _Explained(Exception):
    """The plan is known: there is nothing to count."""


@pytest.mark.parametrize(
    "instead", ["k.tried = 0 AND k.list_id", "k.due_date IS NULL AND k.list_id", "k.id < 0 AND k.list_id"]
)
def test_who_is_passed_over_is_no_other_than_whom_choosing_passes_over(
    session: Session, monkeypatch: pytest.MonkeyPatch, instead: str
) -> None:
    """Sabotage, as above."""
    words = "k.tried = 0 AND k.due_date IS NULL AND k.list_id"
    assert words in waterfall_sql.PASSED_OVER
    monkeypatch.setattr(waterfall_sql, "PASSED_OVER", waterfall_sql.PASSED_OVER.replace(words, instead))
    with pytest.raises(AssertionError, match="the waterfall says"):
        [compare(session, "worked", seed) for seed in range(SEED, SEED + 9)]


def test_the_first_consent_told_is_of_somebody_whom_nothing_else_holds(session: Session) -> None:
    campaign = factories.campaign(session, hours="always", needs_consent=True, mode="progressive")
    soon, later = (TUESDAY + timedelta(hours=hours) for hours in (1, 5))
    listed = factories.contact(session, campaign, next_at=TUESDAY, consent=True, consent_at=soon)
    factories.contact(session, campaign, next_at=TUESDAY, consent=True, consent_at=later)
    session.add(DoNotCall(number=listed.phone, source="test"))
    session.flush()
    fall = waterfall.waterfall(session, campaign, now=TUESDAY, ring_seconds=RING)
    told = {step.rule: (step.contacts, step.until) for step in fall.steps}
    assert told == {"do_not_call": (1, None), "consent": (1, later)}


def test_no_setting_of_the_count_outlives_it(session: Session) -> None:
    """The same transaction may go on to anything, as it would have."""
    campaign = factories.campaign(session, hours="always", contact_caps="2/7d")
    factories.contact(session, campaign, next_at=TUESDAY, phone2="+390655555555")
    session.flush()
    query = text("SELECT name, setting FROM pg_settings WHERE name ~ '^enable_|mem$|cost$|parallel' ORDER BY name")
    before = session.execute(query).all()
    waterfall.waterfall(session, campaign, now=TUESDAY, ring_seconds=RING)
    assert session.execute(query).all() == before


def test_whoever_was_put_off_is_told_with_the_rule_until_somebody_moves_them(session: Session) -> None:
    campaign = factories.campaign(session, hours="always", needs_consent=True, mode="progressive")
    factories.lease(session, campaign)
    asked, moved = (factories.contact(session, campaign, next_at=TUESDAY) for _ in range(2))
    claim = Claim(f"campaign:{campaign.id}", "test", 1)
    refused = gate.let_through(session, campaign.id, 5, claim, now=TUESDAY, timing=TimingSettings()).passed.refused
    assert refused == {"consent": 2}
    moved.next_at = TUESDAY + timedelta(hours=2)
    session.flush()
    fall = waterfall.waterfall(session, campaign, now=TUESDAY, ring_seconds=RING)
    told = {step.reason: (step.contacts, step.until) for step in fall.steps}
    assert told == {
        "to be tried later: not known to have agreed to be called": (1, asked.next_at),
        "to be tried later": (1, moved.next_at),
    }
