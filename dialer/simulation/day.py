"""A day in the virtual world: ring, answer, wait, talk, wrap up, one event at a time, and a pacer at every tick.

Nothing here is clever. An answered person gets the agent who has been idle longest, or leaves after the patience
of the law; an agent is busy until the wrap-up is over; staff who go home go when they are free. What is measured
lies between the warm-up and the end of the day.
"""

import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from heapq import heappop, heappush
from typing import Any

from dialer.calls import CallState
from dialer.pacing import Goals, Happened, Pacer, Snapshot
from dialer.pacing.staying import LONGEST, must_stay
from dialer.simulation.desk import Agent, Call, Caller, Desk
from dialer.simulation.results import Day
from dialer.simulation.world import World

_SAMPLE = 10.0


class Centre:
    """The day itself. One pacer for each campaign of the world, in their order."""

    def __init__(
        self,
        world: World,
        pacers: Sequence[Pacer],
        seed: int,
        *,
        goals: Goals | None = None,
        staffing: Callable[[float], float] | None = None,
    ) -> None:
        self.world, self.seed = world, seed
        self.goals = goals or Goals(min_ring=world.min_ring, inbound_first=bool(world.inbound and world.inbound.first))
        self.day = Day(seed)
        self.now, self._events, self._calls = 0.0, 0, 0
        self._agenda: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []
        self.desks = [
            Desk(shape, pacer, n, world=world, seed=seed, clock=self.clock)
            for n, (shape, pacer) in enumerate(zip(world.campaigns, pacers, strict=True))
        ]
        self.day.campaigns = [desk.result for desk in self.desks]
        self.idle: deque[Agent] = deque(self._team())
        self.away: list[Agent] = []
        self.wrapping: dict[Agent, float] = {}
        self.parking = 0  # agents being put on the line again
        self.staying = 0  # free agents who would have gone, but for the calls that ring
        self._staying_since = 0.0
        self.inbound_talks: dict[Agent, float] = {}
        self.inbound_waiting: deque[Caller] = deque()
        self._arrivals = random.Random(f"{seed} inbound")
        self._staffing = staffing or world.at_work
        self._one = len(self.desks) == 1
        self._warm, self._end = world.warm_up_hours * 3600, world.seconds
        self._at_work_since: dict[Agent, float] = dict.fromkeys(self.idle, 0.0)

    def _team(self) -> list[Agent]:
        team: list[Agent] = []
        own = 0
        for desk in self.desks:
            for _ in range(desk.shape.agents or 0):
                own += 1
                team.append(Agent(f"agent {own}", desk))
        return team + [Agent(f"agent {n}", None) for n in range(own + 1, self.world.agents + 1)]

    def clock(self) -> datetime:
        """Now, as the pacer knows it."""
        return self.world.begins + timedelta(seconds=self.now)

    # the course of the day ----------------------------------------------------------------------------

    def run(self) -> Day:
        """Live through the day."""
        tick, end, agenda = 0.0, self._end, self._agenda
        if self.world.inbound is not None:
            self._at(0.0, self._next_caller)
        sampled = 0.0
        while tick < end:
            while agenda and agenda[0][0] <= tick:
                self.now, _, what, who = heappop(agenda)
                what(*who)
            self.now = tick
            self._tick()
            if tick >= sampled:
                self._sample()
                sampled += _SAMPLE
            if all(desk.used_up and not desk.ringing and not desk.waiting and not desk.talking for desk in self.desks):
                break
            tick += self.world.tick
        self._close()
        return self.day

    def _at(self, seconds: float, what: Callable[..., None], *who: object) -> None:
        self._events += 1
        heappush(self._agenda, (self.now + seconds, self._events, what, who))

    def _tick(self) -> None:
        if self._staffing is not None:
            self._staff()
        for desk in self.desks:
            if desk.used_up:
                if not desk.ringing and not desk.waiting and not desk.talking and desk.result.finished_at is None:
                    desk.result.finished_at = self.now
                continue
            if not desk.may_dial(self.now):
                continue
            seen = self._snapshot(desk)
            pace = desk.pacer.decide(self.clock(), seen)
            desk.chance = pace.reckoned.get("answer_chance", desk.chance)
            for name in pace.give_up:
                self._give_up(desk, name)
            calls = min(pace.calls, seen.lines_left)
            wanted = iter(pace.choose)
            for _ in range(calls if desk.left is None else min(calls, desk.left)):
                self._launch(desk, next(wanted, None))
        ringing = sum(len(desk.ringing) for desk in self.desks)
        if ringing > self.day.most_ringing:
            self.day.most_ringing = ringing

    def _snapshot(self, desk: Desk) -> Snapshot:
        now = self.now
        lines = self.world.all_lines - sum(len(d.ringing) + len(d.waiting) + len(d.talking) for d in self.desks)
        common: dict[str, Any] = {
            "ringing": tuple([now - call.launched for call in desk.ringing.values()]),
            "ringing_calls": tuple(desk.ringing),
            "talking": tuple([now - call.since for call in desk.talking.values()]),
            "waiting": len(desk.waiting),
            "free_lines": max(0, lines),
            "budget": desk.budget(),
            "goals": self.goals,
        }
        if desk.shape.groups or desk.due_by_group:
            common["ringing_groups"] = tuple([call.group for call in desk.ringing.values()])
            common["prospects"] = tuple(sorted(desk.due_by_group.items()))
        if self.world.inbound is not None:
            common["inbound_waiting"] = len(self.inbound_waiting)
        if self._one and self.world.inbound is None:
            free = self.idle
            return Snapshot(
                idle=self.parking,
                parked=max(0, len(free) - self.staying),
                wrapping=tuple([now - since for since in self.wrapping.values()]),
                waits=tuple([now - agent.since for agent in free]) if self.goals.desired_wait else (),
                **common,
            )
        ours = [agent for agent in self.idle if agent.desk is None or agent.desk is desk]
        others = [d for d in self.desks if d is not desk and desk.shape.agents is None and d.shape.agents is None]
        at_it = [d for d in (desk, *others) if not d.used_up and now >= d.shape.starts]
        return Snapshot(
            idle=self.parking,
            parked=max(0, len(ours) - self.staying),
            waits=tuple([now - agent.since for agent in ours]) if others or self.goals.desired_wait else (),
            wrapping=tuple([now - s for agent, s in self.wrapping.items() if agent.desk is None or agent.desk is desk]),
            elsewhere=tuple(
                [now - call.since for d in others for call in d.talking.values()]
                + [now - since for since in self.inbound_talks.values()]
            ),
            others_ringing=tuple([now - call.launched for d in others for call in d.ringing.values()]),
            others_chances=self._chances(others),
            others_waiting=sum(len(d.waiting) for d in others),
            share=desk.shape.weight / sum(d.shape.weight for d in at_it),
            **common,
        )

    @staticmethod
    def _chances(others: Sequence[Desk]) -> tuple[float, ...]:
        """What the others' calls in the air are worth, once each of their pacers has said so."""
        if any(desk.chance is None for desk in others):
            return ()
        return tuple([desk.chance or 0.0 for desk in others for _ in desk.ringing])

    # calls --------------------------------------------------------------------------------------------

    def _launch(self, desk: Desk, wanted: str | None) -> None:
        self._calls += 1
        call = desk.call(f"call {self._calls}", wanted, self.now)
        desk.ringing[call.name] = call
        if self.now >= self._warm:
            desk.result.launched += 1
        desk.tell(Happened.LAUNCHED, call.name, group=call.group)
        told_late = 0.0 if call.fate.answers else self.world.told_late  # an answer is kept from us in _rung
        self._at(self.world.launch_delay + call.fate.rings + told_late, self._rung, call)

    def _give_up(self, desk: Desk, name: str) -> None:
        call = desk.ringing.get(name)
        least = self.world.min_ring
        if call is None or least is None or self.now - call.launched < least + self.world.launch_delay:
            return
        del desk.ringing[name]
        if desk.people is not None:
            desk.people.ended(call.fate, CallState.NO_ANSWER, self.now)
        desk.result.given_up += 1
        desk.tell(Happened.GIVEN_UP, name)

    def _rung(self, call: Call) -> None:
        if call.name not in call.campaign.ringing:
            return  # given up
        if call.fate.answers:
            late = self.world.told_late
            detection = self.world.detection
            if detection is not None:
                late += detection.listens
            if late:
                call.since = self.now
                self._at(late, self._answered, call, late)
            else:
                self._answered(call, 0.0)
        else:
            del call.campaign.ringing[call.name]
            call.campaign.tell(Happened.NO_ANSWER, call.name)

    def _answered(self, call: Call, ago: float) -> None:
        desk, fate, detection = call.campaign, call.fate, self.world.detection
        if desk.ringing.pop(call.name, None) is None:  # we gave up a call that had just been answered
            self._abandon(call)
            return
        if detection is not None:
            if fate.machine and fate.detected >= detection.misses:
                desk.tell(Happened.NO_ANSWER, call.name)
                return
            if not fate.machine and fate.detected < detection.mistakes:
                desk.result.by_mistake += 1
                desk.tell(Happened.ANSWERED, call.name)
                self._abandon(call)
                return
        if self.now >= self._warm:
            desk.result.answered += 1
        desk.tell(Happened.ANSWERED, call.name)
        call.since = self.now
        desk.waiting[call.name] = call
        self._at(max(0.0, self.world.patience - ago), self._no_patience, call)
        self._serve()

    def _no_patience(self, call: Call) -> None:
        if call.campaign.waiting.pop(call.name, None) is not None:
            self._abandon(call)

    def _abandon(self, call: Call) -> None:
        desk = call.campaign
        if desk.people is not None:
            desk.people.ended(call.fate, CallState.ABANDONED, self.now)
        desk.result.abandoned_all += 1
        if self.now >= self._warm:
            desk.result.abandoned += 1
        answered = desk.result.abandoned_all + desk.result.met_all
        if answered >= 100:
            desk.result.worst = max(desk.result.worst, desk.result.abandoned_all / answered)
        desk.tell(Happened.ABANDONED, call.name)

    def _serve(self) -> None:
        """Give free agents to those who wait, longest wait first."""
        if not self.idle:
            return
        inbound = self.world.inbound
        if inbound is not None and inbound.first:
            self._serve_inbound()
        for desk in self.desks if self._one else self._longest_first():
            while desk.waiting:
                agent = self._agent_for(desk)
                if agent is None:
                    break
                self._connect(desk, agent)
        if inbound is not None and not inbound.first:
            self._serve_inbound()

    def _longest_first(self) -> list[Desk]:
        waiting = [desk for desk in self.desks if desk.waiting]
        return sorted(waiting, key=lambda desk: next(iter(desk.waiting.values())).since)

    def _agent_for(self, desk: Desk) -> Agent | None:
        if self._one:
            return self.idle.popleft() if self.idle else None
        for agent in self.idle:
            if agent.desk is None or agent.desk is desk:
                self.idle.remove(agent)
                return agent
        return None

    def _connect(self, desk: Desk, agent: Agent) -> None:
        call = desk.waiting.pop(next(iter(desk.waiting)))
        self.day.waited += self._measured(agent.since, self.now)
        call.since, agent.since, agent.call = self.now, self.now, call
        desk.talking[agent] = call
        if call.fate.machine:
            desk.result.machines += 1
        else:
            desk.result.met_all += 1
            if self.now >= self._warm:
                desk.result.met += 1
        desk.tell(Happened.CONNECTED, call.name, agent.name)
        self._at(self.world.connect + call.fate.talk, self._hung_up, call, agent)

    def _hung_up(self, call: Call, agent: Agent) -> None:
        desk = call.campaign
        del desk.talking[agent]
        if not call.fate.machine:
            talked = self._measured(self.now - call.fate.talk, self.now)
            self.day.talked += talked
            desk.result.talked += talked
        agent.since = self.now
        self.wrapping[agent] = self.now
        desk.tell(Happened.TALK_END, call.name, agent.name)
        self._at(call.fate.wrap_up + self.world.told_late, self._ready, agent)

    def _ready(self, agent: Agent) -> None:
        self.day.wrapped += self._measured(self.wrapping.pop(agent), self.now)
        for desk in self.desks:
            desk.tell(Happened.READY, agent=agent.name)
        parks = agent.call.fate.parks if agent.call is not None else 0.0
        if parks:
            self.parking += 1
            self._at(parks, self._parked, agent)
        else:
            self._on_the_line(agent)

    def _parked(self, agent: Agent) -> None:
        self.parking -= 1
        self._on_the_line(agent)

    def _on_the_line(self, agent: Agent) -> None:
        agent.since, agent.call = self.now, None
        self.idle.append(agent)
        if self._staffing is not None:
            self._staff()
        self._serve()

    # people who call in -------------------------------------------------------------------------------

    def _next_caller(self) -> None:
        inbound = self.world.inbound
        assert inbound is not None
        rate = inbound.per_hour(self.now) / 3600
        if rate > 0 and self.now > 0:
            caller = Caller(self.now, inbound.talk.draw(self._arrivals), self.world.wrap_up.draw(self._arrivals))
            self.inbound_waiting.append(caller)
            self.day.inbound += 1
            for desk in self.desks:
                desk.tell(Happened.INBOUND)
            self._at(inbound.patience, self._caller_leaves, caller)
            self._serve()
        self._at(self._arrivals.expovariate(rate) if rate > 0 else 60.0, self._next_caller)

    def _caller_leaves(self, caller: Caller) -> None:
        if caller in self.inbound_waiting:
            self.inbound_waiting.remove(caller)
            self.day.inbound_lost += 1

    def _serve_inbound(self) -> None:
        inbound = self.world.inbound
        while inbound is not None and self.inbound_waiting and self.idle:
            caller, agent = self.inbound_waiting.popleft(), self.idle.popleft()
            self.day.inbound_waited += self.now - caller.came
            self.day.waited += self._measured(agent.since, self.now)
            self.inbound_talks[agent] = self.now
            self._at(caller.talk, self._caller_hangs_up, caller, agent)

    def _caller_hangs_up(self, caller: Caller, agent: Agent) -> None:
        self.day.talked += self._measured(self.inbound_talks.pop(agent), self.now)
        self.wrapping[agent] = self.now
        self._at(caller.wrap_up, self._ready, agent)

    # staff and figures --------------------------------------------------------------------------------

    def _staff(self) -> None:
        assert self._staffing is not None
        wanted = math.ceil(self._staffing(self.now))  # nobody comes or goes in part
        while self.idle and len(self._at_work_since) > wanted and not self._must_stay():
            agent = self.idle.pop()
            self.away.append(agent)
            self.day.worked += self._measured(self._at_work_since.pop(agent), self.now)
            self.day.waited += self._measured(agent.since, self.now)
            for desk in self.desks:
                desk.tell(Happened.LOGOUT, agent=agent.name)
        staying = min(len(self.idle), max(0, len(self._at_work_since) - wanted))
        if staying and not self.staying:
            self._staying_since = self.now
        self.staying = staying
        while self.away and len(self._at_work_since) < wanted:
            agent = self.away.pop()
            agent.since = self._at_work_since[agent] = self.now
            self.idle.append(agent)
            for desk in self.desks:
                desk.tell(Happened.LOGIN, agent=agent.name)

    def _must_stay(self) -> bool:
        on_the_way = sum(len(desk.ringing) + len(desk.waiting) for desk in self.desks)
        if self.staying and self.now - self._staying_since > LONGEST:
            return False
        return any(must_stay(desk.budget(), free=len(self.idle), on_the_way=on_the_way) for desk in self.desks)

    def _measured(self, since: float, until: float) -> float:
        return max(0.0, min(until, self._end) - max(since, self._warm))

    def _sample(self) -> None:
        self.day.samples.append(
            (
                self.now,
                sum(desk.result.abandoned_all for desk in self.desks),
                sum(desk.result.met_all for desk in self.desks),
                sum(len(desk.ringing) for desk in self.desks),
                len(self.idle),
                sum(len(desk.talking) for desk in self.desks),
                len(self.wrapping),
            )
        )

    def _close(self) -> None:
        """Count what is under way when the day ends."""
        for desk in self.desks:
            for call in desk.talking.values():
                if not call.fate.machine:
                    talked = self._measured(call.since + self.world.connect, self.now)
                    self.day.talked += talked
                    desk.result.talked += talked
        for since in self.inbound_talks.values():
            self.day.talked += self._measured(since, self.now)
        for since in self.wrapping.values():
            self.day.wrapped += self._measured(since, self.now)
        for agent in self.idle:
            self.day.waited += self._measured(agent.since, self.now)
        for since in self._at_work_since.values():
            self.day.worked += self._measured(since, self.now)


def run_day(world: World, pacers: Sequence[Pacer], seed: int, *, goals: Goals | None = None) -> Day:
    """Live through one day of this world with these pacers."""
    return Centre(world, pacers, seed, goals=goals).run()
