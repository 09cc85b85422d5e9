"""Automatic responders: runs the nodes of an IVR against whoever is connected to it, in real seconds."""

from dataclasses import dataclass

from dialer.pbx.simulator import moves
from dialer.pbx.simulator.agenda import Entry
from dialer.pbx.simulator.config import Clip, IvrConfig, NodeConfig
from dialer.pbx.simulator.exchange import Exchange
from dialer.pbx.simulator.legs import Leg
from dialer.pbx.simulator.tables import EntityType, NodeAction

_UNKNOWN_CLIP = Clip(1.0)
_SCRIPT_LIMIT = 10.0  # a script that has not answered by then gave no instruction


@dataclass(frozen=True, slots=True)
class ScriptCall:
    """A node asks its script what to do; the answer goes to `World.script_answered`."""

    id: int
    url: str
    fields: dict[str, str]


class IvrRun:
    """One responder at work in one communication."""

    def __init__(self, exchange: Exchange, ivr: IvrConfig, leg: Leg, scripts: "Scripts") -> None:
        self._exchange = exchange
        self._ivr = ivr
        self._leg = leg
        self._scripts = scripts
        self._began = exchange.agenda.now
        self._timer: Entry | None = None
        self._hears_message: Leg | None = None
        self._tag = "-1"
        self._asked: int | None = None

    def start(self) -> None:
        root = next((node for node in self._ivr.nodes if node.parent_id < 0), None)
        if root is None:
            self._exchange.hang_up(self._leg, by="ivr")
        else:
            self._play(root)

    def stop(self) -> None:
        """The responder is interrupted, or gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._asked is not None:
            self._scripts.forget(self._asked)
            self._asked = None
        self._message_over(whole=False)
        now = self._exchange.agenda.now
        self._leg.com.ivr_time += now - self._began
        self._began = now

    def _play(self, node: NodeConfig) -> None:
        exchange = self._exchange
        clip = exchange.config.clips.get(node.audio_message, _UNKNOWN_CLIP)
        customer = self._leg.com.other(self._leg)
        if clip.message and customer is not None and customer.in_book:
            exchange.book.message_began(customer.id, node.audio_message, exchange.agenda.now)
            self._hears_message = customer
        if not node.audio_loop:
            waits = node.waiting_input_time if node.input_type else 0.0
            self._timer = exchange.agenda.after(clip.seconds + waits, self._act, node)
        elif node.waiting_input_time > 0:
            self._timer = exchange.agenda.after(node.waiting_input_time, self._act, node)

    def _act(self, node: NodeConfig) -> None:
        self._message_over(whole=True)
        if node.action is NodeAction.NEXT_NODE:
            child = next((other for other in self._ivr.nodes if other.parent_id == node.node_id), None)
            self._go(child)
        elif node.action is NodeAction.CALL and node.called_type is not None and node.called_id is not None:
            self._send_to(node.called_type, node.called_id, node.called_external_number)
        elif node.action is NodeAction.SCRIPT and node.script:
            self._asked = self._scripts.ask(self, node, self._about(node))
            self._timer = self._exchange.agenda.after(_SCRIPT_LIMIT, self._end)
        else:
            self._end()

    def _go(self, node: NodeConfig | None) -> None:
        if node is None:
            self._end()
        else:
            self._play(node)

    def _end(self) -> None:
        self._exchange.hang_up(self._leg, by="ivr")

    def _send_to(self, kind: int, id: int, number: str) -> None:
        if self._exchange.entities.trouble_with(kind, id) is not None:
            self._end()
        else:
            moves.divert(self._exchange, self._leg.com, self._leg, EntityType(kind), id, number)

    def _message_over(self, whole: bool) -> None:
        if self._hears_message is not None:
            self._exchange.book.message_ended(self._hears_message.id, self._exchange.agenda.now, whole)
            self._hears_message = None

    # scripts ------------------------------------------------------------------------------------------
    def _about(self, node: NodeConfig) -> dict[str, str]:
        order = self._leg.com.order
        return {
            "license_id": "SIMULATOR",
            "domain": "simulator.example",
            "ivrid": str(self._ivr.id),
            "nodeid": str(node.node_id),
            "callid": str(self._leg.com.id),
            "calling": order.calling_number,
            "called": order.called_number,
            "input": "",
            "tag": self._tag,
        }

    def told(self, node: NodeConfig, text: str) -> None:
        """Do what a script answered; no or a malformed instruction ends the call."""
        self._asked = None
        if self._timer is not None:
            self._timer.cancel()
        said = dict(line.split("=", 1) for line in text.replace("\r\n", "\n").split("\n") if "=" in line)
        command = said.get("command", "").strip()
        try:
            if command == "1":
                children = [other for other in self._ivr.nodes if other.parent_id == node.node_id]
                child = next((other for other in children if other.select_key == said["node_key"].strip()), None)
                if child is not None:  # an unknown key leaves the caller in the node
                    self._play(child)
            elif command == "2":
                self._send_to_number(said["recipient_number"].strip())
            elif command == "3":
                number = said.get("recipient_number", "").strip()
                self._send_to(int(said["recipient_type"]), int(said["recipient_id"]), number)
            elif command == "4":
                self._tag = said.get("tag", self._tag).strip()
                self._play(_changed(node, said))
            else:
                self._end()
        except (KeyError, ValueError):
            self._end()

    def _send_to_number(self, number: str) -> None:
        """The routing rules here: an extension is that user, anything else goes out by the first gateway."""
        user = self._exchange.entities.by_extension.get(number)
        if user is not None:
            self._send_to(EntityType.USER, user.id, number)
        elif number.isdigit() and self._exchange.entities.gateways:
            self._send_to(EntityType.GATEWAY, next(iter(self._exchange.entities.gateways)), number)
        else:
            self._end()


def _changed(node: NodeConfig, said: dict[str, str]) -> NodeConfig:
    """The node as a script wants it run again."""
    return NodeConfig(
        node.node_id,
        node.parent_id,
        node.description,
        audio_message=said.get("audio_message", node.audio_message).strip(),
        audio_loop=said.get("audio_loop", "1" if node.audio_loop else "0").strip() == "1",
        input_type=node.input_type,
        input_length=int(said.get("input_length", node.input_length)),
        waiting_input_time=float(said.get("input_timeout", node.waiting_input_time)),
        action=NodeAction(int(said.get("node_action", node.action))),
        script=said.get("script_url", node.script).strip(),
        called_type=node.called_type,
        called_id=node.called_id,
    )


class Scripts:
    """The questions nodes have put to scripts. Those to be asked now stand in `outbox`."""

    def __init__(self) -> None:
        self.outbox: list[ScriptCall] = []
        self._asked: dict[int, tuple[IvrRun, NodeConfig]] = {}
        self._last = 0

    def ask(self, run: IvrRun, node: NodeConfig, fields: dict[str, str]) -> int:
        self._last += 1
        self._asked[self._last] = (run, node)
        self.outbox.append(ScriptCall(self._last, node.script, fields))
        return self._last

    def forget(self, id: int) -> None:
        self._asked.pop(id, None)

    def answered(self, id: int, text: str) -> None:
        """A script's answer arrived; late answers change nothing."""
        run, node = self._asked.pop(id, (None, None))
        if run is not None and node is not None:
            run.told(node, text)
