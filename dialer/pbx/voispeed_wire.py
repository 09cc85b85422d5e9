"""One VOIspeed request and its envelope: `<result>` with an outcome, and what stands beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dialer.errors import PbxRefused
from dialer.pbx.foreign import foreign_id
from dialer.pbx.http import PbxHttp, ReadRefused, Unreadable
from dialer.pbx.sealed import Look
from dialer.pbx.voispeed_codes import ReplyOutcome, number
from dialer.pbx.xml import Node, XmlTrouble, parse
from dialer.settings import PbxSettings

Arguments = Mapping[str, str | int | None]


@dataclass(frozen=True, slots=True)
class Reply:
    """An envelope that could be read. `error` is already fit to be shown."""

    outcome: ReplyOutcome
    request_id: str
    error: str
    root: Node = field(repr=False)


class Wire:
    """Asks and orders services of one VOIspeed by name."""

    def __init__(self, http: PbxHttp, settings: PbxSettings) -> None:
        self.http = http
        self.name = http.name
        self.settings = settings

    def ask(
        self,
        service: str,
        arguments: Arguments | None = None,
        *,
        records: Sequence[str] = (),
        container: str = "",
        envelope: bool = True,
        bare: bool = False,
    ) -> Node:
        """Read a list made of `records`; PbxRefused, PbxNonsense or PbxUnavailable when there is none.

        `envelope` False: the guide prints this reply without an outcome, so none is asked for as long as the
        container or a record is there.
        """

        def understand(body: bytes) -> Reply:
            root = _parsed(body, records, bare)
            outcome = _outcome(root)
            there = root.first(container) is not None or any(root.all(record) for record in records[:1])
            if outcome is None and not envelope and there:
                outcome = ReplyOutcome.ACCEPTED
            return self._reply(root, outcome)

        reply = self.http.read(self._params(service, arguments), understand)
        if reply.outcome is ReplyOutcome.REFUSED:
            raise ReadRefused(self.name, f"refuses {service}: {reply.error}")
        return reply.root

    def order(
        self,
        service: str,
        arguments: Arguments,
        *,
        records: Sequence[str] = (),
        before_send: Look | None = None,
        parts: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send a command once; its reply, or one of the three errors of a command."""

        def understand(body: bytes) -> Reply:
            root = _parsed(body, records, False)
            return self._reply(root, _outcome(root))

        params = self._params(service, arguments)
        reply = self.http.command(params, understand, before_send=before_send, parts=parts)
        if reply.outcome is ReplyOutcome.REFUSED:
            raise PbxRefused(self.name, f"refuses {service}: {reply.error}")
        return reply

    def refuse(self, why: str) -> PbxRefused:
        """Say no in the PBX's stead, before anything is sent."""
        return PbxRefused(self.name, f"{why}; nothing was sent")

    def _params(self, service: str, arguments: Arguments | None) -> dict[str, str]:
        params = {"service": service}
        if self.settings.domain:
            params["domain"] = self.settings.domain
        for name, value in (arguments or {}).items():
            if name and value is not None and value != "":
                params[name] = str(value)
        return params

    def _reply(self, root: Node, outcome: ReplyOutcome | None) -> Reply:
        if outcome is None:
            raise Unreadable("no readable <outcome> in it")
        error = self.http.shown(root.get("error") or "") or "no reason given"
        return Reply(outcome, foreign_id(root.get("request_id")) or "", error, root)


def records_of(root: Node, container: str, record: str) -> list[Node]:
    """Return a list's records, which a forgiving reading leaves outside their container."""
    box = root.first(container)
    return [*(box.all(record) if box is not None else []), *root.all(record)]


def _parsed(body: bytes, records: Sequence[str], bare: bool) -> Node:
    why = ""
    try:
        return parse(body, records=records, bare=bare)
    except XmlTrouble as exc:
        why = str(exc)
    raise Unreadable(why)


def _outcome(root: Node) -> ReplyOutcome | None:
    code = number(root.get("outcome"))
    return next((outcome for outcome in ReplyOutcome if outcome == code), None)
