"""Named shapes of days: placeholder until the shapes arrive."""

from collections.abc import Callable

from dialer.simulation.draws import LogNormal
from dialer.simulation.world import Campaigning, Curve, World, steps


def _stationary(agents: int, answers: float, talk: float) -> World:
    return World(agents=agents, campaigns=(Campaigning(answers=Curve.flat(answers)),), talk=LogNormal(talk, 1.0))


def _lunch(agents: int, answers: float, talk: float) -> World:
    world = _stationary(agents, answers, talk)
    return World(
        agents=agents,
        campaigns=world.campaigns,
        talk=world.talk,
        at_work=steps((0, agents), (2, agents // 2), (3, agents)),
    )


SHAPES: dict[str, Callable[[int, float, float], World]] = {"stationary": _stationary, "lunch": _lunch}


def shape(name: str, *, agents: int = 20, answers: float = 0.25, talk: float = 180.0) -> World:
    """Return the world of this name."""
    return SHAPES[name](agents, answers, talk)
