"""What the settings of a PBX say before anybody is asked: secrets, addresses, the ways in."""

import ipaddress
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from dialer.errors import SettingsError
from dialer.pbx.base import Finding
from dialer.pbx_kinds import KINDS
from dialer.secrets import secret
from dialer.settings import PbxSettings, is_loopback

SECRET_LENGTH = 32  # characters; 32 random bytes in hexadecimal are 64
_MAKES_ONE = 'python3 -c "import secrets; print(secrets.token_urlsafe(32))"'
_EXAMPLES = ("changeme", "change-me", "secret", "password", "example", "test", "webhook", "123456")


def look_at(name: str, settings: PbxSettings, web_address: str, environ: Mapping[str, str]) -> Sequence[Finding]:
    """Judge the section [pbx.NAME]; nothing is sent anywhere."""
    found = [_token(name, settings, environ)]
    if not KINDS[settings.kind].streams:  # no webhook, so no secret of one
        found.append(_webhook_secret(name, settings, environ))
        found.append(_ways_in(name, settings, web_address))
    host = urlsplit(settings.url).hostname or ""
    if urlsplit(settings.url).scheme == "http" and not is_loopback(host):
        said = settings.allow_http
        found.append(
            Finding(
                ok=False,
                what=f"the PBX at {host} is reached over plain http: its token can be read on the way",
                remedy=f"use an https:// address in pbx.{name}.url"
                + ("" if said else ", or say allow_http = true if the network between is yours alone"),
                fatal=not said,
            )
        )
    return found


def _token(name: str, settings: PbxSettings, environ: Mapping[str, str]) -> Finding:
    needed = KINDS[settings.kind].secret
    try:
        token = secret(settings, name, "token", environ)
    except SettingsError as exc:
        return Finding(False, "the PBX's token is missing", str(exc))
    if token is None:
        return Finding(
            False,
            "no token is named for the PBX",
            f"set pbx.{name}.token_env (or token_file) to where {needed or 'its token'} is kept",
            fatal=bool(needed),
        )
    return Finding(True, "the PBX's token is there")


def _webhook_secret(name: str, settings: PbxSettings, environ: Mapping[str, str]) -> Finding:
    try:
        kept = secret(settings, name, "webhook_secret", environ)
    except SettingsError as exc:
        return Finding(False, "the webhook secret is missing", str(exc))
    if kept is None:
        return Finding(
            False,
            "no webhook secret is named, so no event of this PBX is accepted",
            f"set pbx.{name}.webhook_secret_env; {_MAKES_ONE} makes one",
        )
    value = kept.get_secret_value()
    if value.lower().strip("-_0123456789") in _EXAMPLES:
        return Finding(False, "the webhook secret is one that everybody guesses first", f"make another: {_MAKES_ONE}")
    if len(value) < SECRET_LENGTH or len(set(value)) < 8:
        weak = f"the webhook secret is weak: {len(value)} characters, {len(set(value))} of them different"
        loopback_only = all(ipaddress.ip_network(net, strict=False).is_loopback for net in settings.webhook_allow)
        return Finding(False, weak, f"make one of 32 random bytes: {_MAKES_ONE}", fatal=not loopback_only)
    return Finding(True, "the webhook secret is strong")


def _ways_in(name: str, settings: PbxSettings, web_address: str) -> Finding:
    host = urlsplit(web_address).hostname or ""
    networks = [ipaddress.ip_network(net, strict=False) for net in settings.webhook_allow]
    if not networks:
        return Finding(
            False,
            "no address may send events of this PBX",
            f"set pbx.{name}.webhook_allow to the PBX's address, for example ['192.0.2.10/32']",
        )
    widest = min(networks, key=lambda net: net.prefixlen)
    if not widest.is_loopback and widest.num_addresses > 65_536:
        remedy = f"list only the PBX's own addresses in pbx.{name}.webhook_allow"
        return Finding(False, f"events are accepted from {widest}: that is nearly everybody", remedy, fatal=False)
    if all(net.is_loopback for net in networks) and not settings.on_loopback:
        return Finding(
            False,
            "the PBX is on another machine, but events are accepted from this one only",
            f"add the PBX's address to pbx.{name}.webhook_allow",
        )
    if is_loopback(host) and not settings.on_loopback:
        return Finding(
            False,
            f"the PBX is on another machine, but it is told to send events to {host}",
            "set web.public_url to the address the PBX reaches this machine by, and web.host to listen there",
        )
    return Finding(True, f"events are accepted from {', '.join(settings.webhook_allow)}")
