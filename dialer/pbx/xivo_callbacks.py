"""XiVO's callback lists worked through: read, taken, started and closed, each in the name of the agent who calls.

Xuc answers no command. What was done is seen by its event, and where that does not come, by reading the lists again: no
command is repeated blindly, and a request is started once, as any call.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import httpx

from dialer.errors import OutcomeUnknown, PbxBusy, PbxRefused, PbxUnavailable, SettingsError
from dialer.pbx.base import AgentFirstOrder
from dialer.pbx.callback_lists import NoLongerListed, RequestList, TakenElsewhere, Word
from dialer.pbx.dialled import as_e164, dialled
from dialer.pbx.foreign import foreign_id, inert
from dialer.pbx.http import Answer, Kind
from dialer.pbx.http import Wire as Request
from dialer.pbx.json_http import JsonHttp
from dialer.pbx.sealed import Sealed
from dialer.pbx.xivo_events import call_id_of, comes_in
from dialer.pbx.xivo_frames import MAX_LISTS, Frame, command, text_of
from dialer.pbx.xivo_lists import find, holder_of, ids_of, lists_of, names, period_of, periods_of, raw_lists
from dialer.pbx.xivo_options import XivoOptions
from dialer.pbx.xivo_session import NotTold, Session
from dialer.pbx.xivo_wire import Wire
from dialer.settings import PbxSettings

PHONE_CHECK = 1.0  # seconds we wait to be told whether a phone is free
PERIODS_WITHIN = 2.0  # seconds we wait for the list of periods, which older releases may not have
_HEADER = "X-Auth-Token"
CSV_SAID = 300  # characters of the configuration server's answer that are shown


class Numbers:
    """XiVO's ids of the agents, and the agent numbers we know them by."""

    def __init__(self, wire: Wire, user: str, within: float) -> None:
        self._wire, self._user, self._within = wire, user, within
        self._known: dict[str, str] = {}

    def read(self, session: Session) -> Mapping[str, str]:
        """Ask on a connection that may see all agents."""

        def listed(frame: Frame) -> dict[str, str] | None:
            return ids_of(frame.message) if frame.kind == "AgentDirectory" else None

        self._known = session.ask("getAgentDirectory", listed, self._within)
        return self._known

    def id_of(self, number: str) -> str:
        """XiVO's id of an agent; PbxRefused when it has no such agent."""
        if number not in self._known.values():
            with self._wire.open(self._user) as session:
                self.read(session)
        found = next((key for key, value in self._known.items() if value == number), "")
        if not found:
            raise PbxRefused(self._wire.name, f"XiVO lists no agent {inert(number, 20)}; nothing was sent")
        return found


