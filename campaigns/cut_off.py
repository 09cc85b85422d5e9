"""Agents who wait for calls on a PBX that is out of use: ready as they said, and at work for nobody until it is back.

Their own state stays what it is, so that they need say nothing when the PBX comes back. Whoever talks may go on, and is
not among them. Asked of campaigns of several PBXs: a campaign of one says of its PBX itself that it is in trouble.
"""

from campaigns.agent_states import FREE

# Of an agent `a` with the row `s` of their PBX and a campaign's id: whether they count as out.
IS = (
    f"(a.state IN {FREE} AND s.out_since IS NOT NULL AND s.back_since IS NULL"
    " AND EXISTS (SELECT FROM campaign_pbxes m WHERE m.campaign_id = {campaign}))"  # formatted by whoever asks
)
