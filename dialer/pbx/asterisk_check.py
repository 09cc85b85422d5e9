"""`dialer pbx check`: is everything there that a call will need, and above all the message for when we are not."""

from collections.abc import Callable, Sequence

from dialer.errors import PbxError, PbxRefused
from dialer.pbx.asterisk_events import MESSAGE
from dialer.pbx.asterisk_wire import AriWire
from dialer.pbx.base import Finding, Gateway, PbxUser, Presence
from dialer.pbx.foreign import is_reference
from dialer.settings import PbxSettings

_DOCS = "docs/pbx/asterisk.md has it to copy"
_PROBE = "dialer-check"  # the channel that asks the dialplan; it calls nobody


def check_set_up(
    name: str,
    settings: PbxSettings,
    wire: AriWire,
    gateways: Callable[[], Sequence[Gateway]],
    users: Callable[[], Sequence[PbxUser]],
) -> list[Finding]:
    """Look at Asterisk's side of the set-up; never raises."""
    try:
        system = wire.read("/asterisk/info", {"only": "system"})
        version = str(system["system"]["version"]) if isinstance(system, dict) and "system" in system else "unknown"
    except PbxError as exc:
        return [Finding(False, exc.why, f"check pbx.{name}.url, pbx.{name}.user and the password, then ask again")]
    found = [Finding(True, f"Asterisk {wire.shown(version, 40)} answers")]
    found += _guarded(name, lambda: _trunks(name, settings, gateways()))
    found += _guarded(name, lambda: _agents(name, users()))
    found += _guarded(name, lambda: _dialplan(name, settings, wire))
    found += _guarded(name, lambda: _sounds(settings, wire))
    return found


def _guarded(name: str, look: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return look()
    except PbxError as exc:
        return [Finding(False, exc.why, f"mend this, then ask again: dialer pbx check {name}")]


def _trunks(name: str, settings: PbxSettings, gateways: Sequence[Gateway]) -> list[Finding]:
    if not settings.trunks:
        what = f"pbx.{name}.trunks is empty, so nobody can be called"
        return [Finding(False, what, 'name the provider\'s PJSIP endpoint and its lines: trunks = { "provider" = 30 }')]
    found = []
    for gateway in gateways:
        if gateway.usable:
            told = f"trunk {gateway.id} is {gateway.status}: {gateway.free_lines} of {gateway.lines} lines are free"
            found.append(Finding(True, told))
        else:
            remedy = f"see `pjsip show endpoint {gateway.id}` on Asterisk; the name is pbx.{name}.trunks'"
            found.append(Finding(False, f"trunk {gateway.id}: {gateway.status}", remedy))
    return found


def _agents(name: str, users: Sequence[PbxUser]) -> list[Finding]:
    here = sum(user.presence is not Presence.UNAVAILABLE for user in users)
    told = f"{here} of {len(users)} agents' telephones are registered"
    if not users:
        return [Finding(False, "no endpoint is an agent's telephone", f"see pbx.{name}.agent_endpoints")]
    return [Finding(here > 0, told, "" if here else "switch the telephones on", fatal=False)]


def _dialplan(name: str, settings: PbxSettings, wire: AriWire) -> list[Finding]:
    """Ask the dialplan itself, with a channel that is made for that, calls nobody, and is ended at once.

    Asterisk makes it only while somebody listens, and only then are the customers' calls served, too.
    """
    wanted = {
        "customer_context": settings.customer_context,
        "message_context": settings.message_context,
        "machine_context": settings.machine_context,
    }
    probe = {"endpoint": f"Local/s@{settings.customer_context}/n", "app": settings.app, "channelId": _PROBE}
    found = []
    try:
        there = wire.command("POST", "/channels/create", body=probe).status == 200
        wanted["T of customer_context"] = f"{settings.machine_context or settings.customer_context},T"
        for setting, context in wanted.items():
            if context.endswith(",T") and there:
                found.append(_left_alone(wire, context.removesuffix(",T")))
            elif context and there:
                asked = {"variable": f"DIALPLAN_EXISTS({context},s,1)"}
                told = wire.read(f"/channels/{_PROBE}/variable", asked)
                good = isinstance(told, dict) and told.get("value") == "1"
                what = f"the dialplan has {context}" if good else f"the dialplan has no extension s in [{context}]"
                found.append(Finding(good, what, "" if good else f"add it ({_DOCS}), or correct pbx.{name}.{setting}"))
    except PbxRefused:
        there = False
    finally:
        wire.command("DELETE", f"/channels/{_PROBE}")
    if there:
        return [Finding(True, f"somebody listens to the application {settings.app}"), *found]
    what = f"nobody listens to the application {settings.app}, so the dialplan was not looked at"
    remedy = "start `dialer listener` or `dialer up` and ask again; if one runs, load func_dialplan.so"
    return [Finding(False, what, remedy, fatal=False)]


def _left_alone(wire: AriWire, context: str) -> Finding:
    """Whether somebody whom the dialer leaves alone, because it has died, is looked after by the dialplan itself."""
    told = wire.read(f"/channels/{_PROBE}/variable", {"variable": f"DIALPLAN_EXISTS({context},T,1)"})
    if isinstance(told, dict) and told.get("value") == "1":
        return Finding(True, f"[{context}] looks after those whom a dying dialer leaves alone")
    what = f"[{context}] has no extension T: who waits while the dialer dies would hear silence"
    return Finding(False, what, f"set TIMEOUT(absolute) before Stasis and add extension T; {_DOCS}")


def _sounds(settings: PbxSettings, wire: AriWire) -> list[Finding]:
    if not settings.message_context:
        what = "there is no recorded message: who gets no agent in time is left to the dialplan"
        return [Finding(False, what, f"set message_context; {_DOCS}", fatal=False)]
    try:
        named = wire.read("/asterisk/variable", {"variable": "DIALER_MESSAGE"})
        sounds = [one for one in str(named.get("value", "")).split("&") if one] if isinstance(named, dict) else []
    except PbxRefused:
        sounds = []
    if not sounds:
        what = "the dialplan does not say which sounds are the message"
        return [Finding(False, what, f"set the global variable DIALER_MESSAGE; {_DOCS}", fatal=False)]
    missing = []
    for sound in sounds:
        if "/" in sound or not is_reference(sound):
            continue  # ARI tells of the sounds that came with Asterisk, not of files elsewhere
        try:
            wire.read(f"/sounds/{sound}")
        except PbxRefused:
            missing.append(sound)
    if missing:
        told = ", ".join(wire.shown(one, 40) for one in missing)
        return [Finding(False, f"the message's sound is not there: {told}", "install it, or correct DIALER_MESSAGE")]
    return [Finding(True, f"the message ({MESSAGE}) is {wire.shown('&'.join(sounds), 80)}")]
