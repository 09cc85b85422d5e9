"""Who is on the lines: customers wait and lose patience, people talk, responders play."""

from dataclasses import dataclass

from dialer.pbx.simulator.agenda import Entry
from dialer.pbx.simulator.agents import Agents
from dialer.pbx.simulator.entities import User
from dialer.pbx.simulator.exchange import Exchange
from dialer.pbx.simulator.ivr import IvrRun, Scripts
from dialer.pbx.simulator.legs import Communication, Leg
from dialer.pbx.simulator.tables import EntityType


@dataclass(slots=True)
class _Talk:
    began: float
    legs: tuple[Leg, ...]
    ends: Entry


class Parties:
    """Watches the exchange, and answers with what people and responders do."""

    def __init__(self, exchange: Exchange, scripts: Scripts) -> None:
        self._exchange = exchange
        self._agenda = exchange.agenda
        self._book = exchange.book
        self._scripts = scripts
        self.agents = Agents(exchange)
        self._talks: dict[int, _Talk] = {}
        self._runs: dict[int, IvrRun] = {}

    def customer_answered(self, leg: Leg) -> None:
        self._lose_patience_later(leg)

    def user_changed(self, user: User) -> None:
        self.agents.changed(user)

    def connected(self, com: Communication) -> None:
        """Two parties hear each other: a responder begins to play, or a conversation begins."""
        responder = next((leg for leg in com.live_legs if leg.type is EntityType.IVR), None)
        if all(leg.type is EntityType.IVR for leg in com.live_legs):
            self._agenda.after(0.0, self._nobody_left, com)
            return
        if responder is None:
            self._talk(com)
            return
        run = IvrRun(self._exchange, self._exchange.entities.ivrs[responder.entity], responder, self._scripts)
        self._runs[com.id] = run
        run.start()
        for leg in com.live_legs:
            if leg.user is not None:
                self.agents.parked(leg.user)

    def _nobody_left(self, com: Communication) -> None:
        """Two responders would play to each other for ever."""
        if com.ended is None and all(leg.type is EntityType.IVR for leg in com.live_legs):
            self._exchange.dismiss(com, by="pbx")

    def parted(self, com: Communication) -> None:
        """The two do not hear each other any more; whoever stays waits again."""
        run = self._runs.pop(com.id, None)
        if run is not None:
            run.stop()
        talk = self._talks.pop(com.id, None)
        if talk is None:
            return
        talk.ends.cancel()
        com.talk_time += self._agenda.now - talk.began
        self._tell_book(talk.legs, began=False)
        for leg in talk.legs:
            if leg.user is not None:
                self.agents.talked(leg.user)
            elif leg.is_live and leg.customer is not None:
                self._lose_patience_later(leg)

    def _talk(self, com: Communication) -> None:
        now, legs = self._agenda.now, com.live_legs
        for leg in legs:
            leg.stop_patience()
        customer = next((leg for leg in legs if leg.customer is not None), None)
        if customer is not None and customer.customer is not None:
            seconds, first = customer.customer.talk, customer.customer.hangs_up_first
        else:
            draws = self._exchange.chance.of("chat", com.id)
            seconds = self._exchange.config.customers.talk.draw(draws) / self._exchange.config.speed
            customer, first = legs[0], draws.chance(0.5)
        other = com.other(customer) or customer
        who = customer if first else other
        by = "agent" if who.user is not None else "customer"
        ends = self._agenda.after(seconds, self._exchange.hang_up, who, by)
        self._talks[com.id] = _Talk(now, legs, ends)
        self._tell_book(legs, began=True)
        for leg in legs:
            if leg.user is not None:
                self.agents.talks(leg.user)

    def _tell_book(self, legs: tuple[Leg, ...], *, began: bool) -> None:
        tell = self._book.conversation_began if began else self._book.conversation_ended
        for customer in legs:
            for leg in legs:
                if customer.in_book and leg.user is not None:
                    tell(customer.id, leg.user.extension, self._agenda.now)

    def _lose_patience_later(self, leg: Leg) -> None:
        leg.stop_patience()
        if leg.customer is not None:
            leg.patience = self._agenda.after(leg.customer.patience, self._exchange.hang_up, leg, "customer")
