"""Which campaigns and PBXs this scheduler leads: its leases, by our own stopwatch.

One live leader per campaign. Schedulers that live share the campaigns out among them, and take over those of one
whose leases run out.
"""

import os
import secrets
import socket

import structlog
from sqlalchemy import select

from campaigns import leases
from campaigns.application import Application
from campaigns.gate import Claim
from campaigns.models import AgentLeg, Campaign

log = structlog.get_logger(__name__)


class Leading:
    """Holds leases. `claims`: by campaign; `pbxes`: whose polls, sweeps and lists are ours."""

    def __init__(self, application: Application, holder: str | None = None) -> None:
        self._application = application
        self._lease = application.settings.timing.lease
        self._claimed_at = -1e9
        self.holder = holder or f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
        self.claims: dict[int, Claim] = {}
        self.pbxes: set[str] = set()

    def renew(self) -> set[int]:
        """Claim our part of what runs, and leave what we lost, or what is for a scheduler that has come.

        Returns the campaigns that are led from now on.
        """
        now = self._application.clock.monotonic()
        with self._application.transaction() as session:
            # One that was stopped still has agents on the line to let go.
            parked = select(AgentLeg.campaign_id).where(AgentLeg.ended_at.is_(None))
            running = session.scalars(
                select(Campaign.id)
                .where(Campaign.state.in_(("running", "paused")) | Campaign.id.in_(parked))
                .order_by(Campaign.id)
            )
            names = {f"campaign:{campaign_id}": campaign_id for campaign_id in running}
            pbx_names = {f"pbx:{name}": name for name in self._application.pbxes}
            present = leases.take_part(session, self.holder, self._lease)
            ours = leases.fair_share(session, list(names), self.holder, present)
            held = leases.claim(session, [*ours, *pbx_names, "calendar"], self.holder, self._lease)
        self._claimed_at = now
        self.pbxes = {pbx_names[name] for name in held if name in pbx_names}
        claims = {names[name]: Claim(name, self.holder, fence) for name, fence in held.items() if name in names}
        new = {campaign_id for campaign_id, claim in claims.items() if self.claims.get(campaign_id) != claim}
        for campaign_id in sorted(new):
            log.info("leading", campaign=campaign_id, fence=claims[campaign_id].fence)
        left = {campaign for campaign, claim in self.claims.items() if claim.name in names} - {*claims}
        if left:
            log.info("no longer leading", campaigns=sorted(left), schedulers=present)
        self.claims = claims
        return new

    @property
    def confident(self) -> bool:
        """Whether our leases were renewed lately, by our own stopwatch: without that we order nothing."""
        return self._application.clock.monotonic() - self._claimed_at < self._lease * 2 / 3

    def release(self) -> None:
        """Let the others take over at once."""
        with self._application.transaction() as session:
            leases.release(session, self.holder)
