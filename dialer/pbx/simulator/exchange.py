"""The exchange: notes who answers, connects two legs, and takes calls down.

It says each step to the module in the order of the maker's figures, and each truth to the book.
"""

from collections import deque
from typing import Protocol

from dialer.pbx.simulator.agenda import Agenda
from dialer.pbx.simulator.book import Book
from dialer.pbx.simulator.chance import Chance
from dialer.pbx.simulator.config import WorldConfig
from dialer.pbx.simulator.entities import Entities, User
from dialer.pbx.simulator.legs import Communication, Leg, LegState, Order
from dialer.pbx.simulator.people import Customers
from dialer.pbx.simulator.ringing import Ringing
from dialer.pbx.simulator.tables import OK, RINGING_SIGNAL, EntityType, Failure
from dialer.pbx.simulator.webhooks import Notifier

_REPORT_KEPT = 10_000


class Watcher(Protocol):
    """Who lives on the lines: told when people are put through and parted."""

    def customer_answered(self, leg: Leg) -> None: ...

    def connected(self, com: Communication) -> None: ...

    def parted(self, com: Communication) -> None: ...

    def user_changed(self, user: User) -> None: ...


class Exchange:
    """All communications that are up, and the newest that are over."""

    watcher: Watcher

    def __init__(
        self,
        config: WorldConfig,
        agenda: Agenda,
        chance: Chance,
        entities: Entities,
        customers: Customers,
        notifier: Notifier,
        book: Book,
    ) -> None:
        self.config = config
        self.agenda = agenda
        self.chance = chance
        self.entities = entities
        self.customers = customers
        self.notifier = notifier
        self.book = book
        self.live: dict[int, Communication] = {}
        self.past: deque[Communication] = deque(maxlen=_REPORT_KEPT)
        self.ringing = Ringing(self)
        self._last_com = 9000
        self._last_leg = 500

    # calling ------------------------------------------------------------------------------------------
    def open(self, order: Order) -> Communication:
        """Carry out a call request: call its first entity."""
        com = self._new(order)
        com.calling = self.new_leg(com, order.calling_type, order.calling_id, order.calling_number, True)
        self.ringing.ring(com.calling, shown=order.called_number)
        return com

    def arrive(self, order: Order) -> Communication | None:
        """Somebody calls in from outside for the order's called entity; None when no line is free."""
        gateway, now = self.entities.gateways[order.calling_id], self.agenda.now
        if not gateway.has_free_line:
            return None
        com = self._new(order)
        leg = com.calling = self.new_leg(com, EntityType.GATEWAY, gateway.id, order.calling_number, True)
        gateway.busy += 1
        leg.holds_line = True
        leg.customer = self.customers.caller(order.calling_number, com.id)
        self.ringing.engage(leg.customer.number)
        self.notifier.extended(
            "call_in",
            com,
            leg,
            calling=order.calling_number,
            called=order.called_number,
            calling_id=gateway.id,
            calling_type=int(EntityType.GATEWAY),
        )
        leg.state, leg.answered_at = LegState.ANSWERED, now
        self.watcher.customer_answered(leg)
        self._call_second(com)
        return com

    def new_leg(self, com: Communication, kind: EntityType, id: int, number: str, calling_side: bool) -> Leg:
        self._last_leg += 1
        user = self.entities.users[id] if kind is EntityType.USER else None
        number = user.extension if user is not None else number
        return Leg(self._last_leg, com, kind, id, number, calling_side, self.agenda.now, user=user)

    def say_calling(self, leg: Leg, shown: str) -> None:
        """Tell that the PBX calls an entity, from the number it shows to the number it calls."""
        order = leg.com.order
        self.notifier.extended(
            "call_out",
            leg.com,
            leg,
            called_type=int(leg.type),
            called_id=leg.entity,
            calling=shown,
            called=order.calling_number if leg.calling_side else order.called_number,
        )
        caller = leg.com.calling
        if leg.calling_side or caller is None:
            return
        if caller.user is not None:
            self.notifier.user("outgoing_call", caller.user, leg.com, leg.number, extid=order.extid)
        if leg.user is not None:
            self.notifier.user("incoming_call", leg.user, leg.com, shown)

    def progress(self, leg: Leg) -> None:
        """The entity's phone rings."""
        leg.state = LegState.RINGING
        if leg.in_book:
            self.book.rang(leg.id, self.agenda.now)
        self.notifier.extended(
            "call_progress",
            leg.com,
            leg,
            sender_type=int(leg.type),
            sender_id=leg.entity,
            progress=RINGING_SIGNAL,
        )
        if leg.com.diverted_from is not None and self.config.divert_event:
            kind, id = leg.com.diverted_from
            self.notifier.extended(
                "call_divert",
                leg.com,
                leg,
                sender_type=int(kind),
                sender_id=id,
                recipient_type=int(leg.type),
                recipient_id=leg.entity,
            )
        leg.com.diverted_from = None

    # answers ------------------------------------------------------------------------------------------
    def answer(self, leg: Leg) -> None:
        """The entity takes the call; when both have, they are put through."""
        com, now = leg.com, self.agenda.now
        leg.stop_timers()
        leg.state, leg.answered_at = LegState.ANSWERED, now
        self.notifier.accepted(com, leg)
        if leg.in_book:
            self.book.answered(leg.id, now)
        if leg.customer is not None:
            self.watcher.customer_answered(leg)
        if leg.user is not None:
            self.watcher.user_changed(leg.user)
        if com.called is None:
            com.ring_time = now - leg.called_at
            self._call_second(com)
        elif all(other.is_answered for other in com.legs):
            self._put_through(com)

    def refuse(self, leg: Leg, failure: Failure) -> None:
        """The entity does not take the call: that ends it, and whoever waits is sent away."""
        com = leg.com
        code = failure.code(calling_side=leg.calling_side)
        com.ring_time = com.ring_time or self.agenda.now - leg.called_at
        self.notifier.extended("call_response", com, leg, sender_type=int(leg.type), sender_id=leg.entity, outcome=code)
        self._tell_failure(com, leg, failure)
        self.watcher.parted(com)
        self.release(leg, by="pbx", outcome=code)
        for other in com.live_legs:
            self.send_away(other, by="pbx")
        self._close(com, OK if com.active else code)

    def _call_second(self, com: Communication) -> None:
        order = com.order
        com.called = self.new_leg(com, order.called_type, order.called_id, order.called_number, False)
        self.ringing.ring(com.called, shown=order.calling_number)

    def _put_through(self, com: Communication) -> None:
        first = not com.active
        com.active = True
        com.answered = com.answered if com.answered is not None else self.agenda.now
        called = com.called
        if called is not None:
            com.connected = (*called.connected, called.number)
        if first:
            self._tell_users(com, "call_answered")
        self.watcher.connected(com)

    # endings ------------------------------------------------------------------------------------------
    def hang_up(self, leg: Leg, by: str) -> None:
        """An entity goes away by itself; the call is over."""
        com = leg.com
        self.watcher.parted(com)
        self.notifier.extended("disconnect_in", com, leg, sender_type=int(leg.type), sender_id=leg.entity)
        if com.active:
            self._tell_users(com, "call_disconnect_in", gone=leg)
        self.release(leg, by=by, outcome=OK)
        for other in com.live_legs:
            self.send_away(other, by=by)
        self._close(com, OK if com.active else Failure.NO_ANSWER.code(calling_side=False))

    def dismiss(self, com: Communication, by: str) -> None:
        """Take a call down from the middle: every entity in it is sent away."""
        self.watcher.parted(com)
        calling = com.calling
        reached = calling is not None and calling.is_answered
        if com.active:
            self._tell_users(com, "call_disconnect_in")
        for leg in com.live_legs:
            self.send_away(leg, by=by)
        self._close(com, OK if com.active else Failure.NO_ANSWER.code(calling_side=not reached))

    def send_away(self, leg: Leg, by: str) -> None:
        """Tell an entity that the call is over for it."""
        self.notifier.extended("disconnect_out", leg.com, leg, recipient_type=int(leg.type), recipient_id=leg.entity)
        self.release(leg, by=by, outcome=OK if leg.is_answered else Failure.NO_ANSWER.code(calling_side=True))

    def release(self, leg: Leg, by: str, outcome: int) -> None:
        """Free whatever a leg holds: a line, a phone."""
        if not leg.is_live:
            return
        leg.stop_timers()
        leg.state = LegState.ENDED
        if leg.customer is not None:
            self.ringing.disengage(leg.customer.number)
        if leg.in_book:
            self.book.ended(leg.id, self.agenda.now, by, outcome)
        if leg.holds_line:
            self.entities.gateways[leg.entity].busy -= 1
        if leg.user is not None and leg in leg.user.legs:
            leg.user.legs.remove(leg)
            self.watcher.user_changed(leg.user)

    def vanish(self) -> None:
        """Every call is gone at once and nobody is told: the PBX was restarted."""
        for com in list(self.live.values()):
            self.watcher.parted(com)
            for leg in com.live_legs:
                self.release(leg, by="restart", outcome=0)
            com.ended = self.agenda.now
        self.live.clear()

    def end_merged(self, com: Communication, gone: Leg | None) -> None:
        """End a communication whose one party was transferred away; its former partner goes with it."""
        if gone is not None and gone.is_live:
            self.send_away(gone, by="transfer")
        self._close(com, OK)

    def _close(self, com: Communication, outcome: int) -> None:
        com.ended, com.outcome = self.agenda.now, outcome
        if com.held_since is not None:
            com.hold_time += com.ended - com.held_since
        self.live.pop(com.id, None)
        self.past.append(com)
        self.notifier.extended("call_terminated", com, outcome=outcome)

    def _new(self, order: Order) -> Communication:
        self._last_com += 1
        com = self.live[self._last_com] = Communication(self._last_com, order, self.agenda.now)
        return com

    # user events --------------------------------------------------------------------------------------
    def _tell_users(self, com: Communication, name: str, gone: Leg | None = None) -> None:
        for leg in com.live_legs:
            partner = com.other(leg)
            if leg.user is not None and partner is not None:
                told = "call_disconnect_out" if leg is gone else name
                self.notifier.user(told, leg.user, com, partner.number, extid=com.order.extid)

    def _tell_failure(self, com: Communication, leg: Leg, failure: Failure) -> None:
        partner = com.other(leg)
        if partner is not None and partner.user is not None and not com.active:
            self.notifier.user("call_rejected", partner.user, com, leg.number, extid=com.order.extid)
        if leg.user is not None and not leg.calling_side and failure is Failure.NO_ANSWER:
            self.notifier.user("lost_call", leg.user, com, com.order.calling_number)
        if leg.calling_side and leg.user is not None and com.order.by_user:
            why = failure.name.lower().replace("_", " ")
            self.notifier.command_failed(leg.user, com.order.request_id, why)
