"""What a rule pack says about calling somebody at all: hours, holidays, how often, consent, caller ids, by region.

Dated readings of the rules as data, each with where it was read and how sure we are of it. None of it is legal advice.
"Read" was read in the text of the rule or of its authority; "told" in what others write about it; "unsure" is to be
checked before anybody relies on it; "ours" is our own choice where the rule names nothing. Several packs may apply to
one call, the campaign's and its list's: all of them hold.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal

from dialer.caller_id_laws import CallerIdRule
from dialer.caps import Cap
from dialer.holiday_calendars import HolidayCalendar
from dialer.modes import AGENTLESS, AUTOMATIC, MODES
from dialer.places import Place
from dialer.windows import Hours, Timetable

Sure = Literal["read", "told", "unsure", "ours"]
ALWAYS = Hours.parse("always")


@dataclass(frozen=True, slots=True)
class Reading:
    """Where one rule of a pack was read."""

    rule: str  # hours, holidays, caps, rest, refusal, consent, caller ids
    source: str
    sure: Sure


@dataclass(frozen=True, slots=True)
class CallingRules:
    """The rules of one law. What it does not name is empty, and allows everything."""

    hours: Hours = ALWAYS
    eves: Hours | None = None  # on the day before a holiday
    holidays: str = ""  # the country whose public holidays are kept
    caps: tuple[Cap, ...] = ()
    consent: frozenset[str] = frozenset()  # modes in which a person must have agreed beforehand
    rest_after_refusal: timedelta = timedelta(0)  # who said no to any campaign is not called for so many whole days
    rest_with_agent: bool = False  # the rest after an abandoned call holds even where an agent is kept for the next one
    # After an abandoned call the next one is made with an agent kept for it, for so long or until they met one.
    agent_after_abandoned: timedelta = timedelta(0)
    caller_ids: tuple[CallerIdRule, ...] = ()
    readings: tuple[Reading, ...] = ()
    regions: Mapping[str, "CallingRules"] = field(default_factory=dict)  # besides, by ISO 3166-2

    def __hash__(self) -> int:
        return id(self)  # one object for each law, made here and never changed


@dataclass(frozen=True, slots=True)
class InForce:
    """The rules that hold for one phone, all at once."""

    timetables: tuple[Timetable, ...] = ()
    caps: tuple[Cap, ...] = ()
    consent: str = ""  # the pack that needs it; empty: none does
    rest_after_refusal: timedelta = timedelta(0)
    refusal_by: str = ""  # the pack that asks for that rest; empty: none does


def in_force(packs: Sequence[tuple[str, CallingRules]], place: Place, mode: str) -> InForce:
    """Return what the packs, each with its name, ask of a call to a phone that may be in `place`."""
    timetables: list[Timetable] = []
    caps: list[Cap] = []
    consent = ""
    refusal = (timedelta(0), "")
    for name, rules in _with_regions(packs, place.regions):
        if not rules.hours.always or rules.holidays:
            calendar: Container[date] = (
                HolidayCalendar(rules.holidays, place.regions) if rules.holidays else frozenset()
            )
            timetables.append(Timetable(rules.hours, calendar, rules.eves, name))
        caps += rules.caps
        if mode in rules.consent and not consent:
            consent = name
        refusal = max(refusal, (rules.rest_after_refusal, name if rules.rest_after_refusal else ""))
    return InForce(tuple(timetables), tuple(dict.fromkeys(caps)), consent, *refusal)


def _with_regions(
    packs: Iterable[tuple[str, CallingRules]], regions: Sequence[str]
) -> Iterable[tuple[str, CallingRules]]:
    for name, rules in packs:
        yield name, rules
        for region in regions:
            if region in rules.regions:
                yield f"{name}, {region}", rules.regions[region]


_DAY = timedelta(days=1)
_ALL = frozenset(MODES)
_RECORDED = frozenset({AGENTLESS})
_EIGHT_TO_EIGHT = Hours.parse("08:00-20:00")
_THREE_A_DAY = Cap(3, _DAY)

# Every law here wants a number that is ours and can be called back. Whether somebody answers there we cannot know.
_GENUINE = CallerIdRule(genuine=True)


def _state(source: str, sure: Sure, hours: str, *caps: Cap) -> CallingRules:
    rules = ("hours", "caps") if caps else ("hours",)
    return CallingRules(hours=Hours.parse(hours), caps=caps, readings=tuple(Reading(r, source, sure) for r in rules))


_US_HOURS = Reading("hours", "16 CFR 310.4(c); 47 CFR 64.1200(c)(1): 8 to 21 where the called person is", "read")
_US_RECORDED = Reading("consent", "16 CFR 310.4(b)(1)(v); 47 CFR 64.1200(a)(2) and (3), for recorded messages", "read")
_US_CALLER_ID = Reading(
    "caller ids",
    "47 CFR 64.1601(e); 16 CFR 310.4(a)(8): shown, and it takes do-not-call requests in office hours",
    "told",
)

US = CallingRules(
    hours=Hours.parse("08:00-21:00"),
    consent=_RECORDED,
    caller_ids=(_GENUINE,),
    readings=(_US_HOURS, _US_RECORDED, _US_CALLER_ID),
    regions={
        "US-FL": _state("Florida Statutes 501.616(6): 8 to 20, three in 24 h", "told", "08:00-20:00", _THREE_A_DAY),
        "US-OK": _state("Oklahoma HB 3168 of 2022: 8 to 20, three in 24 h", "told", "08:00-20:00", _THREE_A_DAY),
        "US-MD": _state("Maryland, Stop the Spam Calls Act of 2023", "told", "08:00-20:00", _THREE_A_DAY),
        "US-WA": _state("Washington HB 1497 of 2022: 8 to 20", "told", "08:00-20:00"),
        "US-CT": _state("Connecticut, Public Act 23-98: 9 to 20", "unsure", "09:00-20:00"),
        "US-TX": _state("Texas, Business and Commerce Code 301.051", "unsure", "mon-sat 09:00-21:00, sun 12:00-21:00"),
    },
)
# A presumption, for debt collectors: what keeps both counts is taken to comply. The day of a conversation is the first
# of the seven; we count from the conversation itself, which is never less.
US_DEBT = CallingRules(
    hours=Hours.parse("08:00-21:00"),
    caps=(
        Cap(7, 7 * _DAY, "number"), Cap(7, 7 * _DAY, "contact"),
        Cap(1, 7 * _DAY, "number", "talks"), Cap(1, 7 * _DAY, "contact", "talks"),
    ),
    consent=_RECORDED,
    caller_ids=(_GENUINE,),
    readings=(
        Reading("hours", "12 CFR 1006.6(b)(1): before 8 and after 21 are presumed inconvenient", "read"),
        Reading("caps", "12 CFR 1006.14(b)(2): seven in seven days about one debt; we count every call", "read"),
        _US_RECORDED,
        _US_CALLER_ID,
    ),
)  # fmt: skip
UK = CallingRules(
    hours=Hours.parse("mon-fri 08:00-21:00, sat-sun 09:00-21:00"),
    consent=_RECORDED,
    caller_ids=(_GENUINE,),
    readings=(
        Reading("hours", "no law names them: what the industry's codes hold reasonable", "ours"),
        Reading("consent", "Privacy and Electronic Communications Regulations 2003, 19: automated calls", "told"),
        Reading(
            "caller ids",
            "Ofcom, General Condition C6 and its guidance, and the policy of March 2017: a valid number "
            "that identifies the caller and can be called back",
            "told",
        ),
    ),
)
IT = CallingRules(
    hours=Hours.parse("mon-fri 09:00-20:00, sat 10:00-19:00"),
    eves=Hours.parse("10:00-19:00"),
    holidays="IT",
    consent=_RECORDED,
    rest_with_agent=True,
    agent_after_abandoned=timedelta(days=365),  # it names no end: a year is ours
    # 0843 is for statistics and 0844 for selling; whoever can be called back need not use them.
    caller_ids=(_GENUINE,),
    readings=(
        Reading("hours", "code of conduct for telemarketing, Garante 148 of 7 March 2024; binds who joined it", "told"),
        Reading("holidays", "the same: none on Sundays and holidays, Saturday's hours before them", "told"),
        Reading("consent", "Codice privacy, art. 130(1): calls without an operator", "told"),
        Reading("rest", "Garante 83/2014, five days, and at the next contact an agent guaranteed", "told"),
        Reading(
            "caller ids",
            "legge 5/2018, art. 2, and AGCOM 156/18/CONS: 0843 or 0844, or a number that identifies the "
            "caller and can be called back",
            "told",
        ),
    ),
)
_BY_MACHINE = frozenset((*AUTOMATIC, AGENTLESS))
_FR_VERIFIED = tuple(
    f"+33{head}" for head in ("162", "163", "270", "271", "377", "378", "424", "425", "568", "569", "948", "949",
                              "9475", "9476", "9477", "9478", "9479")
)  # fmt: skip
FR = CallingRules(
    hours=Hours.parse("mon-fri 10:00-13:00 14:00-20:00"),
    holidays="FR",
    caps=(Cap(4, 30 * _DAY, "number"), Cap(4, 30 * _DAY, "contact")),
    consent=_ALL,
    rest_after_refusal=60 * _DAY,
    caller_ids=(
        _GENUINE,
        CallerIdRule(barred=("+336", "+337"), modes=_BY_MACHINE, instead=f"a verified one: {', '.join(_FR_VERIFIED)}"),
        CallerIdRule(asked_for=_FR_VERIFIED, of="+33", modes=_BY_MACHINE),
    ),
    readings=(
        Reading("hours", "Code de la consommation D. 223-9 (décret 2022-1313)", "read"),
        Reading("holidays", "the same, by Code du travail L. 3133-1", "read"),
        Reading("caps", "the same: four in thirty days; of one professional, which is taken for all campaigns", "read"),
        Reading("refusal", "the same: sixty calendar days from a refusal in the conversation, for the professional, "
                           "which is taken for all campaigns", "read"),
        Reading("consent", "Code de la consommation L. 223-1 (loi 2025-594), from 11 August 2026; a contract in "
                           "force is the exception: give it as the consent's source", "told"),
        Reading("caller ids", "ARCEP 2022-1583, since 2023: automated systems show no 06 or 07, and others "
                              "only of the verified ranges; that a predictive dialer with agents is one is our "
                              "stricter reading", "told"),
    ),
)  # fmt: skip
NONE = CallingRules(readings=(Reading("hours", "the campaign's own hours and limits alone", "ours"),))
