"""`dialer pbx check` for a XiVO: who is let in, who is an agent there, and what its documents leave open."""

from collections.abc import Callable, Mapping, Sequence

from dialer.errors import PbxError, SettingsError
from dialer.pbx.base import Finding, PbxUser, Presence
from dialer.pbx.callback_lists import RequestList
from dialer.pbx.foreign import inert
from dialer.pbx.xivo_options import XivoOptions
from dialer.settings import PbxSettings

SHOWN = 10  # names in one line


def check_set_up(
    name: str,
    settings: PbxSettings,
    options: XivoOptions,
    logins: Mapping[str, str],
    users: Callable[[], Sequence[PbxUser]],
    let_in: Callable[[str], None],
) -> list[Finding]:
    """Say what would go wrong. `let_in` raises when a XiVO user is not. Never raises a PBX's errors."""
    place = f"pbx.{name}.extra"
    if not logins:
        remedy = f'{place}.agents = "1015=agent15, 1016=agent16": agent number and XiVO user of each'
        return [Finding(False, "no agent is named in the settings", remedy)]
    found = [*_directory(name, logins, users), *_accounts(name, logins, let_in)]
    if options.dialing_means == "unknown":
        found.append(
            Finding(
                False,
                "it is not known whether EventDialing means that the agent took the phone, so a call that nobody takes "
                "counts as not answered by the customer",
                f'set {place}.dialing_means = "customer" and call one contact for an agent who lets the phone ring: if '
                'the attempt ends as no_agent, leave it so; if as no_answer, the event came before: set "agent"',
                fatal=False,
            )
        )
    if settings.number_format == "digits" and not settings.dial_prefix:
        found.append(
            Finding(
                False,
                "numbers are dialled as digits with the country code and no prefix: 390612345678",
                f'set pbx.{name}.number_format = "international" (00..) or "plus", and dial_prefix, as '
                "XiVO's outgoing calls want it",
                fatal=False,
            )
        )
    return found


def check_callbacks(
    name: str, options: XivoOptions, lists: Callable[[], Sequence[RequestList]], server: Callable[[], None]
) -> list[Finding]:
    """Say whether the callback lists of the settings are there, and what about them nobody has seen yet."""
    found: list[Finding] = []
    place = f"pbx.{name}.extra"
    if options.bound_lists:
        found += _lists(place, options.bound_lists, lists)
        found.append(
            Finding(
                False,
                "XiVO's documents do not say what it attaches to a call that it starts for a callback, so such a call "
                "is known by its agent and number",
                "call one request of a list whose only number is yours: the attempt must end as completed, and its "
                "ticket show in XiVO's manager page",
                fatal=False,
            )
        )
    if options.statistics_every and options.time_zone == "UTC":
        found.append(
            Finding(
                False,
                "XiVO's figures begin again at its midnight, which is taken to be that of UTC",
                f'set {place}.time_zone = "Europe/Paris", or wherever XiVO\'s clock is',
                fatal=False,
            )
        )
    if options.config_url:
        found.append(_server(place, server))
    return found


def _server(place: str, server: Callable[[], None]) -> Finding:
    try:
        server()
    except (PbxError, SettingsError) as exc:
        what = f"XiVO's configuration server does not tell its lists: {getattr(exc, 'why', '') or exc}"
        remedy = "config_url, config_lists_path and its token; without it, import CSV in XiVO's manager page"
        return Finding(False, what, f"check {place}.{remedy}", fatal=False)
    return Finding(True, "its configuration server answers")


def _lists(place: str, bound: Mapping[str, str], lists: Callable[[], Sequence[RequestList]]) -> list[Finding]:
    try:
        seen = lists()
    except PbxError as exc:
        remedy = f"the user of pbx settings must be a supervisor in XiVO; or leave {place}.callback_lists empty"
        return [Finding(False, f"XiVO does not tell its callback lists: {exc.why}", remedy)]
    named = {key for one in seen for key in (one.id, one.name)}
    missing = [inert(one, 60) for one in bound if one not in named]
    if missing:
        known = ", ".join(repr(one.name) for one in seen[:SHOWN]) or "none"
        remedy = f"{place}.callback_lists wants names or uuids as XiVO has them; there are: {known}"
        return [Finding(False, f"XiVO has no callback list {_some(missing)}", remedy)]
    waiting = sum(len(one.requests) for one in seen if one.id in bound or one.name in bound)
    return [Finding(True, f"XiVO's callback lists are there: {waiting} requests in the {len(bound)} of the settings")]


def _directory(name: str, logins: Mapping[str, str], users: Callable[[], Sequence[PbxUser]]) -> list[Finding]:
    try:
        seen = users()
    except PbxError as exc:
        remedy = f"check pbx.{name}.url, pbx.{name}.user and its password, then ask again"
        return [Finding(False, f"XiVO does not list its agents: {exc.why}", remedy)]
    unknown = [user.id for user in seen if user.presence is Presence.UNKNOWN]
    found = [Finding(True, f"XiVO lists {len(logins) - len(unknown)} of the {len(logins)} agents of the settings")]
    if unknown:
        found.append(
            Finding(
                False,
                f"XiVO knows no agent, or no state that we know, of {_some(unknown)}",
                f"pbx.{name}.extra.agents wants agent numbers, as XiVO shows them under Call center, Agents",
            )
        )
    out = [user.id for user in seen if user.presence is Presence.UNAVAILABLE]
    if out:
        what = f"not logged in at XiVO: {_some(out)}"
        found.append(Finding(False, what, "agents log in in XiVO's own agent page, or on the phone", fatal=False))
    return found


def _accounts(name: str, logins: Mapping[str, str], let_in: Callable[[str], None]) -> list[Finding]:
    refused: list[str] = []
    why = ""
    for number, login in logins.items():
        try:
            let_in(login)
        except PbxError as exc:
            refused.append(f"{number} ({inert(login, 30)})")
            why = exc.why
    if not refused:
        return [Finding(True, f"all {len(logins)} agents' users are let in")]
    remedy = f"give each its password in what pbx.{name}.token_file (or token_env) names, one user=password a line"
    return [Finding(False, f"not let in: {_some(refused)}; the last one: {why}", remedy)]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
