"""What people type, and what it means: shares, durations, lines, moments."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any

import click


class Share(click.ParamType[float]):
    """0.03, 3% or 3 %: a share between 0 and 1."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        text = str(value).strip().replace(",", ".")
        try:
            return float(text.removesuffix("%")) / 100 if text.endswith("%") else float(text)
        except ValueError:
            self.fail(f"{value!r} is no share: write 0.03 or 3%", param, ctx)


class Lines(click.ParamType[int]):
    """A number of lines, or `unlimited` (given as 0)."""

    name = "lines"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value).strip().lower()
        if text in ("unlimited", "none"):
            return 0
        if not text.isdecimal() or int(text) == 0:
            self.fail(f"{value!r} is no number of lines: write 1 or more, or unlimited", param, ctx)
        return int(text)


class Duration(click.ParamType[float]):
    """Seconds, or 90s, 15m, 2h, 1d."""

    name = "duration"
    _UNITS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}  # noqa: RUF012

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, int | float):
            return float(value)
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d|)", str(value).strip().lower())
        if match is None:
            self.fail(f"{value!r} is no duration: write seconds, or 90s, 15m, 2h, 1d", param, ctx)
        return float(match[1]) * self._UNITS[match[2]]


# What `OrNot` gives for its word: not the same as an option that was not given.
NOTHING = object()


class OrNot(click.ParamType[Any]):
    """A number or a duration, or a word that takes it back: `unlimited`, `ring-out`."""

    def __init__(self, of: click.ParamType[Any], word: str) -> None:
        self._of, self._word = of, word
        self.name = of.name

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:  # noqa: ARG002
        return f"{self.name.upper()}|{self._word}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value is NOTHING or str(value).strip().lower() in (self._word, "none"):
            return NOTHING
        return self._of.convert(value, param, ctx)


class Moment(click.ParamType["date | datetime"]):
    """A day, or a day and a time; without an offset it is local to the campaign."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date | datetime:
        if isinstance(value, date):
            return value
        text = str(value).strip()
        try:
            return date.fromisoformat(text) if len(text) == 10 else datetime.fromisoformat(text)
        except ValueError:
            self.fail(f"{value!r} is no date: write 2026-03-31 or 2026-03-31T14:00", param, ctx)


class ClockTime(click.ParamType[time]):
    """A time of day: 09:00."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> time:
        if isinstance(value, time):
            return value
        match = re.fullmatch(r"(\d{1,2}):(\d{2})", str(value).strip())
        if match is None or int(match[1]) > 23 or int(match[2]) > 59:
            self.fail(f"{value!r} is no time of day: write 09:00", param, ctx)
        return time(int(match[1]), int(match[2]))


class ModeOfDialling(click.ParamType[str]):
    """A mode of dialling, by the one list of those there are; a wrong one is refused where a pacer is made."""

    name = "mode"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ARG002
        return str(value).strip().lower()

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:  # noqa: ARG002
        from click.shell_completion import CompletionItem

        from dialer.pacing import MODES

        return [CompletionItem(mode) for mode in MODES if mode.startswith(incomplete)]


@dataclass(frozen=True, slots=True)
class Said:
    """A moment as somebody said it; what it means needs to know where, and what time it is now."""

    text: str
    ago: timedelta | None = None
    clock: time | None = None
    moment: datetime | None = None

    def at(self, now: datetime, zone: tzinfo) -> datetime:
        """Return the moment, seen from `now`, in a place's time zone."""
        if self.ago is not None:
            return now - self.ago
        if self.clock is not None:
            return datetime.combine(now.astimezone(zone).date(), self.clock, tzinfo=zone)
        assert self.moment is not None
        return self.moment if self.moment.tzinfo is not None else self.moment.replace(tzinfo=zone)


class SaidTime(click.ParamType[Said]):
    """A moment: 2026-03-31T14:03:12, 14:03[:12] today, -5m for five minutes ago, or now."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Said:
        if isinstance(value, Said):
            return value
        text = str(value).strip()
        if text.lower() == "now":
            return Said(text, ago=timedelta())
        if match := re.fullmatch(r"-\s*(\d{1,7})\s*(s|min|m|h|d)", text.lower()):
            unit = {"s": "seconds", "m": "minutes", "min": "minutes", "h": "hours", "d": "days"}[match[2]]
            return Said(text, ago=timedelta(**{unit: int(match[1])}))
        try:
            if re.fullmatch(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?", text):
                return Said(text, clock=time.fromisoformat(text.zfill(len(text) + (text[1] == ":"))))
            return Said(text, moment=datetime.fromisoformat(text))
        except ValueError:
            self.fail(
                f"{value!r} is no time: write 2026-03-31T14:03:12, 14:03 or 14:03:12 for today, or -5m for five "
                "minutes ago",
                param,
                ctx,
            )


def one_campaign(by_place: str | None, by_option: str | None) -> str | None:
    """Return the campaign of a command that takes it in its place, as its neighbours do, or as --campaign."""
    if by_place is not None and by_option is not None and by_place != by_option:
        raise click.UsageError(f"{by_place} and --campaign {by_option} are two campaigns: give one")
    return by_place if by_place is not None else by_option
