"""Callback lists of several XiVOs that share a campaign: each request is called where it is kept, and nowhere else."""

from collections.abc import Iterator

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from campaigns import listed_requests, pools, why
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.models import Agent, Attempt, Contact, ListedRequest
from dialer.calls import CallState
from dialer.clock import SystemClock
from dialer.pbx.xivo import XivoPbx
from dialer.settings import PbxSettings
from tests import factories
from tests.pbx.xuc_lists import ALICE
from tests.pbx.xuc_peer import BOSS, PASSWORD, XucPeer
from workers.scheduler import Scheduler

EXTRA = {"agents": "1015=agent15, 1016=agent16", "callback_lists": "Liste de test=spring"}


class Pool:
    """A campaign of two XiVOs with an agent and a request on each, and the leader that ticks it."""

    def __init__(self, application: Application, session: Session) -> None:
        self.application, self.session = application, session
        self.peers = {name: XucPeer() for name in ("main", "second")}
        application.pbxes, application.clock = {}, SystemClock()
        for name, peer in self.peers.items():
            settings = PbxSettings(kind="xivo", url=peer.url, user=BOSS, token_env="KEY", timeout=3, extra=EXTRA)
            application.pbxes[name] = XivoPbx(name, settings, environ={"KEY": PASSWORD})
            factories.lines(session, name)
        self.campaign = factories.campaign(
            session, name="spring", country="FR", mode="progressive", hours="always", caller_id="+33123456789"
        )
        pools.add(session, self.campaign, "second", who="test", now=database_now(session))
        for name in self.peers:
            factories.agent(session, self.campaign, pbx=name, user_id="1015", state="ready")
        session.commit()
        self.requests = {"main": ALICE, "second": "another"}
        self.peers["main"].lists.add(dueDate="2026-01-05")
        self.peers["second"].lists.add("another", phone="0230210083", mobilePhoneNumber=None, dueDate="2026-01-05")
        self.scheduler = Scheduler(application, "one")

    def close(self) -> None:
        for pbx in self.application.pbxes.values():
            pbx.close()
        for peer in self.peers.values():
            peer.close()

    def read(self, pbx: str) -> str:
        (done,) = listed_requests.read(self.application, pbx)
        return done.trouble

    def tick(self, **lines: int) -> dict[str, str]:
        """Tick once with so many free lines; who keeps the request of each call so far, and where it is called."""
        query = "UPDATE pbx_status SET read_at = clock_timestamp() + interval '20 s'"
        self.session.execute(text(query))
        for name, free in lines.items():
            gateways = text(
                "UPDATE pbx_status SET gateways = jsonb_set(gateways, '{0,lines}', to_jsonb(CAST(:n AS int))) "
                "WHERE pbx = :pbx"
            )
            self.session.execute(gateways, {"n": free, "pbx": name})
        self.session.commit()
        self.scheduler.renew()
        self.scheduler.round()
        self.session.expire_all()
        rows = self.session.execute(
            select(ListedRequest.pbx, Attempt.pbx.label("called_on")).join(
                Attempt, Attempt.contact_id == ListedRequest.contact_id
            )
        )
        return {row.pbx: row.called_on for row in rows}

    def contact(self, pbx: str) -> Contact:
        query = select(Contact).join(ListedRequest, ListedRequest.contact_id == Contact.id)
        return self.session.scalars(query.where(ListedRequest.pbx == pbx)).one()

    def only(self, pbx: str) -> None:
        """Leave agents on one PBX alone."""
        for agent in self.session.scalars(select(Agent)):
            agent.state = "ready" if agent.pbx == pbx else "out"


@pytest.fixture
def pool(application: Application, session: Session) -> Iterator[Pool]:
    made = Pool(application, session)
    yield made
    made.close()


def test_the_lists_of_every_xivo_in_the_pool_are_read_and_each_request_is_called_where_it_is_kept(pool: Pool) -> None:
    assert [pool.read(name) for name in pool.peers] == ["", ""]
    assert pool.tick() == {"main": "main", "second": "second"}


@pytest.mark.parametrize(("without", "other"), [("main", "second"), ("second", "main")])
def test_a_request_waits_for_a_line_of_its_own_pbx_and_keeps_nobody_else_waiting(
    pool: Pool, without: str, other: str
) -> None:
    for name in pool.peers:
        pool.read(name)
    factories.contact(pool.session, pool.campaign, phone="+33230210099")
    pool.only(other)
    pool.session.add(factories.agent(pool.session, pool.campaign, pbx=other, user_id="1016", state="ready"))
    assert pool.tick(**{without: 0}) == {other: other}
    waiting = pool.contact(without)
    assert (waiting.state, waiting.put_off_by) == ("open", None), "and it was not put off"
    placed = pool.session.scalars(select(Attempt.pbx).order_by(Attempt.id)).all()
    assert placed == [other, other], "the second agent has the ordinary contact"
    assert all(one.state == CallState.ORDERED for one in pool.session.scalars(select(Attempt)))
    pool.only(without)
    pool.session.execute(text("UPDATE attempts SET state = 'no_answer', ended_at = clock_timestamp()"))
    assert pool.tick(**{without: 3})[without] == without


def test_why_says_where_a_request_may_be_called(pool: Pool) -> None:
    pool.read("second")
    now, contact = database_now(pool.session), pool.contact("second")

    def told() -> dict[str, bool]:
        said = why.explain(pool.session, pool.campaign, str(contact.id), now=now, ring_seconds=30)
        return {one.why: one.allowed for one in said.verdicts if one.rule == "listed"}

    assert told() == {"the callback is kept by PBX second, and called there": True}
    pools.remove(pool.session, pool.campaign, "second", who="test", now=now)
    assert told() == {"the callback is kept by PBX second, which alone may call it": False}


def test_the_list_of_a_xivo_that_is_not_in_the_pool_is_not_read(pool: Pool) -> None:
    now = database_now(pool.session)
    pools.add(pool.session, pool.campaign, "second", standby=True, who="test", now=now)
    pool.session.commit()
    assert "calls through PBX main, and its callback list is kept by second" in pool.read("second")
    assert pool.session.scalars(select(ListedRequest)).all() == []
