"""Templates, and how numbers are written for people. `static/format.js` writes the same in the browser."""

import json
from datetime import UTC, datetime, tzinfo
from pathlib import Path

from markupsafe import Markup, escape
from starlette.templating import Jinja2Templates

from campaigns.tallies import Abandonment
from campaigns.web.wording import on_page

HERE = Path(__file__).parent
STATIC = HERE / "static"

# State -> (sign, words). Never colour alone: the sign and the words say the same.
CAMPAIGN_STATES = {
    "draft": ("✎", "draft"),
    "running": ("▶", "running"),
    "paused": ("‖", "paused"),
    "stopped": ("■", "stopped"),
    "archived": ("▤", "archived"),
}
AGENT_STATES = {
    "talking": ("●", "talking"),
    "assigned": ("◐", "being joined"),
    "parked": ("○", "waiting for a call"),
    "parking": ("◌", "being parked"),
    "ready": ("◇", "ready"),
    "wrap_up": ("✎", "wrap-up"),
    "paused": ("‖", "paused"),
    "out": ("–", "not at work"),
}
OUTCOMES = {
    "completed": "talked to an agent",
    "abandoned": "abandoned: no agent in time",
    "hung_up": "hung up before the limit",
    "played": "heard the recorded message",
    "no_answer": "no answer",
    "busy": "busy",
    "rejected": "rejected",
    "unavailable": "number not reachable",
    "no_lines": "no free line",
    "failed": "failed at the PBX",
    "refused": "refused by the PBX",
    "expired": "not sent in time",
    "lost": "lost track of",
    "no_agent": "agent did not take the call",
}
# State of an import -> (sign, words, level).
IMPORT_STATES = {
    "waiting": ("○", "waits for a worker", ""),
    "running": ("▶", "importing", "warn"),
    "done": ("✓", "done", "good"),
    "none": ("▲", "done, no row taken", "warn"),  # also done; green would say that there is somebody to call
    "failed": ("✗", "failed, nothing imported", "bad"),
    "undone": ("↶", "taken back", ""),
}
# What a row does that repeats a contact, and where repeats are looked for.
REPEATS = {
    "skip": "leave the row out",
    "update": "the contact gets what the row says",
    "merge": "the contact gets what it lacks",
    "link": "take the row, and link the two",
}
# What becomes of a callback at a time when nobody may be called.
OUTSIDE = {"skip": "leave the row out", "move": "move it to the next time that is allowed", "keep": "keep it as it is"}
PLACES = {"list": "this file alone", "campaign": "this campaign", "system": "all campaigns"}
_FIELD_WORDS = {
    "first_name": "first name",
    "last_name": "last name",
    "work_phone": "work phone",
    "home_phone": "home phone",
    "time_zone": "time zone",
    "consent_date": "date of consent",
    "consent_source": "source of consent",
    "dueDate": "due date",
    "custom": "keep under its name",
    "ignore": "leave out",
}

_SPACE = "\u00a0"  # a number and its unit stay on one line


def whole(value: float | None) -> str:
    """12,345; a dash for what is not known."""
    return "–" if value is None else f"{value:,.0f}"


def percent(value: float | None) -> str:
    """3.0 %"""
    return "–" if value is None else f"{value * 100:.1f}{_SPACE}%"


def milliseconds(value: float | None) -> str:
    """85 ms, 1.20 s"""
    if value is None:
        return "–"
    return f"{value:.0f}{_SPACE}ms" if value < 1000 else f"{value / 1000:.2f}{_SPACE}s"


def duration(value: float | None) -> str:
    """8 s, 4 min 05 s, 2 h 10 min"""
    if value is None:
        return "–"
    seconds = int(value)
    if seconds < 60:
        return f"{seconds}{_SPACE}s"
    if seconds < 3600:
        return f"{seconds // 60}{_SPACE}min {seconds % 60:02d}{_SPACE}s"
    return f"{seconds // 3600}{_SPACE}h {seconds % 3600 // 60:02d}{_SPACE}min"


def moment(value: datetime | None, zone: tzinfo = UTC) -> str:
    """27 Nov 2026 17:05 CET: by the clock of the page's campaign, as the command line tells it."""
    return "–" if value is None else f"{value.astimezone(zone):%d %b %Y %H:%M %Z}"


def field_words(name: str) -> str:
    """What a column becomes, in words."""
    return _FIELD_WORDS.get(name, name)


def custom_words(kept: str | None) -> str:
    """Columns kept with a contact, `{"Celulare": "347"}`, as Celulare: 347."""
    return ", ".join(f"{name}: {value}" for name, value in json.loads(kept or "{}").items())


def because(why: str) -> str:
    """The reason of a pace without the number it opens with, which stands beside it in large."""
    number, colon, reason = why.partition(": ")
    return reason if colon and number.isdigit() else why


def with_code(sentence: str) -> Markup:
    """A sentence in which `commands` stand out. Everything else stays text."""
    parts = [escape(part) for part in sentence.split("`")]
    return Markup("").join(Markup("<code>{}</code>").format(part) if at % 2 else part for at, part in enumerate(parts))


def abandonment_words(spent: Abandonment) -> str:
    """What the ceiling leaves, in words, and what a machine detector has spent of it."""
    detector = f"; {spent.mistaken} lost to the machine detector" if spent.mistaken else ""
    return _left_in_words(spent) + detector


def _left_in_words(spent: Abandonment) -> str:
    if not spent.abandoned + spent.met:
        return "○ nobody has answered yet"
    if spent.over:
        return f"▲ above the ceiling until {spent.to_meet} more people were met"
    if spent.calls_left == 0:
        return f"■ none to spare until {spent.to_meet} more people were met"
    if spent.calls_left is None:
        return "✓ no ceiling"
    return f"✓ {spent.calls_left} more may be abandoned ({spent.abandoned} so far)"


def abandonment_level(spent: Abandonment) -> str:
    """How it stands, for the colour beside the words."""
    if spent.over:
        return "bad"
    return "warn" if spent.calls_left == 0 and spent.met else "good"


templates = Jinja2Templates(directory=HERE / "templates")
templates.env.filters.update(
    whole=whole,
    percent=percent,
    milliseconds=milliseconds,
    duration=duration,
    because=because,
    with_code=with_code,
    moment=moment,
    field_words=field_words,
    custom_words=custom_words,
    on_page=on_page,
)
templates.env.globals.update(
    campaign_states=CAMPAIGN_STATES,
    agent_states=AGENT_STATES,
    outcomes=OUTCOMES,
    import_states=IMPORT_STATES,
    repeats_words=REPEATS,
    places_words=PLACES,
    outside_words=OUTSIDE,
    abandonment_words=abandonment_words,
    abandonment_level=abandonment_level,
)
