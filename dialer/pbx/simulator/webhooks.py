"""Events as the PBX sends them: query fields for the module's address, in the order they happened."""

from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import quote

from dialer.pbx.simulator.agenda import Agenda
from dialer.pbx.simulator.config import WorldConfig
from dialer.pbx.simulator.entities import User
from dialer.pbx.simulator.faults import Faults
from dialer.pbx.simulator.legs import Communication, Leg
from dialer.pbx.simulator.tables import EXTENDED_EVENTS, OK, USER_EVENTS


@dataclass(frozen=True, slots=True)
class Webhook:
    """One event, due now. Those of one `lane` are sent in order."""

    happened: float
    lane: int
    fields: dict[str, str]

    @property
    def query(self) -> str:
        return "&".join(f"{name}={quote(value, safe='')}" for name, value in self.fields.items())


class Notifier:
    """Says what happens to the calls. What is due to be sent stands in `outbox`, oldest first."""

    def __init__(self, config: WorldConfig, agenda: Agenda, faults: Faults) -> None:
        self._config = config
        self._agenda = agenda
        self._faults = faults
        self._seconds = (-1, "")
        self._told = 0
        self._lives = 0  # restarts lose what is under way
        self.outbox: list[Webhook] = []

    def extended(self, name: str, com: Communication, leg: Leg | None = None, **fields: object) -> None:
        """Tell one step of one communication."""
        told: dict[str, object] = {
            "event_type": self._config.event_type,
            "event": EXTENDED_EVENTS[name],
            "event_name": name,
            "call_id": com.id,
        }
        if leg is not None:
            told["entity_call_id"] = leg.id
        told.update(fields)
        self._tell(com, told)

    def accepted(self, com: Communication, leg: Leg) -> None:
        """Tell that an entity took the call, with the coordinates of all who act in it."""
        order, (kind, id) = com.order, leg.connected
        if leg.calling_side:
            kind, id = order.called_type, order.called_id
        self.extended(
            "call_response",
            com,
            leg,
            sender_type=int(leg.type),
            sender_id=leg.entity,
            outcome=OK,
            calling_type=int(order.calling_type),
            calling_id=order.calling_id,
            called_type=int(order.called_type),
            called_id=order.called_id,
            connected_type=int(kind),
            connected_id=id,
        )

    def user(self, name: str, user: User, com: Communication, number: str = "", **fields: object) -> None:
        """Tell a user event, if the module was set to them."""
        if not self._config.user_events:
            return
        told: dict[str, object] = {
            "event_type": 2,
            "event": USER_EVENTS[name],
            "event_name": name,
            "ext": user.extension,
            "usercallid": com.id,
            "number": number,
            **fields,
        }
        self._tell(com, told)

    def command_failed(self, user: User, request_id: str, reason: str) -> None:
        """Tell that an accepted user command could not be carried out."""
        if self._config.user_events:
            told = {"event_type": 2, "event": USER_EVENTS["cmd_failed"], "event_name": "cmd_failed"}
            more = {"ext": user.extension, "request_id": request_id, "error_msg": reason}
            self._send({**told, **more}, lane=user.id)

    def time_text(self, seconds: float) -> str:
        """Return a moment as the PBX prints it: its own wall clock, with no zone."""
        whole = int(seconds)
        if whole != self._seconds[0]:
            text = (self._config.epoch + timedelta(seconds=whole)).isoformat(" ", "seconds")
            self._seconds = (whole, text)
        return self._seconds[1]

    def forget(self) -> None:
        """Lose what has not been sent yet."""
        self.outbox.clear()
        self._lives += 1

    def _tell(self, com: Communication, told: dict[str, object]) -> None:
        if com.order.extid:
            told["extid"] = com.order.extid
        self._send(told, lane=com.id)

    def _send(self, told: dict[str, object], lane: int) -> None:
        now, faults = self._agenda.now, self._faults
        told["datetime"] = self.time_text(now)
        hook = Webhook(now, lane, {name: str(value) for name, value in told.items()})
        self._told += 1
        if not faults.active:
            self.outbox.append(hook)
            return
        key = (lane, self._told)
        if faults.strikes("webhooks_lost", *key):
            return
        delay = 0.0
        for name in ("webhooks_late", "webhooks_out_of_order"):
            if fault := faults.strikes(name, *key):
                delay += fault.seconds * (0.1 + 0.9 * faults.share(name, *key))
        self._due(hook, delay)
        if fault := faults.strikes("webhooks_doubled", *key):
            self._due(hook, delay + fault.seconds * faults.share("webhooks_doubled", *key))

    def _due(self, hook: Webhook, delay: float) -> None:
        if delay:
            self._agenda.after(delay, self._late, hook, self._lives)
        else:
            self.outbox.append(hook)

    def _late(self, hook: Webhook, life: int) -> None:
        if life == self._lives:
            self.outbox.append(hook)
