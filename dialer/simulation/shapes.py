"""Named shapes of days: what a real day does to a pacer, one thing at a time.

Each is made for any team, answer chance and talk: "twice the answers" is twice what the list gives otherwise.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil

from dialer.errors import NotFound
from dialer.simulation.draws import LogNormal
from dialer.simulation.world import Campaigning, Curve, Detection, Group, Inbound, World, drift, steps


@dataclass(frozen=True)
class Shape:
    """A shape of day: a sentence about it, and what it makes of a stationary world."""

    says: str
    bend: Callable[[World, float], World]  # given the world and its answer chance


def shape(name: str, *, agents: int = 20, answers: float = 0.25, talk: float = 180.0) -> World:
    """Return the world of this shape; NotFound names the shapes there are."""
    try:
        chosen = SHAPES[name]
    except KeyError:
        raise NotFound(f"there is no day called {name!r}; there are: {', '.join(SHAPES)}") from None
    plain = World(
        agents=agents,
        campaigns=(Campaigning(answers=Curve.flat(answers)),),
        talk=LogNormal(talk, 1.0),
    )
    return chosen.bend(plain, answers)


def _answering(world: World, answers: Curve) -> World:
    return replace(world, campaigns=(replace(world.campaigns[0], answers=answers),))


def _part(of: int, share: float) -> int:
    """Return a part of the team, never nobody."""
    return max(1, round(of * share))


def _cycle(world: World) -> float:
    """Return the seconds from one conversation of an agent to the next, roughly, at an easy pace."""
    return world.talk.mean + world.wrap_up.mean + 45.0


def _stationary(world: World, answers: float) -> World:  # noqa: ARG001
    return world


def _cold_start(world: World, answers: float) -> World:  # noqa: ARG001
    return replace(world, warm_up_hours=0.0, hours=2.0)


def _answer_steps(world: World, answers: float) -> World:
    few, many = 0.48 * answers, min(0.95, 2.0 * answers)
    return _answering(world, steps((0, few), (1.5, many), (2.5, few), (3.5, many), (4.25, few)))


def _answer_drift(world: World, answers: float) -> World:
    return _answering(world, drift((0, min(0.95, 1.4 * answers)), (5, 0.48 * answers)))


def _lunch(world: World, answers: float) -> World:  # noqa: ARG001
    return replace(world, at_work=steps((0, world.agents), (2, _part(world.agents, 0.3)), (3, world.agents)))


def _shift_change(world: World, answers: float) -> World:  # noqa: ARG001
    early, late = _part(world.agents, 0.4), _part(world.agents, 0.6)
    return replace(world, at_work=steps((0, early), (2, world.agents), (3.5, late)))


def _short_list(world: World, answers: float) -> World:
    contacts = ceil(world.agents * 3 * 3600 / _cycle(world) / answers)
    return replace(world, campaigns=(replace(world.campaigns[0], contacts=contacts),))


def _few_lines(world: World, answers: float) -> World:  # noqa: ARG001
    return replace(world, lines=max(world.agents + 1, round(1.2 * world.agents)))


def _slow_pbx(world: World, answers: float) -> World:  # noqa: ARG001
    return replace(world, launch_delay=3.0, told_late=0.7)


def _machines(world: World, answers: float) -> World:  # noqa: ARG001
    return replace(world, machines=0.4)


def _machines_detected(world: World, answers: float) -> World:  # noqa: ARG001
    return replace(world, machines=0.4, detection=Detection())


def _shared_agents(world: World, answers: float) -> World:
    return replace(
        world,
        campaigns=(
            Campaigning("cold", Curve.flat(0.48 * answers), weight=1.0),
            Campaigning("usual", Curve.flat(answers), weight=2.0),
            Campaigning("warm", Curve.flat(min(0.95, 2.0 * answers)), weight=1.0),
        ),
    )


def _shared_lines(world: World, answers: float) -> World:
    half = world.agents // 2
    return replace(
        world,
        lines=max(world.agents + 1, round(1.5 * world.agents)),
        campaigns=(
            Campaigning("one", Curve.flat(0.48 * answers), agents=half),
            Campaigning("other", Curve.flat(answers), agents=world.agents - half),
        ),
    )


def _inbound(world: World, answers: float) -> World:  # noqa: ARG001
    busy = 0.25 * world.agents  # agents whom those who call in keep busy, on average
    per_hour = 3600 * busy / (world.talk.mean + world.wrap_up.mean)
    return replace(
        world, inbound=Inbound(drift((0, per_hour), (2, 1.5 * per_hour), (4, 0.5 * per_hour)), talk=world.talk)
    )


def _unequal_contacts(world: World, answers: float) -> World:
    groups = (
        Group("seldom", 0.35, 0.4),
        Group("usual", 0.5, 1.0),
        Group("often", 0.15, min(2.4, 0.95 / answers)),  # the list as a whole answers as any other
    )
    return replace(world, campaigns=(replace(world.campaigns[0], groups=groups),))


SHAPES = {
    "stationary": Shape("The same all day: what the table is measured in.", _stationary),
    "cold_start": Shape("No warm-up: everything is measured from the first call, and nothing is known.", _cold_start),
    "answer_steps": Shape("The answer chance jumps between half and twice its usual, four times.", _answer_steps),
    "answer_drift": Shape("The answer chance falls to a third, slowly, over the whole day.", _answer_drift),
    "lunch": Shape("Seven agents of ten leave for an hour, each after their conversation.", _lunch),
    "shift_change": Shape("Two fifths of the team begin, then all are there, then three fifths stay.", _shift_change),
    "short_list": Shape("The list is used up in the middle of the day.", _short_list),
    "few_lines": Shape("1.2 lines for each agent: few calls can ring beside the conversations.", _few_lines),
    "slow_pbx": Shape("A phone rings 3 s after the order, and what happens is told 0.7 s late.", _slow_pbx),
    "machines": Shape("Four answers of ten are machines, which an agent hears out for some seconds.", _machines),
    "machines_detected": Shape(
        "Four answers of ten are machines; a detector listens for 1 s, misses a tenth of them and hangs up on 2 % of "
        "the people.",
        _machines_detected,
    ),
    "shared_agents": Shape(
        "Three campaigns that answer half, once and twice as often share a team 1 : 2 : 1.", _shared_agents
    ),
    "shared_lines": Shape("Two teams, each with its own campaign, share 1.5 lines for each agent.", _shared_lines),
    "inbound": Shape("People who call in keep a quarter of the team busy, and go first.", _inbound),
    "unequal_contacts": Shape(
        "A third of the contacts answer 0.4 times as often as usual, some 2.4 times, and the pacer may choose.",
        _unequal_contacts,
    ),
}
