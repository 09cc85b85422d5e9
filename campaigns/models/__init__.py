"""Every table, and what the database refuses by itself. One module for each subject.

Counts are rows: no column here counts something that could be counted. Rows of attempts, assignments and the
ledger are never deleted: reports and regulators ask for them.
"""

from campaigns.db import Base
from campaigns.models.agents import Agent, CampaignAgent, Offer
from campaigns.models.callbacks import Callback, CallbackTicket, ListedRequest, ListedTicket, PbxList
from campaigns.models.calls import LEFT_BEHIND, AgentLeg, Assignment, Attempt, Command, LoggedEvent, PlacedCall
from campaigns.models.campaign import CallerId, Campaign, CampaignCallerId, CampaignPbx, Disposition
from campaigns.models.columns import Instant
from campaigns.models.do_not_call import DoNotCall, Forgotten, SharesForgotten
from campaigns.models.imports import Import, ImportChange, ImportPull, ImportTemplate
from campaigns.models.ledger import Ledger
from campaigns.models.lists import Contact, ContactList, ListCount, Period
from campaigns.models.pacing import Forecast, LearntTimes, PaceDecision
from campaigns.models.pbxes import DirectoryChange, PbxAccount, PbxFigures, PbxRequest, PbxStatus
from campaigns.models.processes import Installation, Lease, ProcessBeat

__all__ = [
    "LEFT_BEHIND",
    "Agent",
    "AgentLeg",
    "Assignment",
    "Attempt",
    "Base",
    "Callback",
    "CallbackTicket",
    "CallerId",
    "Campaign",
    "CampaignAgent",
    "CampaignCallerId",
    "CampaignPbx",
    "Command",
    "Contact",
    "ContactList",
    "DirectoryChange",
    "Disposition",
    "DoNotCall",
    "Forecast",
    "Forgotten",
    "Import",
    "ImportChange",
    "ImportPull",
    "ImportTemplate",
    "Installation",
    "Instant",
    "LearntTimes",
    "Lease",
    "Ledger",
    "ListCount",
    "ListedRequest",
    "ListedTicket",
    "LoggedEvent",
    "Offer",
    "PaceDecision",
    "PbxAccount",
    "PbxFigures",
    "PbxList",
    "PbxRequest",
    "PbxStatus",
    "Period",
    "PlacedCall",
    "ProcessBeat",
    "SharesForgotten",
]