class XivoCallbacks:
    """The callback lists of one XiVO. `login_of`: the XiVO user of an agent; PbxRefused when there is none."""

    def __init__(
        self,
        wire: Wire,
        settings: PbxSettings,
        options: XivoOptions,
        numbers: Numbers,
        login_of: Callable[[str], str],
        *,
        environ: Mapping[str, str] | None,
        transport: httpx.BaseTransport | None,
    ) -> None:
        self._wire, self._settings, self._options = wire, settings, options
        self._numbers, self._login_of = numbers, login_of
        self._name = wire.name
        self._server = _Server(self._name, settings, options, environ, transport) if options.config_url else None

    def close(self) -> None:
        if self._server is not None:
            self._server.close()

    def read_lists(self) -> Sequence[RequestList]:
        """Read the lists as the supervisor sees them: all of them."""
        with self._wire.open(self._settings.user, longest=MAX_LISTS) as session:
            agents = self._numbers.read(session)
            return lists_of(self._lists(session), agents)

    def _lists(self, session: Session) -> Any:
        """The message of a CallbackLists. To ask for it is also to ask for the events that follow."""

        def listed(frame: Frame) -> list[Any] | None:
            return [frame.message] if frame.kind == "CallbackLists" and raw_lists(frame.message) is not None else None

        return session.ask("getCallbackLists", listed, self._settings.timeout)[0]

    # taking -------------------------------------------------------------------------------------------

    def take(self, request_id: str, number: str) -> None:
        mine, request_id = self._numbers.id_of(number), self._id(request_id)
        with self._wire.open(self._login_of(number), longest=MAX_LISTS) as session:
            if self._holder(session, request_id, mine):
                return

            def taken(frame: Frame) -> str | None:
                return text_of(frame.of("agentId")) if names(frame, "CallbackTaken", request_id) else None

            try:
                winner = session.ask("takeCallback", taken, self._options.take_within, uuid=request_id)
            except NotTold:
                winner = mine if self._holder(session, request_id, mine) else ""
            if not winner:
                raise PbxUnavailable(self._name, "XiVO does not say that the callback was taken; nobody was called")
            if winner != mine:
                raise self._elsewhere(winner)

    def _holder(self, session: Session, request_id: str, mine: str) -> bool:
        """Whether the agent has the request already, by the lists; raises when another has it, or nobody can."""
        entry = find(self._lists(session), request_id)
        if entry is None:
            raise NoLongerListed(
                self._name,
                "the callback is not among those XiVO shows to this agent: it was closed there, or the agent is not "
                "in the queue of its list; nobody was called",
            )
        holder = text_of(entry.get("agentId"))
        if holder and holder != mine:
            raise self._elsewhere(holder)
        return holder == mine

    def _elsewhere(self, holder: str) -> TakenElsewhere:
        who = inert(holder, 20)
        return TakenElsewhere(
            self._name, f"the callback is taken in XiVO's own page (agent id {who}); nobody was called"
        )

    def release(self, request_id: str, number: str) -> None:
        request_id = self._id(request_id)
        with self._wire.open(self._login_of(number), longest=MAX_LISTS) as session:
            entry = find(self._lists(session), request_id)
            if entry is None or text_of(entry.get("agentId")) != self._numbers.id_of(number):
                return  # somebody else's by now, or nobody's

            def released(frame: Frame) -> bool | None:
                return names(frame, "CallbackReleased", request_id) or None

            try:
                session.ask("releaseCallback", released, self._options.take_within, uuid=request_id)
            except NotTold:
                entry = find(self._lists(session), request_id)
                if entry is not None and text_of(entry.get("agentId")):
                    raise

    # calling ------------------------------------------------------------------------------------------

    def start(
        self,
        order: AgentFirstOrder,
        request_id: str,
        ticket: Callable[[str], None],
        before_send: Callable[[], None] | None,
    ) -> str:
        """Have XiVO call a request for the agent who has taken it; returns our id of the call.

        XiVO attaches nothing of ours to such a call: its first event is that of this agent's phone and this number.
        """
        request_id = self._id(request_id)
        known = _Known()

        def heard(frame: Frame) -> str | None:
            if names(frame, "CallbackStarted", request_id, "requestUuid") and not known.ticket:
                known.ticket = foreign_id(text_of(frame.of("ticketUuid"))) or ""
                if known.ticket:
                    ticket(known.ticket)
            if frame.kind == "PhoneEvent" and not known.call and self._is_of(frame.message, order):
                known.call = call_id_of(frame.message, order.user_id) or ""
            return known.call if known.call and known.ticket else None

        told = command("startCallback", uuid=request_id, number=dialled(self._settings, order.number))
        with self._wire.open(self._login_of(order.user_id)) as session:
            if session.calls(PHONE_CHECK):
                raise PbxBusy(self._name, f"the phone of agent {inert(order.user_id, 20)} is in use; nothing was sent")
            unknown: OutcomeUnknown | None = None
            try:
                return str(session.order(told, heard, self._options.confirm_within, before_send))
            except OutcomeUnknown as exc:
                unknown = exc
        if known.call:
            return known.call  # it rings; what is missing is the ticket
        raise unknown

    def _is_of(self, event: Any, order: AgentFirstOrder) -> bool:
        return (
            isinstance(event, dict)
            and not comes_in(event)
            and as_e164(self._settings, text_of(event.get("otherDN"))) == order.number
        )

    # tickets ------------------------------------------------------------------------------------------

    def write_ticket(self, ticket_id: str, request_id: str, number: str, word: Word, *, again: bool) -> str:
        """Write a ticket in its agent's name; in the supervisor's, where the agent's user is let in no more."""
        request_id = self._id(request_id)
        try:
            session = self._wire.open(self._login_of(number), longest=MAX_LISTS)
        except PbxRefused:
            session = self._wire.open(self._settings.user, longest=MAX_LISTS)
        with session:
            lists = self._lists(session)
            period = self._period(session, lists, word) if word.day is not None else ""
            if again and self._is_there(lists, request_id, word, period):
                return period
            more: dict[str, Any] = {"status": word.status, "comment": word.comment}
            if word.day is not None and period:  # both, or XiVO takes neither
                more |= {"dueDate": word.day.isoformat(), "periodUuid": period}

            def written(frame: Frame) -> bool | None:
                if names(frame, "CallbackClotured", request_id):
                    return True
                told = frame.of("request") if frame.kind == "CallbackRequestUpdated" else None
                return (isinstance(told, dict) and text_of(told.get("uuid")) == request_id) or None

            try:
                session.ask("updateCallbackTicket", written, self._options.take_within, uuid=ticket_id, **more)
            except NotTold:
                if not self._is_there(self._lists(session), request_id, word, period):
                    raise
            return period

    def _period(self, session: Session, lists: Any, word: Word) -> str:
        """XiVO's id of the period that is meant."""
        for one in raw_lists(lists):
            for entry in one["callbacks"]:
                found = period_of(entry.get("preferredPeriod")) if isinstance(entry, dict) else None
                if found is not None and word.period and found.name.casefold() == word.period.casefold():
                    return found.id

        def listed(frame: Frame) -> list[Any] | None:
            return [periods_of(frame.message)] if frame.kind == "PreferredCallbackPeriodList" else None

        try:
            told = session.ask("getCallbackPreferredPeriods", listed, PERIODS_WITHIN)[0] if word.period else []
        except NotTold:
            told = []
        return next((one.id for one in told if one.name.casefold() == word.period.casefold()), word.period_id)

    def _is_there(self, lists: Any, request_id: str, word: Word, period: str) -> bool:
        """Whether the lists show what the ticket would bring about."""
        entry = find(lists, request_id)
        if word.day is None:
            return entry is None  # closed
        if entry is None:
            return True  # closed there meanwhile: there is nothing to move
        told = entry.get("preferredPeriod")
        same = text_of(told.get("uuid")) == period if isinstance(told, dict) and period else True
        return same and text_of(entry.get("dueDate"))[:10] == word.day.isoformat() and not holder_of(entry, {})

    # the configuration server -------------------------------------------------------------------------

    def send_csv(self, list_name: str, csv: bytes) -> str:
        if self._server is None:
            raise SettingsError(
                f"pbx.{self._name}.extra.config_url: name XiVO's configuration server, for example "
                "http://192.0.2.20:9100, and its token with config_token_env; or import the file in XiVO's manager page"
            )
        lists = [one for one in self.read_lists() if list_name in (one.id, one.name)]
        if not lists:
            raise PbxRefused(self._name, f"XiVO has no callback list {inert(list_name, 60)!r}; nothing was sent")
        return self._server.send(lists[0].id, csv)

    def server_answers(self) -> None:
        """Ask the configuration server for its lists, to see that we are let in; nothing without one."""
        if self._server is not None:
            self._server.answers()

    def _id(self, request_id: str) -> str:
        found = foreign_id(request_id)
        if found is None:
            raise PbxRefused(self._name, f"{inert(request_id, 40)!r} is no id of a callback; nothing was sent")
        return found


