"""The PBX's lists as XML: entities, calls in progress, calls of the past."""

from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from xml.sax.saxutils import escape

from dialer.pbx.simulator.config import IvrConfig, NodeConfig
from dialer.pbx.simulator.entities import Entities, Gateway, Group, User
from dialer.pbx.simulator.exchange import Exchange
from dialer.pbx.simulator.legs import Communication
from dialer.pbx.simulator.tables import EntityType, Presence


def tag(name: str, value: object) -> str:
    """Return one element; None is an empty one."""
    if value is None:
        return f"<{name}></{name}>"
    text = str(value)
    if "<" in text or "&" in text or ">" in text:
        text = escape(text)
    return f"<{name}>{text}</{name}>"


def tags(**values: object) -> str:
    return "".join([tag(name, value) for name, value in values.items()])


def users(entities: Entities, id: int | None) -> str:
    return "<users>" + "".join(_user(u) for u in entities.users.values() if id in (None, u.id)) + "</users>"


def _user(user: User) -> str:
    head = _user_head(user.id, user.name, user.surname, user.extension)
    status = f"<chat_status>{user.mode:d}</chat_status><av_status>{user.presence:d}</av_status>"
    return f"<user>{head}{status}{_NO_NUMBERS}{tag('phrase', user.diverted_to)}</user>"


# Asked for every few seconds, and never changes.
@lru_cache(maxsize=4096)
def _user_head(id: int, name: str, surname: str, extension: str) -> str:
    email = f"{name}.{surname}@pbx.example".lower()
    return tags(id=id, name=name, surname=surname, extension=extension, email=email)


_NO_NUMBERS = tags(numoffice="", numhome="", nummobile="", numfax="")


def groups(entities: Entities, id: int | None) -> str:
    return "<groups>" + "".join(_group(g) for g in entities.groups.values() if id in (None, g.config.id)) + "</groups>"


def _group(group: Group) -> str:
    config = group.config
    members = "".join(
        f"<user>{tags(id=u.id, identity=u.full_name, extension=u.extension)}</user>" for u in group.members
    )
    inner = tags(
        id=config.id,
        name=config.name,
        is_broadcast=int(config.is_broadcast),
        visible=1,
        member_login=0,
        pick_disabled=0,
        ring_mode=int(config.ring_mode),
    )
    return f"<group>{inner}<users>{members}</users></group>"


def gateways(entities: Entities, id: int | None) -> str:
    inner = "".join(_gateway(g) for g in entities.gateways.values() if id in (None, g.id))
    return f"<gateways>{inner}</gateways>"


def _gateway(gateway: Gateway) -> str:
    inner = tags(
        id=gateway.id,
        name=gateway.name,
        type=gateway.type,
        enabled=int(gateway.enabled),
        link_status=int(gateway.link),
        lines=gateway.lines,
        busy_lines=gateway.busy,
        host_port=gateway.host_port,
    )
    return f"<gateway>{inner}</gateway>"


def ivrs(entities: Entities, id: int | None) -> str:
    return "<ivrs>" + "".join(_ivr(i) for i in entities.ivrs.values() if id in (None, i.id)) + "</ivrs>"


def _ivr(ivr: IvrConfig) -> str:
    nodes = "".join(_node(node) for node in ivr.nodes)
    return f"<ivr>{tags(id=ivr.id, name=ivr.name, description=ivr.description)}<nodes>{nodes}</nodes></ivr>"


def _node(node: NodeConfig) -> str:
    inner = tags(
        node_id=node.node_id,
        parent_id=node.parent_id,
        description=node.description,
        select_key=node.select_key,
        go_back_key=node.go_back_key,
        audio_type=node.audio_type,
        audio_message=node.audio_message,
        audio_loop=int(node.audio_loop),
        input_type=node.input_type,
        input_length=node.input_length,
        term_char=node.term_char,
        timeout_last_digit=node.timeout_last_digit,
        waiting_input_time=f"{node.waiting_input_time:g}",
        action=int(node.action),
        called_type=node.called_type,
        called_id=node.called_id,
        called_external_number=node.called_external_number,
        script=node.script,
    )
    return f"<node>{inner}</node>"


def devices(entities: Entities, owner: int | None) -> str:
    """The phones of one user; with no owner named, none."""
    user = entities.users.get(owner) if owner is not None else None
    if user is None:
        return "<devices></devices>"
    agent = "AutoPhone 3.1" if user.auto_answers else "PlainPhone 1.0"
    desk = tags(
        id=user.id * 10 + 1,
        user_agent=agent,
        device_type=2,
        host_port=f"192.0.2.{user.id % 250 + 1}:5060",
        registered=int(user.mode is not Presence.UNAVAILABLE),
    )
    mobile = tags(id=user.id * 10 + 2, user_agent="Mobile", device_type=5, host_port="", registered=0)
    return f"<devices><device>{desk}</device><device>{mobile}</device></devices>"


