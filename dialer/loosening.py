"""What a rule pack asks that another does not: whoever takes a pack's place with less loosens the law that is kept."""

from collections.abc import Iterator

from dialer.abandonment import RulePack
from dialer.calling_rules import CallingRules
from dialer.windows import Hours


def loosened(old: RulePack, new: RulePack | None) -> list[str]:
    """Return, for people, what `old` asks and `new` does not ask at least as strictly; None asks nothing of calls.

    In doubt it is named: hours that only overlap, or holidays of another country, are not the same.
    """
    if new is None:
        return list(_calls(old.calling, CallingRules())) + (["rest after an abandoned call"] if old.rest else [])
    found = list(_calls(old.calling, new.calling))
    if new.rest < old.rest:
        found.append("rest after an abandoned call")
    if new.answer_limit > old.answer_limit:
        found.append("time from the answer to an agent")
    if new.ring_minimum < old.ring_minimum:
        found.append("minimum ring")
    if not set(old.windows) <= set(new.windows):
        found.append("windows of the abandonment rate")
    return found


def _calls(old: CallingRules, new: CallingRules, where: str = "") -> Iterator[str]:
    if not _inside(new.hours, old.hours):
        yield f"hours{where}"
    if old.eves is not None and (new.eves is None or not _inside(new.eves, old.eves)):
        yield f"hours on the day before a holiday{where}"
    if old.holidays and new.holidays != old.holidays:
        yield f"holidays{where}"
    if not set(old.caps) <= set(new.caps):
        yield f"how often{where}"
    if not old.consent <= new.consent:
        yield f"consent{where}"
    if new.rest_after_refusal < old.rest_after_refusal:
        yield f"rest after a no{where}"
    if old.rest_with_agent and not new.rest_with_agent:
        yield f"rest with an agent kept{where}"
    if new.agent_after_abandoned < old.agent_after_abandoned:
        yield f"an agent kept after an abandoned call{where}"
    for region, law in old.regions.items():
        # What holds in the whole country holds there, too.
        yield from _calls(law, new.regions.get(region, CallingRules(new.hours, caps=new.caps)), f" in {region}")


def _inside(hours: Hours, others: Hours) -> bool:
    """Whether every minute of some hours is among the others."""
    if others.week is None:
        return True
    if hours.week is None:
        return False
    return all(
        any(opens <= start and end <= closes for opens, closes in allowed)
        for day, allowed in zip(hours.week, others.week, strict=True)
        for start, end in day
    )
