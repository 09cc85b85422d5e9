"""Judges a run by the book alone: who was rung twice, who heard silence, who talked to whom."""

from collections import Counter
from dataclasses import asdict

from dialer.pbx.simulator.book import Book, CustomerCall

_SHOWN = 50  # of each kind of trouble, in a summary


def judge(book: Book, *, now: float, limit: float, tolerance: float) -> dict[str, object]:
    """Sum the book up. `limit` is how long an answered customer may hear neither agent nor message."""
    answered = [call for call in book.calls if call.answered_at is not None]
    joined = [call for call in answered if call.talks]
    silences = {call.leg: call.longest_silence(now) for call in answered}
    silent = [call for call in answered if silences[call.leg] > limit + tolerance]
    unserved = [call for call in answered if not call.talks and not call.messages]
    waits = sorted(float(call.talks[0][1] or 0) - (call.answered_at or 0.0) for call in joined)
    rings = rings_per_number(book)
    return {
        "time": round(now, 3),
        "calls": len(book.calls),
        "calls_up": sum(call.ended_at is None for call in book.calls),
        "answered": len(answered),
        "joined": len(joined),
        "joined_in_time": sum(wait <= limit for wait in waits),
        "abandoned": sum(is_abandoned(call, now, limit) for call in answered),
        "heard_message": sum(bool(call.messages) for call in answered),
        "message_without_agent": sum(bool(call.messages) and not call.talks for call in answered),
        "hung_up_waiting": sum(call.ended_by == "customer" for call in unserved),
        "ended_unserved": Counter(call.ended_by for call in unserved if call.ended_at is not None),
        "double_dials": len(book.double_dials),
        "double_dial_list": book.double_dials[:_SHOWN],
        "silent_calls": len(silent),
        "silent_call_list": [{**_short(call), "silence": round(silences[call.leg], 3)} for call in silent[:_SHOWN]],
        "longest_silence": round(max(silences.values(), default=0.0), 3),
        "two_on_one": len(book.two_on_one),
        "two_on_one_list": book.two_on_one[:_SHOWN],
        "numbers": len(rings),
        "most_rings_of_a_number": max(rings.values(), default=0),
        "outcomes": Counter(str(call.outcome) for call in book.calls if call.ended_at is not None),
        "talk_seconds": round(talk_seconds(book, now), 3),
        "occupancy": round(occupancy(book, now), 4),
        "agents": {
            extension: {state: round(spent, 3) for state, spent in agent.time_in(now).items()}
            for extension, agent in book.agents.items()
        },
        "answer_to_agent_ms": {f"p{share}": round(_percentile(waits, share) * 1000, 1) for share in (50, 95, 99)},
        "requests": dict(book.requests),
        "refused": dict(book.refused),
        "ignored": dict(book.ignored),
        "happenings": [[round(at, 3), what] for at, what in book.happenings[-_SHOWN:]],
    }


def is_abandoned(call: CustomerCall, now: float, limit: float) -> bool:
    """Whether an answered customer met no agent in time, as the law counts.

    A message takes nobody out; who hung up before the limit, and before any message, was not abandoned.
    """
    answered = call.answered_at or 0.0
    if call.talks and float(call.talks[0][1] or 0) - answered <= limit:
        return False
    if call.messages or call.talks:
        return True
    waited = (now if call.ended_at is None else call.ended_at) - answered
    return waited >= limit or call.ended_by not in ("customer", "")


def every_call(book: Book, now: float) -> list[dict[str, object]]:
    """Every call of the book, with the length of its worst silence."""
    return [
        {**asdict(call), "silence": None if call.answered_at is None else round(call.longest_silence(now), 3)}
        for call in book.calls
    ]


def rings_per_number(book: Book) -> dict[str, int]:
    """How often each number was dialled."""
    return dict(Counter(call.number for call in book.calls))


def too_soon(book: Book, min_gap: float) -> list[dict[str, object]]:
    """Numbers dialled again within `min_gap` seconds after their last call began."""
    last: dict[str, CustomerCall] = {}
    found: list[dict[str, object]] = []
    for call in book.calls:
        before = last.get(call.number)
        if before is not None and call.dialled_at - before.dialled_at < min_gap:
            found.append({"number": call.number, "first": _short(before), "second": _short(call)})
        last[call.number] = call
    return found


def talk_seconds(book: Book, now: float) -> float:
    return sum(
        (now if talk[2] is None else float(talk[2])) - float(talk[1] or 0) for call in book.calls for talk in call.talks
    )


def occupancy(book: Book, now: float) -> float:
    """Share of the agents' time at work that was talk or wrap-up; breaks and absence do not count as work."""
    busy = at_work = 0.0
    for agent in book.agents.values():
        spent = agent.time_in(now)
        busy += spent.get("talking", 0.0) + spent.get("wrap-up", 0.0)
        at_work += sum(seconds for state, seconds in spent.items() if state != "away")
    return busy / at_work if at_work else 0.0


def _short(call: CustomerCall) -> dict[str, object]:
    return {
        "number": call.number,
        "extid": call.extid,
        "call_id": call.call_id,
        "dialled_at": round(call.dialled_at, 3),
        "answered_at": call.answered_at and round(call.answered_at, 3),
        "ended_at": call.ended_at and round(call.ended_at, 3),
        "ended_by": call.ended_by,
    }


def _percentile(values: list[float], share: int) -> float:
    """The nearest-rank percentile of sorted values; 0 of none."""
    return values[min(len(values) - 1, max(0, -(-len(values) * share // 100) - 1))] if values else 0.0
