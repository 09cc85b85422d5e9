"""`dialer pbx check` for VOIspeed: the whole set-up looked at, in plain words, each fault with its remedy."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from dialer.errors import PbxNonsense, PbxRefused, PbxUnavailable, SettingsError
from dialer.pbx.base import Finding, Presence
from dialer.pbx.http import SecretMissing
from dialer.pbx.voispeed_armed import Course, left_alone, waits_for_ever
from dialer.pbx.voispeed_entities import Entities, GatewayEntity, Ivr
from dialer.pbx.voispeed_services import Services
from dialer.secrets import secret
from dialer.settings import PbxSettings

LONGEST_ALONE = 60  # seconds a customer may wait at the reception before the PBX itself has ended the call
MESSAGE_WITHIN = 3  # seconds after which a person who answered should hear something

T = TypeVar("T")


def check_set_up(
    name: str,
    settings: PbxSettings,
    entities: Entities,
    services: Services,
    call_report: Callable[[], object],
    environ: Mapping[str, str] | None = None,
) -> list[Finding]:
    """Read everything a campaign needs and say what would go wrong. Never raises a PBX's errors."""
    look = _Look(name)
    findings = look.findings
    gateways = look.at("gateways", entities.gateways, first=True)
    if gateways is None:
        # Without an answer the rest would say the same thing five times.
        findings.append(_webhook(name, settings, environ))
        return findings
    _gateways(name, settings, gateways, findings)
    users = look.at("users", entities.users)
    if users is not None:
        ready = sum(user.av_status is Presence.AVAILABLE for user in users)
        findings.append(
            Finding(
                bool(users),
                f"{_count(len(users), 'user')} can be read, {ready} of them available now",
                "" if users else "add the agents' users to the integration module's list",
            )
        )
    look.at("ring groups", entities.ring_groups, fatal=False, said=True)
    ivrs = look.at("IVRs", entities.ivrs)
    if ivrs is not None:
        _ivrs(name, settings, {ivr.id: ivr for ivr in ivrs}, findings)
    look.at("current calls", services.get_current_calls, said=True)
    look.at("the call report", call_report, said=True)
    findings.append(_webhook(name, settings, environ))
    return findings


