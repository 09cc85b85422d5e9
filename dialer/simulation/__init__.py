"""A call centre in virtual time, to pace in: a world, its draws, a day in it, and named shapes of days."""

from dialer.simulation.day import Centre, run_day
from dialer.simulation.draws import LogNormal
from dialer.simulation.results import CampaignDay, Day
from dialer.simulation.world import Campaigning, Curve, Detection, Group, Inbound, World

__all__ = [
    "CampaignDay",
    "Campaigning",
    "Centre",
    "Curve",
    "Day",
    "Detection",
    "Group",
    "Inbound",
    "LogNormal",
    "World",
    "run_day",
]
