"""The oracle: may this contact be rung at this moment? Reckoned from raw rows alone, by other means than the product's.

It imports nothing of the product and reads tables by plain SQL. What a law says is written here a second time, from its
text and not from the packs; holidays are a list of days; hours are looked at second by second on the clock on the wall.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.orm import Session

NEW_YORK, CHICAGO, DENVER, LOS_ANGELES = "America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles"

# The heads of the numbers that the simulated people have, and where those phones are.
HEADS = {
    "+3906": (["Europe/Rome"], []), "+331": (["Europe/Paris"], []), "+4420": (["Europe/London"], []),
    "+1212": ([NEW_YORK], []), "+1305": ([NEW_YORK], ["FL"]), "+1213": ([LOS_ANGELES], []),
    "+1312": ([CHICAGO], []), "+1602": (["America/Phoenix"], []), "+1405": ([CHICAGO], ["OK"]),
}  # fmt: skip
HOMES: dict[str, tuple[list[str], list[str]]] = {
    "US-CA": ([LOS_ANGELES], []), "US-FL": ([NEW_YORK, CHICAGO], ["FL"]), "US-TN": ([NEW_YORK, CHICAGO], []),
    "US-OK": ([CHICAGO], ["OK"]), "90210": ([LOS_ANGELES], []), "97400": (["Indian/Reunion"], ["974"]),
    "67000": ([], ["67"]), "": ([], []),
}  # fmt: skip

ITALY = {
    date(2026, 4, 5), date(2026, 4, 6), date(2026, 4, 25), date(2026, 10, 4), date(2026, 11, 1), date(2026, 12, 8),
}  # fmt: skip
FRANCE = {date(2026, 4, 6), date(2026, 11, 1), date(2026, 11, 11)}
ALSACE = {date(2026, 4, 3)}
# A phone that rings thirty seconds can still ring in the thirtieth.
RING = 30
SECONDS = [0, *range(1, RING), RING]
NOTHING_RANG = ("expired", "refused", "no_lines", "no_agent")


def between(local: datetime, *spans: tuple[float, float]) -> bool:
    hour = local.hour + local.minute / 60 + local.second / 3600 + local.microsecond / 3.6e9
    return any(opens <= hour < closes for opens, closes in spans)


def italy(local: datetime, _: set[str]) -> bool:
    day = local.date()
    if day in ITALY or local.weekday() == 6:
        return False
    short = local.weekday() == 5 or day + timedelta(days=1) in ITALY
    return between(local, (10, 19) if short else (9, 20))


def france(local: datetime, where: set[str]) -> bool:
    day = local.date()
    closed = day in FRANCE or local.weekday() > 4 or ("67" in where and day in ALSACE)
    return not closed and between(local, (10, 13), (14, 20))


def america(local: datetime, where: set[str]) -> bool:
    return between(local, (8, 20) if where & {"FL", "OK"} else (8, 21))


def collectors(local: datetime, _: set[str]) -> bool:
    return between(local, (8, 21))


def britain(local: datetime, _: set[str]) -> bool:
    return between(local, (9 if local.weekday() > 4 else 8, 21))


def any_time(local: datetime, _: set[str]) -> bool:
    return local is not None


LAWS: dict[str, Callable[[datetime, set[str]], bool]] = {
    "default-2026": any_time, "it-2026": italy, "fr-2026": france, "us-2026": america, "us-debt-2026": collectors,
    "uk-2026": britain,
}  # fmt: skip
HOURS: dict[str, Callable[[datetime], bool]] = {
    "always": lambda _: True,
    "mon-sat 09:00-20:00": lambda local: local.weekday() < 6 and between(local, (9, 20)),
    "07:00-22:00": lambda local: between(local, (7, 22)),
    "08:00-12:30 15:00-21:30": lambda local: between(local, (8, 12.5), (15, 21.5)),
}
# Packs under which a person who said no is left in peace, and for how many days.
PEACE = {"fr-2026": 60}
NO = ("refusal", "do-not-call")
RESTS = {"it-2026": timedelta(days=5)}
# Packs by which somebody abandoned is called next with an agent kept, and the modes that keep none for each call.
AGENT_NEXT = {"it-2026": timedelta(days=365)}
WITHOUT_AN_AGENT = ("predictive", "power", "progressive")
# Caller ids barred by law where a machine dials.
BARRED = {"fr-2026": ("+336", "+337")}
REST = timedelta(hours=72)


@dataclass
class History:
    """The raw rows as of one moment."""

    attempts: list[Mapping[str, Any]]
    ledger: list[Mapping[str, Any]]
    campaigns: dict[int, Mapping[str, Any]]
    packs: dict[int, str | None]
    lists_of: Mapping[int, list[int]]
    meanings: dict[int, str]
    caller_ids: dict[str, Mapping[str, Any]]
    pools: list[Mapping[str, Any]]
    gone: set[str]  # who asked to be forgotten: nothing in the tables can say

    @classmethod
    def read(cls, session: Session, gone: Iterable[str]) -> "History":
        def rows(query: str) -> list[Mapping[str, Any]]:
            return [dict(row) for row in session.execute(text(query)).mappings()]

        lists: dict[int, list[int]] = defaultdict(list)
        for row in rows("SELECT id, campaign_id FROM lists"):
            lists[row["campaign_id"]].append(row["id"])
        return cls(
            rows("SELECT * FROM attempts"),
            rows("SELECT * FROM ledger ORDER BY id"),
            {row["id"]: row for row in rows("SELECT * FROM campaigns")},
            {row["id"]: row["rule_pack"] for row in rows("SELECT id, rule_pack FROM lists")},
            lists,
            {row["id"]: row["meaning"] for row in rows("SELECT id, meaning FROM dispositions")},
            {row["number"]: row for row in rows("SELECT * FROM caller_ids")},
            rows("SELECT * FROM campaign_caller_ids"),
            set(gone),
        )

    def forbidden(self, number: str, campaign: int, now: datetime) -> bool:
        """Whether the do-not-call list held the number then, by what the ledger says was added and lifted."""
        scopes: set[int | None] = set()
        for row in self.ledger:
            if row["at"] <= now and row["details"].get("number") == number:
                if row["kind"] == "dnc_added":
                    scopes.add(row["campaign_id"])
                elif row["kind"] == "dnc_removed":
                    scopes.discard(row["campaign_id"])
        return bool(scopes & {None, campaign}) or number in self.gone

    def agreed(self, contact: Mapping[str, Any], now: datetime) -> bool:
        """Whether the contact had agreed: by its file, until somebody said something else."""
        last = bool(contact["custom"].get("agreed"))
        for row in self.ledger:
            said = row["kind"] in ("consent_given", "consent_withdrawn") and row["at"] <= now
            if said and row["details"]["number"] in (contact["phone"], contact["phone2"]):
                last = row["kind"] == "consent_given"
        return last

    def shown(self, campaign: Mapping[str, Any], now: datetime) -> dict[str, float]:
        """Return the caller ids that may be shown now, and how often each; a number without a cap endlessly."""
        pool = [row["number"] for row in self.pools if row["campaign_id"] == campaign["id"]] or [campaign["caller_id"]]
        packs = {campaign["rule_pack"], *(self.packs[one] for one in self.lists_of[campaign["id"]])}
        left: dict[str, float] = {}
        for number in pool:
            kept = self.caller_ids.get(number)
            if any(number.startswith(BARRED.get(pack, ())) for pack in packs if pack):
                continue
            if kept is not None and kept["resting_until"] is not None and now < kept["resting_until"]:
                continue
            cap = kept["daily_cap"] if kept is not None else None
            calls = [one for one in self.attempts if one["caller_id"] == number and one["state"] not in NOTHING_RANG]
            today = sum(now - timedelta(days=1) < one["ordered_at"] <= now for one in calls)
            left[number] = float("inf") if cap is None else max(0, cap - today)
        return {number: calls for number, calls in left.items() if calls}

    def refusals(self, contact: Mapping[str, Any], now: datetime, but: str = "") -> list[str]:
        """Say every rule that a call to the contact at `now` breaks. `but`: the reference of that very call."""
        campaign = self.campaigns[contact["campaign_id"]]
        number = contact["next_number"] or contact["phone"]
        packs = [pack for pack in (campaign["rule_pack"], self.packs[contact["list_id"]]) if pack]
        zones, where = self._place(contact, number)
        earlier = [one for one in self.attempts if one["ordered_at"] <= now and one["ref"] != but]
        rang = [one for one in earlier if one["state"] not in NOTHING_RANG]
        to_it = [one for one in rang if one["number"] == number]
        numbers = {number, contact["phone"], contact["phone2"]}
        to_them = [one for one in rang if one["contact_id"] == contact["id"] or one["number"] in numbers]
        found = []
        if self._state(campaign["id"], now) != "running":
            found.append("campaign")
        if self.forbidden(number, campaign["id"], now):
            found.append("do_not_call")
        if sum(one["contact_id"] == contact["id"] for one in rang) >= campaign["max_attempts"]:
            found.append("attempts")
        if any(one["number"] == number and (one["ended_at"] is None or one["ended_at"] > now) for one in earlier):
            found.append("number_open")
        if not all(self._open(campaign, packs, zone, where, now) for zone in zones):
            found.append("hours")
        gap = timedelta(seconds=campaign["number_gap"])
        if any(now < _at(one) + gap for one in to_it):
            found.append("number_gap")
        rest = max(RESTS.get(pack, REST) for pack in packs)
        if any(one["state"] == "abandoned" and one["ended_at"] and now < one["ended_at"] + rest for one in to_it):
            found.append("rest")
        asked = max(AGENT_NEXT.get(pack, timedelta(0)) for pack in packs)
        if campaign["mode"] in WITHOUT_AN_AGENT and self._left_alone(to_it, now - asked):
            found.append("agent")
        if self._said_no(packs, zones, earlier, contact["id"], numbers, now):
            found.append("refusal")
        found += self._too_often(packs, where, to_it, to_them, now)
        needs = "fr-2026" in packs or campaign["needs_consent"]
        recorded = campaign["mode"] == "agentless" and any(pack != "default-2026" for pack in packs)
        if (needs or recorded) and not self.agreed(contact, now):
            found.append("consent")
        return found

    @staticmethod
    def _left_alone(to_it: list[Mapping[str, Any]], since: datetime) -> bool:
        """Whether the last thing the person heard of us, on this number, was nobody."""
        ends = [one["ended_at"] for one in to_it if one["state"] == "abandoned" and one["ended_at"]]
        last = max(ends, default=None)
        return last is not None and last > since and not any(one["joined_at"] and _at(one) > last for one in to_it)

    def _said_no(
        self,
        packs: list[str],
        zones: set[str],
        earlier: list[Mapping[str, Any]],
        contact: int,
        numbers: set[str],
        now: datetime,
    ) -> bool:
        """Whether the days of peace after a no last, on the calendar of any place the phone may be in."""
        days = max((PEACE.get(pack, 0) for pack in packs), default=0)
        for one in earlier:
            no = self.meanings.get(one["disposition_id"]) in NO and one["ended_at"] is not None
            if no and (one["contact_id"] == contact or one["number"] in numbers):
                for zone in map(ZoneInfo, zones):
                    if (now.astimezone(zone).date() - one["ended_at"].astimezone(zone).date()).days <= days > 0:
                        return True
        return False

    @staticmethod
    def _place(contact: Mapping[str, Any], number: str) -> tuple[set[str], set[str]]:
        zones, where = next((set(z), set(w)) for head, (z, w) in HEADS.items() if number.startswith(head))
        for said in (contact["region"], contact["postcode"]):
            more, laws = HOMES[said]
            zones |= set(more)
            where |= set(laws)
        return zones, where

    @staticmethod
    def _open(campaign: Mapping[str, Any], packs: list[str], zone: str, where: set[str], now: datetime) -> bool:
        for second in SECONDS:
            local = (now + timedelta(seconds=second)).astimezone(ZoneInfo(zone))
            if not HOURS[campaign["hours"]](local) or not all(LAWS[pack](local, where) for pack in packs):
                return False
        return True

    @staticmethod
    def _too_often(
        packs: list[str],
        where: set[str],
        to_it: list[Mapping[str, Any]],
        to_them: list[Mapping[str, Any]],
        now: datetime,
    ) -> list[str]:
        def since(calls: list[Mapping[str, Any]], days: float, *, talked: bool = False) -> int:
            began = now - timedelta(days=days)
            return sum(_at(one) > began and (not talked or one["joined_at"] is not None) for one in calls)

        found = []
        if "us-2026" in packs and where & {"FL", "OK"} and since(to_it, 1) >= 3:
            found.append("three a day")
        if "us-debt-2026" in packs and (since(to_them, 7) >= 7 or since(to_them, 7, talked=True)):
            found.append("seven in seven")
        if "fr-2026" in packs and since(to_them, 30) >= 4:
            found.append("four in thirty")
        return found

    def _state(self, campaign: int, now: datetime) -> str:
        state = "running"
        for row in self.ledger:
            if row["kind"] == "campaign" and row["campaign_id"] == campaign and row["at"] <= now:
                state = row["details"].get("to", state)
        return state


def _at(attempt: Mapping[str, Any]) -> datetime:
    at: datetime = attempt["sent_at"] or attempt["ordered_at"]
    return at
