"""How each kind of entity is called: an outside number, a user's phone, a responder, a ring group."""

from typing import TYPE_CHECKING

from dialer.pbx.simulator.config import Ending
from dialer.pbx.simulator.entities import Group, User
from dialer.pbx.simulator.legs import Leg
from dialer.pbx.simulator.tables import EntityType, Failure, Presence, RingMode

if TYPE_CHECKING:
    from dialer.pbx.simulator.exchange import Exchange

_ENDINGS = {
    Ending.BUSY: Failure.BUSY,
    Ending.REJECTED: Failure.REJECTED,
    Ending.UNAVAILABLE: Failure.UNAVAILABLE,
    Ending.NO_ANSWER: Failure.NO_ANSWER,
}
_MODES = {
    Presence.ABSENT: Failure.ABSENT,
    Presence.DO_NOT_DISTURB: Failure.DO_NOT_DISTURB,
    Presence.UNAVAILABLE: Failure.UNAVAILABLE,
    Presence.DIVERTED: Failure.UNAVAILABLE,
}


class Ringing:
    """Calls the entity of a new leg; later the leg is answered or refused, through the exchange."""

    def __init__(self, exchange: "Exchange") -> None:
        self._exchange = exchange
        self._config = exchange.config
        self._agenda = exchange.agenda
        self._engaged: dict[str, int] = {}  # numbers with a call on them

    def ring(self, leg: Leg, shown: str) -> None:
        """Call the entity of `leg`; it sees the number `shown`."""
        if leg.type is EntityType.GATEWAY:
            self._dial(leg, shown)
        elif leg.type is EntityType.IVR:
            self._exchange.say_calling(leg, shown)
            draws = self._exchange.chance.of("ivr answers", leg.id)
            delay = draws.uniform(*self._config.internal_delay)
            leg.timers.append(self._agenda.after(delay, self._exchange.answer, leg))
        elif leg.type is EntityType.GROUP:
            self._ring_group(leg, shown)
        elif leg.user is not None:
            self._ring_user(leg, leg.user, shown)

    def engage(self, number: str) -> bool:
        """Note a call on `number`; False when the phone is engaged: one phone takes one call."""
        self._engaged[number] = self._engaged.get(number, 0) + 1
        return self._engaged[number] == 1

    def disengage(self, number: str) -> None:
        self._engaged[number] -= 1
        if not self._engaged[number]:
            del self._engaged[number]

    def _dial(self, leg: Leg, shown: str) -> None:
        exchange, now = self._exchange, self._agenda.now
        gateway = exchange.entities.gateways[leg.entity]
        if not gateway.has_free_line:
            exchange.refuse(leg, Failure.NO_LINES)
            return
        gateway.busy += 1
        leg.holds_line = leg.in_book = True
        customer = leg.customer = exchange.customers.meet(leg.number, now)
        exchange.book.dialled(leg.id, leg.com.id, leg.com.order.extid, customer.number, customer.nth, gateway.id, now)
        exchange.say_calling(leg, shown)
        ending = customer.ending if self.engage(customer.number) else Ending.BUSY
        if ending in (Ending.ANSWERS, Ending.NO_ANSWER):
            leg.timers.append(self._agenda.after(customer.signal, exchange.progress, leg))
        if ending is Ending.ANSWERS:
            leg.timers.append(self._agenda.after(customer.ring, exchange.answer, leg))
        else:
            leg.timers.append(self._agenda.after(customer.ring, exchange.refuse, leg, _ENDINGS[ending]))

    def _ring_user(self, leg: Leg, user: User, shown: str) -> None:
        exchange, config, speed = self._exchange, self._config.agents, self._config.speed
        order = leg.com.order
        if user.legs and not config.takes_second_call:
            exchange.refuse(leg, Failure.BUSY)
            return
        if user.mode in _MODES and not order.by_user:
            exchange.refuse(leg, _MODES[user.mode])
            return
        user.legs.append(leg)
        user.calls += 1
        exchange.watcher.user_changed(user)
        exchange.say_calling(leg, shown)
        draws = exchange.chance.of("phone", user.id, user.calls)
        never = draws.chance(config.never_picks_up)
        quick, slow = draws.uniform(*config.pick_up), draws.uniform(*config.slow_pick_up)
        signal = draws.uniform(*self._config.internal_delay)
        leg.timers.append(self._agenda.after(signal, exchange.progress, leg))
        if never:
            out = config.ring_out / speed
            leg.timers.append(self._agenda.after(out, exchange.refuse, leg, Failure.NO_ANSWER))
            return
        asked = order.auto_answer == (1 if leg.calling_side else 2)
        taken = (quick if asked and user.auto_answers else slow) / speed
        leg.timers.append(self._agenda.after(max(taken, signal), exchange.answer, leg))

    def _ring_group(self, leg: Leg, shown: str) -> None:
        """Ring the member who has been free for longest, or let the call queue."""
        group = self._exchange.entities.groups[leg.entity]
        free = [user for user in group.members if user.is_agent_free]
        if free:
            leg.user = min(free, key=lambda user: (user.free_since, user.id))
            self._ring_user(leg, leg.user, shown)
        elif group.config.ring_mode is RingMode.QUEUE:
            group.queue.append(leg)
            leg.timers.append(self._agenda.after(group.config.queue_limit, self._leave_queue, leg, group))
        else:
            self._exchange.refuse(leg, Failure.NO_ANSWER)

    def next_in_queue(self, group: Group) -> None:
        """Give the longest waiting caller of a group to a member who has become free."""
        group.queue[:] = [leg for leg in group.queue if leg.is_live]
        if group.queue and any(user.is_agent_free for user in group.members):
            leg = group.queue.pop(0)
            leg.stop_timers()
            leg.com.queue_time += self._agenda.now - leg.called_at
            self._ring_group(leg, leg.com.order.calling_number)

    def _leave_queue(self, leg: Leg, group: Group) -> None:
        group.queue.remove(leg)
        leg.com.queue_time += self._agenda.now - leg.called_at
        self._exchange.refuse(leg, Failure.NO_ANSWER)