def voicemails(id: int | None) -> str:
    inner = tags(id=1, vmid=7001, vmname="Main", vmcode="*97", vmtobelisten=0, rectobelisten=0)
    return f"<voicemails>{f'<voicemail>{inner}</voicemail>' if id in (None, 1) else ''}</voicemails>"


def parking(id: int | None) -> str:
    lines = ""
    for line in (1, 2, 3):
        if id in (None, line):
            inner = tags(id=line, linecode=f"*8{line}", number="", name="", parktime="", status=2, note="", user_id="")
            lines += f"<park_line>{inner}</park_line>"
    return f"<lines>{lines}</lines>"


def current_calls(exchange: Exchange) -> str:
    """Every communication that is up. `connected_*` stays empty until the called entity has answered."""
    return "".join([_current(exchange, com) for com in exchange.live.values()])


def _current(exchange: Exchange, com: Communication) -> str:
    order, name_of = com.order, exchange.entities.name_of
    kind, id, _ = com.connected or (None, None, None)
    inner = tags(
        id=com.id,
        start_time=exchange.notifier.time_text(com.started),
        calling_id=order.calling_id,
        calling_type=int(order.calling_type),
        calling_number=order.calling_number,
        calling_desc=name_of(order.calling_type, order.calling_id),
        called_id=order.called_id,
        called_type=int(order.called_type),
        called_number=order.called_number,
        called_desc=name_of(order.called_type, order.called_id),
        connected_id=id,
        connected_type=None if kind is None else int(kind),
        connected_desc="" if kind is None or id is None else name_of(kind, id),
        recording=int(com.recording),
        external_id=order.extid,
        p2p=0,
        codec=8,
    )
    return f"<call>{inner}</call>"


def call_report(exchange: Exchange, since: float | None, until: float | None, extid: str | None, limit: int) -> str:
    """The newest finished calls that match, oldest first."""
    chosen = list(islice(_matching(exchange, since, until, extid), limit))
    return "".join([_past(exchange, com) for com in reversed(chosen)])


def _matching(
    exchange: Exchange, since: float | None, until: float | None, extid: str | None
) -> Iterator[Communication]:
    for com in reversed(exchange.past):
        if since is not None and com.ended is not None and com.ended < since:
            return  # they stand in the order of their ends
        if since is not None and com.started < since:
            continue
        if (until is None or com.started <= until) and (extid is None or com.order.extid == extid):
            yield com


def _past(exchange: Exchange, com: Communication) -> str:
    order = com.order
    kind, id, number = com.connected or (None, None, None)
    out = next((leg.entity for leg in com.legs if leg.in_book), None)
    into = next((leg.entity for leg in com.legs if leg.type is EntityType.GATEWAY and not leg.in_book), None)
    inner = tags(
        id=com.id,
        start_time=exchange.notifier.time_text(com.started),
        duration=round((com.ended or com.started) - com.started),
        outcome=com.outcome,
        calling_id=order.calling_id,
        calling_type=int(order.calling_type),
        calling_number=order.calling_number,
        called_id=order.called_id,
        called_type=int(order.called_type),
        called_number=order.called_number,
        connected_id=id,
        connected_type=None if kind is None else int(kind),
        connected_number=number,
        ring_time=round(com.ring_time),
        hold_time=round(com.hold_time),
        ivr_time=round(com.ivr_time),
        talk_time=round(com.talk_time),
        queue_time=round(com.queue_time),
        call_ref_id=com.ref_id,
        external_id=order.extid,
        gateway_in=into,
        gateway_out=out,
        internal=int(com.is_internal),
    )
    return f"<call>{inner}</call>"


def user_report(exchange: Exchange, user: User, limit: int) -> str:
    """The newest finished calls in which this user had a part, newest first."""
    mine = (com for com in reversed(exchange.past) if any(leg.user is user for leg in com.legs))
    return "".join([_users_past(exchange, com, user) for com in islice(mine, limit)])


def _users_past(exchange: Exchange, com: Communication, user: User) -> str:
    leg = next(leg for leg in com.legs if leg.user is user)
    partner = com.other(leg)
    answered = None if com.answered is None else exchange.notifier.time_text(com.answered)
    inner = tags(
        id=com.id * 10 + int(leg.calling_side),
        callid=com.id,
        start_time=exchange.notifier.time_text(com.started),
        answer_time=answered,
        duration=round((com.ended or com.started) - com.started),
        outcome=com.outcome,
        direction=1 if leg.calling_side else 2,
        my_number=user.extension,
        remote_number=partner.number if partner is not None else com.order.called_number,
        local_id=leg.id,
        group_name=exchange.entities.name_of(leg.type, leg.entity) if leg.type is EntityType.GROUP else "",
        company="",
        surname=user.surname,
        name=user.name,
        remote_company="",
        remote_surname="",
        remote_name="",
    )
    return f"<call>{inner}</call>"
