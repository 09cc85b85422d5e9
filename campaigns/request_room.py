"""How many calls may be started now on a PBX whose account allows so many requests in a while, and why no more."""

from campaigns.application import Application
from campaigns.pace_view import View
from dialer.calls import CallState
from dialer.pbx.base import Metered, Room


def of(application: Application, view: View) -> Room | None:
    """Return what the PBX's account still allows, less what is ordered and not sent; None where nothing limits it."""
    known = application.pbxes.get(view.pbx)
    if not isinstance(known, Metered):
        return None
    found = known.room()
    unsent = sum(call.state is CallState.ORDERED for call in view.open)
    unsent += sum(sent_at is None for _, sent_at in view.others)
    return Room(max(0, found.calls - unsent), found.why)