class _Known:
    """What has been heard of a start."""

    call = ""
    ticket = ""


class _Server(JsonHttp):
    """The configuration server: another address, another secret, and CSV one way."""

    def __init__(
        self,
        name: str,
        settings: PbxSettings,
        options: XivoOptions,
        environ: Mapping[str, str] | None,
        transport: httpx.BaseTransport | None,
    ) -> None:
        own = settings.model_copy(
            update={
                "url": options.config_url.rstrip("/"),
                "token_env": options.config_token_env,
                "token_file": options.config_token_file,
            }
        )
        super().__init__(
            name, own, locked_out={}, secret_header=_HEADER, environ=environ, transport=transport, retries=0
        )  # fmt: skip
        self._options = options

    def answers(self) -> None:
        self.get(self._options.config_lists_path, {}, lambda told: told)

    def send(self, uuid: str, csv: bytes) -> str:
        path = self._options.config_import_path.replace("{uuid}", quote(uuid, safe=""))
        wire = Request("POST", path, content=csv, headers={"Content-Type": "text/plain;charset=UTF-8"})
        got: Answer = self._answer(Kind.COMMAND, Sealed(self._query({}), None, self._secret_headers()), wire)
        if 200 <= got.status < 300:
            return self.shown(got.body[: CSV_SAID * 4].decode("utf-8", "replace"), CSV_SAID)
        raise self._unusable(Kind.COMMAND, got, "it does not take the file")
