"""How agents live: they talk, write up, take breaks, and now and then hang up by mistake.

VOIspeed knows no wrap-up: an agent says "absent" while writing and "available" when done.
"""

from dataclasses import dataclass

from dialer.pbx.simulator.agenda import Entry
from dialer.pbx.simulator.entities import User
from dialer.pbx.simulator.exchange import Exchange
from dialer.pbx.simulator.tables import Presence


@dataclass(slots=True)
class _Life:
    conversations: int = 0  # now; more than one is a fault of the dialer
    worked: int = 0  # conversations so far
    breaks: int = 0
    wants_break: bool = False
    writing: bool = False
    back: Entry | None = None  # the end of wrap-up or break
    leaves: Entry | None = None  # the next break
    slip: Entry | None = None


class Agents:
    """Moves every agent's own presence, and hangs up what an agent hangs up."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._agenda = exchange.agenda
        self._book = exchange.book
        self._config = exchange.config.agents
        self._speed = exchange.config.speed
        self._lives = {user.id: _Life() for user in exchange.entities.users.values()}
        for user in exchange.entities.users.values():
            self._book.agent(user.extension)
            self._plan_break(user)

    # what happens to an agent -------------------------------------------------------------------------
    def changed(self, user: User) -> None:
        """A leg of this user came or went, or the user's mode changed."""
        life, now = self._lives[user.id], self._agenda.now
        self._book.agent_is(user.extension, self._state(user, life), now)
        if user.legs:
            return
        if life.slip is not None:
            life.slip.cancel()
            life.slip = None
        if life.wants_break and not life.writing and user.mode is Presence.AVAILABLE:
            self._take_break(user)
        elif user.mode is Presence.AVAILABLE:
            user.free_since = now
            for group in self._exchange.entities.groups.values():
                if group.queue:
                    self._exchange.ringing.next_in_queue(group)

    def parked(self, user: User) -> None:
        """The agent's call has reached a responder, and waits."""
        life = self._lives[user.id]
        if life.wants_break:
            self._agenda.after(0.0, self._hang_up_parked, user)
        elif self._config.slips_per_hour and life.slip is None:
            draws = self._exchange.chance.of("slip", user.id, user.calls)
            after = draws.exponential(3600.0 / self._config.slips_per_hour) / self._speed
            life.slip = self._agenda.after(after, self._slip, user)

    def talks(self, user: User) -> None:
        life = self._lives[user.id]
        life.conversations += 1
        life.worked += 1
        self.changed(user)

    def talked(self, user: User) -> None:
        """A conversation is over: write it up, then be available again."""
        life = self._lives[user.id]
        life.conversations -= 1
        if life.conversations or user.mode is not Presence.AVAILABLE:
            self.changed(user)
            return
        draws = self._exchange.chance.of("wrap-up", user.id, life.worked)
        self._absent_for(user, self._config.wrap_up.draw(draws) / self._speed, writing=True)

    # what an agent does -------------------------------------------------------------------------------
    def set_mode(self, user: User, mode: Presence) -> None:
        """Somebody sets the user's mode; the agent's own plans give way to it."""
        life = self._lives[user.id]
        for entry in (life.back, life.leaves):
            if entry is not None:
                entry.cancel()
        life.back = life.leaves = None
        life.writing = life.wants_break = False
        user.mode = mode
        if mode is Presence.AVAILABLE:
            self._plan_break(user)
        self.changed(user)

    def leave(self, user: User, mode: Presence = Presence.ABSENT) -> None:
        """The agent goes, a conversation being finished first, and does not come back unasked."""
        self.set_mode(user, mode)
        self._hang_up_parked(user)

    def _absent_for(self, user: User, seconds: float, *, writing: bool) -> None:
        life = self._lives[user.id]
        if life.back is not None:
            life.back.cancel()
        user.mode = Presence.ABSENT
        life.writing = writing
        life.back = self._agenda.after(seconds, self._come_back, user)
        self.changed(user)

    def _come_back(self, user: User) -> None:
        life = self._lives[user.id]
        was_writing, life.writing, life.back = life.writing, False, None
        user.mode = Presence.AVAILABLE
        if not was_writing:
            self._plan_break(user)
        self.changed(user)

    def _plan_break(self, user: User) -> None:
        if self._config.work_mean is None:
            return
        life = self._lives[user.id]
        life.breaks += 1
        draws = self._exchange.chance.of("work", user.id, life.breaks)
        after = draws.exponential(self._config.work_mean) / self._speed
        life.leaves = self._agenda.after(after, self._break_due, user)

    def _break_due(self, user: User) -> None:
        """Go at once unless talking, writing or being called; then go afterwards."""
        life = self._lives[user.id]
        life.leaves, life.wants_break = None, True
        if not user.legs:
            self.changed(user)
        elif not life.conversations:
            self._hang_up_parked(user)

    def _take_break(self, user: User) -> None:
        life = self._lives[user.id]
        life.wants_break = False
        draws = self._exchange.chance.of("rest", user.id, life.breaks)
        self._absent_for(user, self._config.rest.draw(draws) / self._speed, writing=False)

    def _slip(self, user: User) -> None:
        self._lives[user.id].slip = None
        self._hang_up_parked(user)

    def _hang_up_parked(self, user: User) -> None:
        for leg in list(user.legs):
            if leg.is_answered and not self._lives[user.id].conversations:
                self._exchange.hang_up(leg, by="agent")

    def _state(self, user: User, life: _Life) -> str:
        if life.conversations:
            return "talking"
        if user.legs:
            return "parked" if any(leg.is_answered for leg in user.legs) else "ringing"
        if life.writing:
            return "wrap-up"
        return "idle" if user.mode is Presence.AVAILABLE else "away"
