"""The services of VOIspeed's interface: checks a request, answers in XML, hands commands on.

The PBX's own reading of the fact sheet; it shares nothing with the adapter that talks to it.
"""

from collections.abc import Callable, Mapping
from datetime import datetime

from dialer.pbx.simulator import lists
from dialer.pbx.simulator.agents import Agents
from dialer.pbx.simulator.commands import Commands
from dialer.pbx.simulator.config import WorldConfig
from dialer.pbx.simulator.directory import Directory, DirectoryTrouble
from dialer.pbx.simulator.exchange import Exchange
from dialer.pbx.simulator.legs import Communication, Leg, Order
from dialer.pbx.simulator.tables import EntityType, Presence

ENDPOINT = "/PBX/seri_endpoint.php"
_HEAD = '<?xml version="1.0" encoding="UTF-8" ?>\n'
_LIST_LIMIT = 200  # of a user's report, when none is given


class Refusal(Exception):
    """The sentence in the error element of a refused request."""


class Params:
    """The arguments of one request."""

    def __init__(self, given: Mapping[str, str]) -> None:
        for name, value in given.items():
            if not value.isprintable() and name != "contacts":
                raise Refusal(f"invalid parameter {name}")
        self.given = dict(given)

    def text(self, *names: str, default: str | None = None) -> str:
        """Return the first given of several names."""
        for name in names:
            if self.given.get(name):
                return self.given[name]
        if default is None:
            raise Refusal(f"missing parameter {names[0]}")
        return default

    def number(self, *names: str) -> int:
        text = self.text(*names)
        if not (text.isascii() and text.isdigit()) or len(text) > 18:
            raise Refusal(f"invalid parameter {names[0]}")
        return int(text)

    def number_or(self, default: int | None, *names: str) -> int | None:
        return self.number(*names) if any(self.given.get(name) for name in names) else default

    def phone(self, name: str, *, needed: bool) -> str:
        text = self.text(name, default=None if needed else "")
        if text and not (text.isascii() and text.isdigit()):
            raise Refusal(f"invalid parameter {name}")
        return text