class _Look:
    """Reads one thing after the other and turns what goes wrong into findings."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.findings: list[Finding] = []

    def at(
        self, what: str, read: Callable[[], T], *, first: bool = False, fatal: bool = True, said: bool = False
    ) -> T | None:
        place = f"pbx.{self._name}"
        try:
            found = read()
        except SecretMissing as exc:
            self._bad(str(exc.why), f"give the PBX its token: {place}.token_env or {place}.token_file")
        except PbxRefused as exc:
            remedy = (
                f"check the token, and that the integration module is switched on with its extended services ({place})"
                if first
                else f"allow the integration module to list {what}"
            )
            self._bad(f"{what} cannot be read: {exc.why}", remedy, fatal)
        except PbxUnavailable as exc:
            self._bad(
                f"the PBX does not answer: {exc.why}", f"check {place}.url, the network and that the PBX runs", fatal
            )
        except PbxNonsense as exc:
            if first:
                self._bad(
                    f"what answers is not VOIspeed's interface: {exc.why}",
                    f"copy the exact URL from the integration module's detail page into {place}.url",
                )
            else:
                self._bad(f"{what} cannot be used: {exc.why}", "see docs/pbx/voispeed.md", fatal)
        else:
            if first:
                self.findings.append(Finding(True, "the PBX answers and takes the token"))
            if said:
                self.findings.append(Finding(True, f"{what} can be read"))
            return found
        return None

    def _bad(self, what: str, remedy: str, fatal: bool = True) -> None:
        self.findings.append(Finding(False, what, remedy, fatal))


def _gateways(name: str, settings: PbxSettings, found: list[GatewayEntity], findings: list[Finding]) -> None:
    by_id = {gateway.id: gateway for gateway in found}
    known = ", ".join(f"{gateway.id} ({gateway.name})" for gateway in found) or "none"
    wanted = [str(gateway) for gateway in settings.gateways]
    usable = 0
    for gateway_id in wanted or list(by_id):
        entity = by_id.get(gateway_id)
        if entity is None:
            findings.append(
                Finding(False, f"gateway {gateway_id} does not exist", f"pbx.{name}.gateways: known are {known}")
            )
            continue
        gateway = entity.as_gateway()
        fault, remedy = "", ""
        if not gateway.enabled:
            fault, remedy = "is not enabled", "enable it in the PBX's configuration"
        elif not gateway.registered:
            fault, remedy = f"is {gateway.status}", "check its account and network at the PBX"
        elif gateway.lines <= 0:
            fault, remedy = "has no lines", "give it lines in the PBX's configuration"
        usable += not fault
        told = f"{gateway.lines} lines, {gateway.busy_lines} busy"
        findings.append(
            # Of gateways nobody named, one that cannot be used is merely left out.
            Finding(not fault, f"gateway {gateway_id} ({gateway.name}) {fault or told}", remedy, fatal=bool(wanted))
        )
    if not usable:
        findings.append(
            Finding(False, "no gateway can carry a call", "enable and register one: without it nothing is dialled")
        )


def _ivrs(name: str, settings: PbxSettings, ivrs: Mapping[str, Ivr], findings: list[Finding]) -> None:
    known = ", ".join(f"{ivr.id} ({ivr.name})" for ivr in ivrs.values()) or "none"
    purposes = {
        "reception_ivr": "answered customers wait there",
        "waiting_ivr": "parked agents wait there",
        "abandon_ivr": "it plays the recorded message",
    }
    for setting, purpose in purposes.items():
        wanted: int | None = getattr(settings, setting)
        if wanted is None:
            findings.append(
                Finding(False, f"no {setting} is named ({purpose})", f"set pbx.{name}.{setting}; known are {known}")
            )
        elif str(wanted) not in ivrs:
            findings.append(
                Finding(False, f"IVR {wanted} ({setting}) does not exist", f"pbx.{name}.{setting}: known are {known}")
            )
        else:
            ivr = ivrs[str(wanted)]
            findings.append(Finding(True, f"IVR {wanted} ({ivr.name}) is the {setting}: {purpose}"))
            findings.extend(_fitness(setting, ivr, ivrs))


def _fitness(setting: str, ivr: Ivr, ivrs: Mapping[str, Ivr]) -> list[Finding]:
    """Whether an IVR does what we need of it when nobody comes."""
    if setting == "waiting_ivr":
        why = waits_for_ever(ivr)
        return [
            Finding(
                not why,
                f"the waiting IVR {f'does not keep agents: {why}' if why else 'keeps agents until they are joined'}",
                "give it one root node that loops its music and waits for no input" if why else "",
            )
        ]
    course = left_alone(ivr, ivrs)
    if setting == "abandon_ivr":
        fine = course.ends and course.plays_message
        told = f"the recorded message: {course.told}" + (f"; but {course.why}" if course.why else "")
        return [Finding(fine, told, "" if fine else "give it one root node that plays the message once and ends")]
    return _armed(course)


def _armed(course: Course) -> list[Finding]:
    """Whether the reception looks after a customer when the dialer is dead."""
    told, wait, before = course.told, course.wait, course.wait_before_message
    remedy = "give the reception a short wait, then a node that plays the message once (no loop) and ends"
    if not course.ends:
        return [Finding(False, f"the reception is not armed: {course.why}", remedy)]
    if not course.plays_message:
        return [Finding(False, f"the reception is not armed: it ends and no message is played ({told})", remedy)]
    if wait > LONGEST_ALONE:
        return [Finding(False, f"the reception is not armed: a customer left alone waits {wait:g} s ({told})", remedy)]
    findings = [Finding(True, f"the reception is armed: left alone, a customer's call {told}")]
    late = f"left alone, a customer hears the message only after {before:g} s"
    early = "the reception's message begins at the answer, so a customer whom an agent takes hears its first words"
    if before > MESSAGE_WITHIN or before == 0:
        findings.append(
            Finding(
                False,
                late if before else early,
                f"let the reception wait (a loop, and a time to wait for input) up to {MESSAGE_WITHIN} s first",
                fatal=False,
            )
        )
    return findings


def _webhook(name: str, settings: PbxSettings, environ: Mapping[str, str] | None) -> Finding:
    try:
        known = secret(settings, name, "webhook_secret", environ)
    except SettingsError as exc:
        return Finding(False, str(exc), "without the secret every event of the PBX is turned away")
    if known is None:
        return Finding(
            False,
            "no secret is set for the PBX's events, so every one of them is turned away",
            f"set pbx.{name}.webhook_secret_env, and the same secret in the module's notification URL",
        )
    return Finding(
        False,
        "whether the PBX's events arrive cannot be tested from here",
        f"enter PUBLIC_URL/webhooks/{name}/SECRET as the module's notification URL, and run this check while "
        "`dialer up` or `dialer web` is running: it reports when the last event came",
        fatal=False,
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
