"""Exchanging one party of a call for another: the supervised transfer and the diversion."""

from dialer.pbx.simulator.exchange import Exchange
from dialer.pbx.simulator.legs import Communication, Leg
from dialer.pbx.simulator.tables import EntityType


def why_no_transfer(com: Communication, replaced: Leg, other: Communication, recipient: Leg) -> str | None:
    """Say why one leg cannot take the place of another; None if it can."""
    if com is other:
        return "both entities are in the same communication"
    partner = com.other(replaced)
    if partner is None or not partner.is_answered:
        return "nobody is left in the communication"
    if not (replaced.is_answered and recipient.is_answered):
        return "an entity has not answered"
    return None


def transfer(exchange: Exchange, com: Communication, replaced: Leg, other: Communication, recipient: Leg) -> None:
    """Put `recipient` of communication `other` in the place of `replaced` in `com`; `other` ends.

    The maker's steps: the replaced leg is ended; the recipient moves; the communication it came from ends
    together with whoever was left in it.
    """
    watcher, notifier = exchange.watcher, exchange.notifier
    watcher.parted(com)
    watcher.parted(other)
    gone = other.other(recipient)
    exchange.send_away(replaced, by="transfer")
    recipient.com, recipient.calling_side = com, replaced.calling_side
    if replaced.calling_side:
        com.calling = recipient
    else:
        com.called = recipient
        com.connected = (*recipient.connected, recipient.number)
    com.ref_id = other.id
    notifier.extended(
        "call_transfer",
        com,
        recipient,
        sender_type=int(replaced.type),
        sender_id=replaced.entity,
        recipient_type=int(recipient.type),
        recipient_id=recipient.entity,
        refer_id=other.id,
    )
    exchange.end_merged(other, gone)
    watcher.connected(com)


def divert(exchange: Exchange, com: Communication, replaced: Leg, kind: EntityType, id: int, number: str) -> None:
    """Call another entity in the place of `replaced`; the party that stays hears it ring."""
    exchange.watcher.parted(com)
    partner = com.other(replaced)
    exchange.send_away(replaced, by="divert")
    leg = exchange.new_leg(com, kind, id, number, replaced.calling_side)
    if replaced.calling_side:
        com.calling = leg
    else:
        com.called = leg
    com.diverted_from = (replaced.type, replaced.entity)
    exchange.ringing.ring(leg, shown=partner.number if partner is not None else com.order.calling_number)
    if kind is EntityType.IVR and leg.is_live:
        exchange.progress(leg)  # a responder gives no ringing signal of its own; a diversion tells one