class Services:
    """Answers every service by name."""

    def __init__(self, config: WorldConfig, exchange: Exchange, commands: Commands, agents: Agents) -> None:
        self._config = config
        self._names = config.names
        self._exchange = exchange
        self._entities = exchange.entities
        self._commands = commands
        self._agents = agents
        self.directory = Directory()
        self.closing = False  # no more calls are accepted
        self._services: dict[str, Callable[[Params], str]] = {
            "get_entities": self._get_entities,
            "get_current_calls": lambda _: lists.current_calls(exchange),
            "get_call_report": self._get_call_report,
            "get_user_call_report": self._get_user_call_report,
            "call_request_ext": self._call_request_ext,
            "call_transfer_ext": self._call_transfer_ext,
            "call_divert_ext": self._call_divert_ext,
            "call_recording_ext": self._call_recording_ext,
            "call_terminate": self._call_terminate,
            "call_request": self._call_request,
            "call_action": self._call_action,
            "set_user_mode": self._set_user_mode,
            "add_phonebook": lambda params: lists.tag("contact_id", self.directory.add(params.given)),
            "update_phonebook": self._update_phonebook,
            "delete_phonebook": self._delete_phonebook,
            "get_phonebook": self._get_phonebook,
            "phonebook_import_sync": self._phonebook_import_sync,
        }

    def answer(self, given: Mapping[str, str], method: str) -> str:
        """Answer one request; a refusal is an answer like any other."""
        service = given.get("service", "")
        book = self._exchange.book
        book.requests[service if service in self._services else "unknown"] += 1
        try:
            params = Params(given)
            if params.given.get("token") != self._config.token:
                raise Refusal("authentication failed")
            if service not in self._services:
                raise Refusal("unknown service" if service else "missing parameter service")
            if service == "phonebook_import_sync" and method != "POST":
                raise Refusal("this service must be called by POST")
            inner = self._services[service](params)
        except (Refusal, DirectoryTrouble) as exc:
            book.refused[f"{service}: {exc}"] += 1
            return refused(str(exc))
        bare = service == "get_entities" and given.get("entity_type") in ("8", "11")
        return f"{_HEAD}<result>{'' if bare else '<outcome>0</outcome>'}{inner}</result>"

    # lists --------------------------------------------------------------------------------------------
    def _get_entities(self, params: Params) -> str:
        kind, id = params.number("entity_type"), params.number_or(None, "entity_id")
        if kind == EntityType.USER:
            return lists.users(self._entities, id)
        if kind == EntityType.GROUP:
            return lists.groups(self._entities, id)
        if kind == EntityType.GATEWAY:
            return lists.gateways(self._entities, id)
        if kind == EntityType.IVR:
            return lists.ivrs(self._entities, id)
        if kind == EntityType.TERMINAL:
            return lists.devices(self._entities, params.number_or(None, "owner_id"))
        if kind == EntityType.VOICEMAIL:
            return lists.voicemails(id)
        if kind == EntityType.PARKING:
            return lists.parking(id)
        raise Refusal("unknown entity type")

    def _get_call_report(self, params: Params) -> str:
        limit = params.number_or(self._config.report_size, "limit") or self._config.report_size
        return lists.call_report(
            self._exchange,
            since=self._moment(params, self._names.report_from),
            until=self._moment(params, self._names.report_to),
            extid=params.text("external_id", "extid", default="") or None,
            limit=min(limit, self._config.report_size),
        )

    def _moment(self, params: Params, names: tuple[str, ...]) -> float | None:
        """Read a filter of time in the PBX's own clock; what cannot be read filters nothing."""
        try:
            told = datetime.fromisoformat(params.text(*names, default=""))
        except ValueError:
            return None
        return (told.replace(tzinfo=None) - self._config.epoch).total_seconds()

    def _get_user_call_report(self, params: Params) -> str:
        user = self._entities.by_extension.get(params.text("ext"))
        if user is None:
            raise Refusal("unknown extension")
        return lists.user_report(self._exchange, user, params.number_or(_LIST_LIMIT, "limit") or 0)

    # extended commands --------------------------------------------------------------------------------
    def _call_request_ext(self, params: Params) -> str:
        self._not_closing()
        calling = self._entity(params, "calling_type", "calling_id")
        called = self._entity(params, "called_type", "called_id")
        auto_answer = params.number_or(0, "auto_answer") or 0
        if auto_answer > 2:
            raise Refusal("invalid parameter auto_answer")
        order = Order(
            calling_type=calling[0],
            calling_id=calling[1],
            calling_number=params.phone("calling_number", needed=calling[0] is EntityType.GATEWAY),
            called_type=called[0],
            called_id=called[1],
            called_number=params.phone("called_number", needed=called[0] is EntityType.GATEWAY),
            extid=params.text("extid", default=""),
            auto_answer=auto_answer,
        )
        about = order.extid or order.calling_number
        return self._accept("call_request_ext", about, self._commands.call, order=order)

    def _call_transfer_ext(self, params: Params) -> str:
        ids = (
            params.number("replace_com_id"),
            params.number("replace_type"),
            params.number("replace_id"),
            params.number("replace_local_id"),
            params.number("recipient_com_id"),
            params.number("recipient_type"),
            params.number("recipient_id"),
            params.number("recipient_call_id"),
        )
        found = self._commands.find_transfer(ids)
        if isinstance(found, str):
            raise Refusal(found)
        return self._accept("call_transfer_ext", ids, self._commands.transfer, ids)

    def _call_divert_ext(self, params: Params) -> str:
        com = self._communication(params, self._names.divert_call)
        leg = self._leg_to_replace(params, com)
        kind, id = self._entity(params, "recipient_type", "recipient_id")
        number = params.phone("recipient_number", needed=kind is EntityType.GATEWAY)
        partner = com.other(leg)
        if partner is None or not partner.is_live:
            raise Refusal("nobody is left in the communication")
        return self._accept("call_divert_ext", leg.id, self._commands.divert, com.id, leg.id, kind, id, number)

    def _leg_to_replace(self, params: Params, com: Communication) -> Leg:
        """The called side, unless the request names another."""
        leg = com.called if com.called is not None and com.called.is_live else None
        leg_id = params.number_or(None, *self._names.divert_leg)
        kind, id = params.number_or(None, "sender_type"), params.number_or(None, "sender_id")
        if leg_id is not None:
            leg = com.leg(leg_id)
        elif kind is not None and id is not None:
            leg = com.leg_of(kind, id)
        if leg is None or (kind is not None and id is not None and not leg.is_entity(kind, id)):
            raise Refusal("entity call not found")
        return leg

    def _call_recording_ext(self, params: Params) -> str:
        com = self._communication(params, ("call_id",))
        on = params.text(*self._names.recording)
        if on not in ("0", "1"):
            raise Refusal(f"invalid parameter {self._names.recording[0]}")
        return self._accept("call_recording_ext", com.id, self._commands.record, com.id, on == "1")

    def _call_terminate(self, params: Params) -> str:
        com = self._communication(params, self._names.terminate)
        return self._accept("call_terminate", com.id, self._commands.terminate, com.id)

    # user commands ------------------------------------------------------------------------------------
    def _call_request(self, params: Params) -> str:
        self._not_closing()
        user = self._entities.by_extension.get(params.text("ext"))
        if user is None:
            raise Refusal("unknown extension")
        number = params.phone("number", needed=True)
        colleague = self._entities.by_extension.get(number)
        gateway = next((g for g in self._entities.gateways.values() if g.enabled), None)
        if colleague is None and gateway is None:
            raise Refusal("no gateway")
        called_type = EntityType.USER if colleague is not None else EntityType.GATEWAY
        order = Order(
            calling_type=EntityType.USER,
            calling_id=user.id,
            calling_number=user.extension,
            called_type=called_type,
            called_id=colleague.id if colleague is not None else gateway.id if gateway is not None else 0,
            called_number=number,
            extid=params.text("extid", default=""),
            by_user=True,
        )
        return self._accept("call_request", order.extid or number, self._commands.call, order=order)

    def _call_action(self, params: Params) -> str:
        user = self._entities.by_extension.get(params.text("ext"))
        if user is None:
            raise Refusal("unknown extension")
        id = params.number("call_id")
        leg = next((leg for leg in user.legs if id in (leg.com.id, leg.id)), None)
        if leg is None:
            raise Refusal("connection not found")
        action, com = params.text("action"), leg.com
        if action == "disconnect":
            return self._accept("call_action", leg.id, self._commands.disconnect_user, com.id, leg.id)
        if action == "divert":
            kind, target, number = self._route(params.phone("number", needed=True))
            return self._accept("call_action", leg.id, self._commands.divert, com.id, leg.id, kind, target, number)
        if action in (self._names.hold, self._names.retrieve):
            on = action == self._names.hold
            return self._accept("call_action", (leg.id, on), self._commands.hold, com.id, user.id, on)
        raise Refusal("invalid parameter action")

    def _route(self, number: str) -> tuple[EntityType, int, str]:
        """The routing rules: an extension is its user, anything else goes out by the first gateway."""
        user = self._entities.by_extension.get(number)
        if user is not None:
            return EntityType.USER, user.id, number
        gateway = next((g for g in self._entities.gateways.values() if g.enabled), None)
        if gateway is None:
            raise Refusal("no gateway")
        return EntityType.GATEWAY, gateway.id, number

    def _set_user_mode(self, params: Params) -> str:
        user = self._entities.by_extension.get(params.text("ext"))
        if user is None:
            raise Refusal("unknown extension")
        names = self._names
        modes = {
            names.mode_normal: Presence.AVAILABLE,
            names.mode_absent: Presence.ABSENT,
            names.mode_do_not_disturb: Presence.DO_NOT_DISTURB,
            names.mode_diverted: Presence.DIVERTED,
        }
        mode = modes.get(params.number("mode"))
        if mode is None:
            raise Refusal("invalid parameter mode")
        target = params.phone("number", needed=mode is Presence.DIVERTED)

        def change() -> None:
            user.diverted_to = target if mode is Presence.DIVERTED else ""
            self._agents.set_mode(user, mode)

        return self._accept("set_user_mode", user.id, change)

    # directory ----------------------------------------------------------------------------------------
    def _update_phonebook(self, params: Params) -> str:
        self.directory.update(params.given)
        return ""

    def _delete_phonebook(self, params: Params) -> str:
        self.directory.delete(params.given)
        return ""

    def _get_phonebook(self, params: Params) -> str:
        found = self.directory.search(params.text("search", default=""))
        return "".join(
            f"<contact>{lists.tags(**contact.values, is_favourite=int(contact.is_favourite))}</contact>"
            for contact in found
        )

    def _phonebook_import_sync(self, params: Params) -> str:
        done = self.directory.synchronise(params.text("contacts"))
        counts = lists.tags(processed=done.processed, skipped=done.skipped, warnings=done.warnings, errors=done.errors)
        if params.given.get("verbose_output") not in ("1", "true"):
            return counts
        rows = "".join(
            f"<contact>{lists.tags(uc_external_id=external, id=id, act=act, info=info)}</contact>"
            for external, id, act, info in done.contacts
        )
        return f"{counts}<contacts>{rows}</contacts>"

    # shared -------------------------------------------------------------------------------------------
    def _accept(
        self,
        service: str,
        about: object,
        action: Callable[..., str | None],
        *args: object,
        order: Order | None = None,
    ) -> str:
        return lists.tag("request_id", self._commands.accept(service, about, action, *args, order=order))

    def _entity(self, params: Params, type_name: str, id_name: str) -> tuple[EntityType, int]:
        kind, id = params.number(type_name), params.number(id_name)
        trouble = self._entities.trouble_with(kind, id)
        if trouble is not None:
            raise Refusal(trouble)
        return EntityType(kind), id

    def _communication(self, params: Params, names: tuple[str, ...]) -> Communication:
        com = self._exchange.live.get(params.number(*names))
        if com is None:
            raise Refusal("connection not found")
        return com

    def _not_closing(self) -> None:
        if self.closing:
            raise Refusal("the system takes no more calls")


def refused(why: str) -> str:
    """Return the reply of a refusal."""
    return f"{_HEAD}<result><outcome>1</outcome>{lists.tag('error', why)}</result>"
