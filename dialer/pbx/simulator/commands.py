"""Accepted commands: each gets a request id, and is carried out a little later, or too late, or never."""

from collections.abc import Callable
from dataclasses import replace

from dialer.pbx.simulator import moves
from dialer.pbx.simulator.agenda import Entry
from dialer.pbx.simulator.exchange import Exchange
from dialer.pbx.simulator.faults import Faults
from dialer.pbx.simulator.legs import Communication, Leg, Order
from dialer.pbx.simulator.tables import EntityType

_FIRST_REQUEST_ID = 15_652_770_900_000  # fourteen digits, as in the maker's sample


class Commands:
    """Commands under way. What cannot be done any more when its turn comes is noted in the book and dropped:
    the maker lists no event for it."""

    def __init__(self, exchange: Exchange, faults: Faults) -> None:
        self._exchange = exchange
        self._faults = faults
        self._accepted = 0
        self._under_way: dict[int, Entry] = {}

    def accept(
        self, service: str, about: object, action: Callable[..., str | None], *args: object, order: Order | None = None
    ) -> str:
        """Take a command and return its request id; `about` names what its delay is drawn for.

        A call order is handed to `action` with its request id, and may be placed late when that fault is on.
        """
        self._accepted += 1
        number = self._accepted
        exchange = self._exchange
        delay = exchange.chance.of("command", service, about).uniform(*exchange.config.command_delay)
        request_id = str(_FIRST_REQUEST_ID + number * 7)
        if order is not None:
            args = (replace(order, request_id=request_id),)
        if self._faults.strikes("accepted_never_happens", service, number):
            return request_id
        if order is not None and (fault := self._faults.strikes("placed_late", service, number)):
            delay += fault.seconds * (0.5 + 0.5 * self._faults.share("placed_late", service, number))
        self._under_way[number] = exchange.agenda.after(delay, self._carry_out, number, service, action, args)
        return request_id

    def forget(self) -> None:
        """Lose every command that is not carried out yet."""
        for entry in self._under_way.values():
            entry.cancel()
        self._under_way.clear()

    def _carry_out(
        self, number: int, service: str, action: Callable[..., str | None], args: tuple[object, ...]
    ) -> None:
        del self._under_way[number]
        why_not = action(*args)
        if why_not is not None:
            self._exchange.book.ignored[f"{service}: {why_not}"] += 1

    # what the commands do: None, or why it could not be done ------------------------------------------
    def call(self, order: Order) -> str | None:
        trouble = self._exchange.entities.trouble_with(order.calling_type, order.calling_id)
        if trouble is None:
            self._exchange.open(order)
        return trouble

    def transfer(self, ids: "TransferIds") -> str | None:
        found = self.find_transfer(ids)
        if isinstance(found, str):
            return found
        moves.transfer(self._exchange, *found)
        return None

    def find_transfer(self, ids: "TransferIds") -> tuple[Communication, Leg, Communication, Leg] | str:
        """Find what the eight ids of a transfer name; a sentence when any of them is wrong."""
        parts: list[tuple[Communication, Leg]] = []
        for com_id, kind, id, leg_id in (ids[:4], ids[4:]):
            com = self._exchange.live.get(com_id)
            if com is None:
                return "connection not found"
            leg = com.leg(leg_id)
            if leg is None or not leg.is_entity(kind, id):
                return "entity call not found"
            parts.append((com, leg))
        (com, replaced), (other, recipient) = parts
        return moves.why_no_transfer(com, replaced, other, recipient) or (com, replaced, other, recipient)

    def divert(self, com_id: int, leg_id: int, kind: EntityType, id: int, number: str) -> str | None:
        com = self._exchange.live.get(com_id)
        leg = com.leg(leg_id) if com is not None else None
        if com is None or leg is None:
            return "connection not found"
        moves.divert(self._exchange, com, leg, kind, id, number)
        return None

    def terminate(self, com_id: int) -> str | None:
        com = self._exchange.live.get(com_id)
        if com is None:
            return "connection not found"
        self._exchange.dismiss(com, by="command")
        return None

    def record(self, com_id: int, on: bool) -> str | None:
        com = self._exchange.live.get(com_id)
        if com is None:
            return "connection not found"
        com.recording = on
        return None

    def disconnect_user(self, com_id: int, leg_id: int) -> str | None:
        com = self._exchange.live.get(com_id)
        leg = com.leg(leg_id) if com is not None else None
        if leg is None:
            return "connection not found"
        self._exchange.hang_up(leg, by="agent")
        return None

    def hold(self, com_id: int, user_id: int, on: bool) -> str | None:
        com = self._exchange.live.get(com_id)
        leg = com.leg_of(EntityType.USER, user_id) if com is not None else None
        if com is None or leg is None or not com.active:
            return "connection not found"
        if (com.held_since is not None) == on:
            return "already so"
        now = self._exchange.agenda.now
        if com.held_since is not None:
            com.hold_time += now - com.held_since
        com.held_since = now if on else None
        self._exchange.notifier.extended("call_held" if on else "call_retrieved", com, leg, user_id=user_id)
        return None


# replace: communication, entity type, entity id, leg; then the recipient's the same.
TransferIds = tuple[int, int, int, int, int, int, int, int]
