"""`dialer pbx check` for a XiVO: who is let in, who is an agent there, and what its documents leave open."""

from collections.abc import Callable, Mapping, Sequence

from dialer.errors import PbxError
from dialer.pbx.base import Finding, PbxUser, Presence
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


def _directory(name: str, logins: Mapping[str, str], users: Callable[[], Sequence[PbxUser]]) -> list[Finding]:
    why = ""
    seen: Sequence[PbxUser] = ()
    try:
        seen = users()
    except PbxError as exc:
        why = exc.why
    if why:
        remedy = f"check pbx.{name}.url, pbx.{name}.user and its password, then ask again"
        return [Finding(False, f"XiVO does not list its agents: {why}", remedy)]
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
