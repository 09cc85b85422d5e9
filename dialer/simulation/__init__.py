"""A call centre in virtual time, to pace in: a world, its draws, a day in it, and named shapes of days."""

from dialer.simulation.day import Centre, run_day
from dialer.simulation.draws import LogNormal
from dialer.simulation.results import CampaignDay, Day
from dialer.simulation.shapes import SHAPES, shape
from dialer.simulation.world import Campaigning, Curve, Detection, Group, Inbound, People, World

__all__ = [
    "SHAPES",
    "CampaignDay",
    "Campaigning",
    "Centre",
    "Curve",
    "Day",
    "Detection",
    "Group",
    "Inbound",
    "LogNormal",
    "People",
    "World",
    "run_day",
    "shape",
]
