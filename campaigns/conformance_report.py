"""The report of a conformance run, fit to be sent to support: no secret in it, and of each number its ends."""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from campaigns.conformance import Run
from dialer.conformance.lines import Line
from dialer.conformance.outcome import Outcome
from dialer.conformance.phones import Phones
from dialer.errors import DialerError, SettingsError
from dialer.numbers import mask
from dialer.pbx.foreign import inert
from dialer.secrets import secret
from dialer.settings import PbxSettings

STARS = "***"
_SECRETS = ("token", "webhook_secret", "webhook_secret_previous")
_NUMBER = re.compile(r"\+[0-9]{6,15}\b")  # without a plus it may as well be an id


class Mask:
    """Takes secrets and numbers out of text. What was given is known; other long numbers are masked by their look."""

    def __init__(self, secrets: tuple[str, ...], phones: Phones) -> None:
        self._secrets = sorted({one for one in secrets if len(one) >= 4}, key=len, reverse=True)
        given = [*phones.numbers, phones.wrong, phones.caller_id]
        self._numbers = sorted({one.removeprefix("+") for one in given if one}, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for one in self._secrets:
            text = text.replace(one, STARS)
        for digits in self._numbers:
            text = re.sub(rf"\+?{digits}", mask(f"+{digits}"), text)
        return _NUMBER.sub(lambda found: mask(found[0]), text)


def mask_of(name: str, settings: PbxSettings, phones: Phones, environ: Mapping[str, str] | None = None) -> Mask:
    """Return the mask for a run against PBX `name`."""
    known = []
    for which in _SECRETS:
        with suppress(SettingsError):
            value = secret(settings, name, which, environ)
            if value is not None:
                known += [value.get_secret_value(), *_passwords(value.get_secret_value())]
    return Mask(tuple(known), phones)


def _passwords(value: str) -> list[str]:
    """Of a secret that holds a line user=password for each user, the passwords."""
    return [line.partition("=")[2].strip() for line in value.splitlines() if "=" in line]


def write(path: Path, text: str) -> None:
    """Write the report, readable by nobody else; DialerError when that cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as exc:
        raise DialerError(f"the report cannot be written to {path}: {exc.strerror or exc}; name another file") from None


def as_text(run: Run, outcome: Outcome, hide: Mask, ended: datetime | None) -> str:
    """Return the whole report."""
    kind = run.application.settings.pbx[run.name].kind
    began = f"{run.began:%Y-%m-%d %H:%M:%S} UTC" if run.began else "not begun"
    took = f", {(ended - run.began).total_seconds():.0f} s" if ended and run.began else ""
    parts = [
        f"Conformance of PBX {run.name} ({kind})",
        f"dialer {_version()}; {began}{took}; {'reads only' if run.given.reads_only else f'{run.plan.calls} calls'}",
        "",
        *(_line(line) for line in outcome.lines),
        "",
        *summary(outcome),
        "",
        "What was heard, call by call (seconds after the order):",
        *_heard(run),
    ]
    return "\n".join(hide(one) for one in parts) + "\n"


def _version() -> str:
    try:
        return version("dialer")
    except PackageNotFoundError:
        return "(from its sources)"


def _line(line: Line) -> str:
    told = f"[{line.verdict}] {line.check}: {line.what}"
    return f"{told}\n    -> {line.remedy}" if line.remedy else told


def summary(outcome: Outcome) -> list[str]:
    """Return the conclusion in plain words: modes, and settings to change."""
    told = [f"Modes seen to work: {', '.join(outcome.seen) or 'none'}"]
    if outcome.open:
        told.append(f"Modes the PBX should be able to do, not all of it seen: {', '.join(outcome.open)}")
    if outcome.lost:
        told.append(f"Modes not to be used until what does not work is mended: {', '.join(outcome.lost)}")
    told += [f'Change {one.setting} from "{one.now}" to "{one.value}": {one.why}' for one in outcome.changes]
    told += [f'{one.setting} = "{one.value}" is right: {one.why}' for one in outcome.kept]
    return told


def _heard(run: Run) -> list[str]:
    told: list[str] = []
    if run.bench is None:
        return ["  nothing"]
    for probe in run.bench.probes:
        whose = " and ".join(one for one in (f"agent {probe.user_id}" if probe.user_id else "", probe.number) if one)
        known = probe.found_by or "nothing"
        told.append(f"  {probe.ref} to {whose}: the PBX's id {inert(probe.call_id or 'none', 40)}, known by {known}")
        for note in probe.notes:
            event = note.event
            more = ", ".join(str(one) for one in (event.role, event.outcome, event.note) if one)
            told.append(f"    {note.after:7.2f}  {inert(event.name, 40)}: {event.heard} ({more})")
    told += [f"  names no call of the run: {inert(one.name, 40)}: {one.heard}" for one in run.bench.strays[:50]]
    told += [f"  cannot be read: {inert(one)}" for one in run.bench.unreadable[:20]]
    return told or ["  nothing"]
