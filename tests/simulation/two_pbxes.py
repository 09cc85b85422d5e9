"""A virtual day of one campaign on two PBXs, of which one is cut off: people there are rung, and nobody hears of it.

Each PBX is a desk of the virtual call centre with agents of its own; model, window and list are the campaign's. What
the pacer is shown of the other PBX is what the rows would say (`campaigns/pace_view.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from dialer.abandonment import Budget, rate
from dialer.pacing import Happened, Pacer, Snapshot
from dialer.simulation import Campaigning, Centre, Curve, World
from dialer.simulation.desk import Call, Desk

SEEN_FOR = 60.0  # an order of which a lost PBX tells no end counts as ringing for so long
LOSES = 2  # people who are about to answer when it is cut off
BACK_FOR = 30.0  # a PBX that is back is watched for so long before it is called on

View = Callable[["TwoPbxes", Desk, Snapshot], Snapshot]


def world(*, agents: int, chance: float, hours: float = 2.5, **more: float) -> World:
    """Half the agents on each PBX."""
    answers, half = Curve.flat(chance), agents // 2
    desks = (Campaigning("main", answers, agents=half), Campaigning("second", answers, agents=agents - half))
    return World(agents=agents, campaigns=desks, hours=hours, warm_up_hours=0.0, **more)  # type: ignore[arg-type]


@dataclass
class Unseen:
    """What happens on the PBX that is cut off, until somebody can ask."""

    ringing: list[float] = field(default_factory=list)  # when those were launched that rang at the cut
    waiting: int = 0  # customers who waited for an agent then
    lost: int = 0  # people who met nobody
    told: list[tuple[Happened, str]] = field(default_factory=list)


class TwoPbxes(Centre):
    """The day; `second` is cut off until some moment, from the first on at which that loses so many people."""

    def __init__(
        self, of: World, pacer: Pacer, seed: int, cut: tuple[float, float], *, view: View | None = None
    ) -> None:
        super().__init__(of, [pacer, pacer], seed)
        self.main, self.second = self.desks
        self.unseen: Unseen | None = None
        self._view = view or seen
        self.lost_unseen = 0
        self._back_at = cut[1]
        self._at(cut[0], self._cut)

    # the cut ------------------------------------------------------------------------------------------

    def _cut(self) -> None:
        desk = self.second
        if sum(call.fate.answers for call in desk.ringing.values()) < LOSES:
            self._at(self.world.tick, self._cut)
            return
        self._at(self._back_at - self.now, self._back)
        self.unseen = Unseen([call.launched for call in desk.ringing.values()], len(desk.waiting))
        self.unseen.lost = len(desk.waiting)
        desk.waiting.clear()

    def _back(self) -> None:
        unseen, self.unseen = self.unseen, None
        assert unseen is not None
        self.second.result.abandoned_all += unseen.lost
        self.lost_unseen += unseen.lost
        for kind, call in unseen.told:
            self.second.tell(kind, call)

    def _rung(self, call: Call) -> None:
        if self.unseen is None or call.campaign is not self.second or call.name not in self.second.ringing:
            super()._rung(call)
            return
        del self.second.ringing[call.name]
        self.unseen.told.append((Happened.ANSWERED if call.fate.answers else Happened.NO_ANSWER, call.name))
        if call.fate.answers:
            self.unseen.lost += 1
            self.unseen.told.append((Happened.ABANDONED, call.name))

    @property
    def unused(self) -> bool:
        """Whether the second PBX gets no new calls."""
        return self.unseen is not None or self._back_at <= self.now < self._back_at + BACK_FOR

    # what is decided on -------------------------------------------------------------------------------

    def budget(self) -> Budget:
        """What the campaign's window holds, as far as anybody knows."""
        lost, met = (sum(getattr(d.result, name) for d in self.desks) for name in ("abandoned_all", "met_all"))
        return Budget(lost, met, self.world.ceiling)

    @property
    def closing(self) -> float:
        """The rate of the whole day, with what nobody knew of."""
        known = self.budget()
        return rate(known.abandoned + (self.unseen.lost if self.unseen else 0), known.met)

    def _snapshot(self, desk: Desk) -> Snapshot:
        return self._view(self, desk, super()._snapshot(desk))

    def _tick(self) -> None:
        self.second.left = 0 if self.unused else None
        super()._tick()


def seen(day: TwoPbxes, desk: Desk, now: Snapshot) -> Snapshot:
    """What a PBX's look shows, with what the campaign has on the other."""
    other = day.second if desk is day.main else day.main
    ringing, waiting = len(other.ringing), len(other.waiting)
    if other is day.second and day.unseen is not None:
        ringing = sum(day.now - launched < SEEN_FOR for launched in day.unseen.ringing)
        waiting = day.unseen.waiting
    out = other is day.second and day.unseen is not None
    part = 1.0 if out else (desk.shape.agents or 0) / day.world.agents
    return replace(now, budget=day.budget(), part=part, pools_ringing=ringing, pools_waiting=waiting)


def own_losses(day: TwoPbxes, desk: Desk, now: Snapshot) -> Snapshot:
    """What would be shown were the people lost on the other PBX not counted."""
    known = day.budget()
    return replace(now, budget=Budget(desk.result.abandoned_all, known.met, known.ceiling))
