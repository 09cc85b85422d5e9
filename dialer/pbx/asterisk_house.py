"""What Asterisk leaves to its application: bridges, music, and who is where after a lost connection.

A *chore* is a word and a channel or two: `park` an agent who has answered, `keep` those who talk past the limit for
people left alone, `back` to the music when the customer has gone, `mend` a conversation whose agent was taken out of
it, `part` a customer from an agent who has one already, `tidy` what an agent leaves behind, `close` the bridge in which
nobody waits any more, `through`: a channel that is none of ours goes on in its dialplan. All are done by the one
listener that leads, so no two work against each other.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from dialer.errors import OutcomeUnknown, PbxRefused, PbxUnavailable
from dialer.pbx.asterisk_events import (
    FOUND,
    GONE,
    AsteriskEvents,
    agent_of,
    channel_of,
    is_agent,
    is_customer,
    made,
    met,
    one_too_many,
    parsed,
    talk_bridge,
)
from dialer.pbx.asterisk_line import Answer
from dialer.pbx.asterisk_lists import bridge_of, entries, in_stasis, members, texts
from dialer.pbx.asterisk_wire import AriWire
from dialer.pbx.base import Heard, Payload, Settled, Told
from dialer.settings import PbxSettings

log = logging.getLogger(__name__)

# Nine of twenty events of a call, and news to nobody.
_NOISE = ("ChannelVarset", "ChannelDialplan", "ChannelCallerId", "ChannelConnectedLine", "ChannelHold", "ChannelUnhold")
_JSON = "application/json"


class House:
    """Keeps one Asterisk's bridges. Only the listener uses it."""

    def __init__(self, wire: AriWire, settings: PbxSettings) -> None:
        self._wire = wire
        self._settings = settings
        self._events = AsteriskEvents(waits_on_answer=bool(settings.machine_context))
        self._started: str | None = None
        self._lately: dict[tuple[object, ...], None] = {}

    @property
    def waiting_bridge(self) -> str:
        """Where all agents hear music until a customer comes."""
        return f"{self._settings.app}-waiting"

    # what a message means -----------------------------------------------------------------------------

    def told(self, message: str) -> Told:
        """Say what to log and what to see to. A channel seen by two subscriptions tells everything twice."""
        body = message.encode("utf-8", "replace")
        event = parsed(body)
        kind = event.get("type")
        if kind == "ApplicationReplaced":
            return Told(replaced=event.get("application") in (None, self._settings.app))
        channel = channel_of(event)
        channel_id = str(channel.get("id", ""))
        ours = is_agent(channel_id) or is_customer(channel_id)
        if not event or self._again(event, channel_id):
            return Told()
        if not ours:
            stray = kind == "StasisStart" and channel_id and channel.get("state") == "Up"
            return Told(chore=f"through {channel_id}" if stray else "")
        payload = Payload("WS", "", body, _JSON)
        heard = self._events.read(payload)
        pair = met(event)
        news = heard.heard is not Heard.OTHER and not self._alone(event, channel_id)
        return Told(
            payload=payload if news else None,
            ref=pair[0] if pair else channel_id,
            chore=self._chore(event, channel_id),
        )

    def _again(self, event: Mapping[str, Any], channel_id: str) -> bool:
        bridge = event.get("bridge")
        key = (
            event.get("timestamp"),
            event.get("type"),
            channel_id,
            channel_of(event).get("state"),
            event.get("dialstatus"),
            event.get("eventname"),
            bridge.get("id") if isinstance(bridge, dict) else None,
        )
        if event.get("timestamp") is None or event.get("type") == "ChannelHangupRequest":
            return False
        if key in self._lately:
            return True
        self._lately[key] = None
        if len(self._lately) > 2000:
            for old in list(self._lately)[:1000]:
                del self._lately[old]
        return False

    def _alone(self, event: Mapping[str, Any], channel_id: str) -> bool:
        """Whether an agent merely enters the bridge they talk in, a moment before the customer does."""
        if event.get("type") != "ChannelEnteredBridge" or not is_agent(channel_id) or not self._settings.hold_music:
            return False
        return met(event) is None and agent_of(_bridge_id(event)) is not None

    def _chore(self, event: Mapping[str, Any], channel_id: str) -> str:
        kind = event.get("type")
        if is_agent(channel_id):
            if kind == "StasisStart":
                return f"park {channel_id}"
            if kind == "ChannelDestroyed":
                return f"tidy {channel_id}"
        if crowd := one_too_many(event):
            return f"part {crowd}"
        agent = agent_of(_bridge_id(event))
        if agent is not None and kind == "ChannelLeftBridge":
            left = _people(event["bridge"])
            if is_customer(channel_id) and left == [agent]:
                return f"back {agent} {channel_id}"
            if channel_id == agent and left:
                return f"mend {agent}"
        pair = met(event)
        return f"keep {pair[0]} {pair[1]}" if pair is not None else ""

    # after a lost connection --------------------------------------------------------------------------

    def settle(self) -> Settled:
        """Ask for the events of our trunks, and look at every channel there is."""
        app = self._settings.app
        status = self._wire.read("/asterisk/info", {"only": "status"})
        started = str(status.get("status", {}).get("startup_time", "")) if isinstance(status, dict) else ""
        restarted = self._started is not None and started != self._started
        self._started = started
        self._order("PUT", f"/applications/{app}/eventFilter", body={"disallowed": [{"type": one} for one in _NOISE]})
        for trunk in self._settings.trunks:
            try:
                self._order("POST", f"/applications/{app}/subscription", {"eventSource": f"endpoint:PJSIP/{trunk}"})
            except PbxRefused as exc:
                log.error("the trunk %s tells us no events: %s", trunk, exc)
        return self.look_around(restarted=restarted)

    def look_around(self, *, restarted: bool | None = None) -> Settled:
        """Look at every channel and bridge there is."""
        # The bridges first: whose bridge is listed was there before, so who is missing afterwards has gone.
        together = members(self._wire.name, self._wire.read("/bridges"))
        channels = entries(self._wire.name, self._wire.read("/channels"), "id")
        present, chores, waiting = set(), [], []
        for channel in sorted(channels, key=lambda one: str(one.get("creationtime", ""))):
            channel_id = str(channel["id"])
            if not (is_agent(channel_id) or is_customer(channel_id)):
                continue
            present.add(channel_id)
            if in_stasis(channel, self._settings.app) and bridge_of(channel_id, together) is None:
                waiting.append(Told(made(FOUND, channel_id), ref=channel_id))
                if is_agent(channel_id):
                    chores.append(f"park {channel_id}")
        for bridge, inside in together.items():
            agent = agent_of(bridge)
            if agent is not None and agent not in present:
                chores.append(f"tidy {agent}")
            elif agent is not None and _people({"channels": inside}) == [agent]:
                chores.append(f"back {agent}")
            elif agent is not None and restarted is not None:  # they were joined while nobody saw it, perhaps
                chores += [f"keep {one} {agent}" for one in inside if is_customer(one)]
        if self._nobody_waits(together) and not any(is_agent(one) for one in present):
            chores.append(f"close {self.waiting_bridge}")  # the last to leave was still shown in it
        waiting.sort(key=lambda told: is_agent(told.ref or ""))  # customers first, and who waits longest first of them
        return Settled(tuple(waiting), frozenset(present), tuple(chores), bool(restarted))

    def gone(self, ref: str) -> Payload:
        return made(GONE, ref)

    # chores -------------------------------------------------------------------------------------------

    def see_to(self, chore: str) -> None:
        """Do one chore. What is refused is too late: somebody hung up meanwhile."""
        what, _, about = chore.partition(" ")
        try:
            match what:
                case "park":
                    self._park(about)
                case "back":
                    self._back(*about.split(" "))
                case "mend":
                    self._mend(about)
                case "part":
                    self._part(about)
                case "tidy":
                    self._tidy(about)
                case "close":
                    self._close()
                case "keep":
                    self._keep(*about.split(" "))
                case "through":
                    self._ask("POST", f"/channels/{about}/continue")
        except PbxRefused as exc:
            log.info("%s came too late: %s", chore, exc.why)

    def _park(self, agent: str) -> None:
        made = self._ask("POST", f"/bridges/{talk_bridge(agent)}", {"type": "mixing"})
        if made.status == 409 and agent in self._inside(agent):
            return  # parked before, and talking by now
        self._put_to_wait(agent)

    def _back(self, agent: str, customer: str = "") -> None:
        if self._settings.record and customer:
            self._ask("POST", f"/recordings/live/{customer}/stop")
        if self._settings.hold_music and self._inside(agent) == [agent]:  # not if the next customer is there already
            self._put_to_wait(agent)

    def _mend(self, agent: str) -> None:
        inside = self._inside(agent)
        if any(is_customer(one) for one in inside) and agent not in inside:
            self._order("POST", f"/bridges/{talk_bridge(agent)}/addChannel", {"channel": agent})

    def _part(self, customer: str) -> None:
        if self._settings.message_context:
            where = {"context": self._settings.message_context, "extension": "s", "priority": "1"}
            self._order("POST", f"/channels/{customer}/continue", where)
        else:
            self._ask("DELETE", f"/channels/{customer}")

    def _put_to_wait(self, agent: str) -> None:
        bridge = self.waiting_bridge if self._settings.hold_music else talk_bridge(agent)
        answer = self._ask("POST", f"/bridges/{bridge}/addChannel", {"channel": agent})
        if answer.status == 404 and self._settings.hold_music:
            self._ask("POST", f"/bridges/{bridge}", {"type": "holding"})
            answer = self._ask("POST", f"/bridges/{bridge}/addChannel", {"channel": agent})
        if answer.status >= 300:
            raise PbxRefused(self._wire.name, f"HTTP {answer.status} {self._wire.shown(answer.message, 80)}")

    def _tidy(self, agent: str) -> None:
        self._ask("DELETE", f"/bridges/{talk_bridge(agent)}")
        self._close()

    def _close(self) -> None:
        if self._nobody_waits(members(self._wire.name, self._wire.read("/bridges"))):
            self._ask("DELETE", f"/bridges/{self.waiting_bridge}")

    def _nobody_waits(self, together: Mapping[str, Sequence[str]]) -> bool:
        """Whether the bridge of those who wait is there, and nobody is left who would."""
        empty = self.waiting_bridge in together and not together[self.waiting_bridge]
        return empty and not any(agent_of(bridge) for bridge in together)

    def _keep(self, customer: str, agent: str) -> None:
        """They talk: lift the limit after which the dialplan would play the message to somebody left alone.

        Asked again at once when it fails: whom nobody lifts it for is taken out of the conversation.
        """
        longer = {"variable": "TIMEOUT(absolute)", "value": str(self._settings.call_limit)}
        for left in (2, 1, 0):
            try:
                self._order("POST", f"/channels/{customer}/variable", longer)
                break
            except (PbxUnavailable, OutcomeUnknown):
                if not left:
                    raise
        if self._settings.record:
            self._record(customer, agent)

    def _record(self, customer: str, agent: str) -> None:
        """Record a conversation under the call's own reference."""
        how: dict[str, str | int] = {
            "name": customer,
            "format": "wav",
            "ifExists": "fail",
            "maxDurationSeconds": self._settings.call_limit,
        }
        self._order("POST", f"/bridges/{talk_bridge(agent)}/record", how)

    def _inside(self, agent: str) -> Sequence[str]:
        return _people(self._wire.read(f"/bridges/{talk_bridge(agent)}"))

    def _ask(self, method: str, path: str, query: Mapping[str, str | int] | None = None) -> Answer:
        return self._wire.command(method, path, query)

    def _order(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> None:
        answer = self._wire.command(method, path, query, body)
        if answer.status >= 300:
            raise PbxRefused(self._wire.name, f"HTTP {answer.status} {self._wire.shown(answer.message, 100)}")


def _people(bridge: Mapping[str, Any]) -> list[str]:
    """Our channels in a bridge: one that is recorded holds Asterisk's own, too."""
    return [one for one in texts(bridge.get("channels")) if is_agent(one) or is_customer(one)]


def _bridge_id(event: Mapping[str, Any]) -> str:
    bridge = event.get("bridge")
    return str(bridge.get("id", "")) if isinstance(bridge, dict) else ""
