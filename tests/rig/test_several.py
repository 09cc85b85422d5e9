"""Campaigns of two PBXs, every process real; the judge are the books of both."""

from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import select, text

from campaigns import phones
from campaigns.db import database_now
from campaigns.models import Agent
from tests.rig import several_kit as several

pytestmark = pytest.mark.timeout(400)


def test_one_campaign_calls_through_two_pbxes_and_joins_each_customer_where_they_are(tmp_path: Path) -> None:
    lines: list[int] = []

    def look(house: several.House, _at: float) -> bool:
        with house.application.transaction() as session:
            lines.append(session.scalar(text("SELECT count(*) FROM attempts WHERE ended_at IS NULL")) or 0)
            met = session.scalars(
                text("SELECT count(*) FILTER (WHERE joined_at IS NOT NULL) FROM attempts GROUP BY pbx")
            ).all()
        return len(met) == len(several.NAMES) and min(met) >= 12

    seen = several.run(several.plan(tmp_path, contacts=90, agents=5), look, most_lines=12)
    assert seen.trouble == {}
    assert min(seen.joined.get(name, 0) for name in several.NAMES) > 8, seen
    assert 0 < max(lines) <= 12, "the limit is the campaign's, over both"


QUICK = "failover_after = 1.5\nfailback_after = 4.0\nunknown_cool_down = 10.0"


def test_a_pbx_that_dies_gives_its_share_to_the_other_and_gets_it_again(tmp_path: Path) -> None:
    marks: dict[str, float] = {}
    while_out: list[Counter[str]] = []
    why: list[str] = []

    def mischief(house: several.House, at: float) -> bool:
        if at > 8 and "killed" not in marks:
            house.kill("second")
            marks["killed"] = at
        elif "killed" in marks and "back" not in marks:
            if at > marks["killed"] + 9:
                while_out.append(house.orders(4.0))
                with house.application.transaction() as session:
                    why.extend(
                        session.scalars(
                            text("SELECT why FROM pace_decisions WHERE pbx = 'second' ORDER BY id DESC LIMIT 1")
                        )
                    )
            if at > marks["killed"] + 14:
                house.start("second")
                marks["back"] = at
        elif "back" in marks and "used" not in marks and at > marks["back"] + 6 and house.orders(2.0)["second"]:
            marks["used"] = at
        return at > marks.get("used", at) + 15 and min(house.joined(name) for name in several.NAMES) > 5

    seen = several.run(several.plan(tmp_path, contacts=150, agents=6), mischief, timing=QUICK, seconds=150.0)
    assert seen.trouble == {}, seen
    assert while_out
    assert all(found["second"] == 0 for found in while_out), "no order goes to a PBX that is away"
    assert any(found["main"] for found in while_out), "and the other goes on"
    assert "out of use" in why[-1]
    assert "its share goes to main" in why[-1]
    assert "used" in marks, "back again, it is called on again"
    assert min(seen.joined.values()) > 5


def test_agents_with_a_second_phone_move_to_the_standby_and_back(tmp_path: Path) -> None:
    marks: dict[str, float] = {}
    where: list[tuple[float, dict[str, int]]] = []

    def second_phones(house: several.House) -> None:
        app = house.application
        users = {user.id: user for user in app.pbx("second").users()}
        with app.transaction() as session:
            for agent in session.scalars(select(Agent).where(Agent.pbx == "main")):
                phones.add(session, agent, "second", users[agent.user_id], who="test", now=database_now(session))

    def mischief(house: several.House, at: float) -> bool:
        state = house.state()
        where.append((at, {pbx: counted.total() for pbx, counted in state.items()}))
        if at > 8 and "killed" not in marks and house.joined("main") > 2:
            house.kill("main")
            marks["killed"] = at
        elif "killed" in marks and "back" not in marks:
            if at > marks["killed"] + 5:  # whose customer is gone with the PBX says so
                with house.application.transaction() as session:
                    now, timing = database_now(session), house.application.settings.timing
                    cut_off = session.scalars(
                        select(Agent.id).where(Agent.pbx == "main", Agent.state.in_(("talking", "assigned")))
                    ).all()
                    for agent_id in cut_off:
                        phones.free_by_word(session, agent_id, timing=timing, now=now)
            if at > marks["killed"] + 30:
                marks["orders"] = house.orders(15.0)["second"]
                house.start("main")
                marks["back"] = at
        return at > marks.get("back", at) + 10 and state["main"].total() >= 5

    seen = several.run(
        several.plan(tmp_path, contacts=150, agents=6), mischief, agents="main/all", standby=True, timing=QUICK,
        prepare=second_phones, seconds=150.0,
    )  # fmt: skip
    assert seen.trouble == {}, seen
    assert max(found.get("second", 0) for at, found in where if at < marks["killed"]) == 0
    assert max(found.get("second", 0) for _, found in where) == 6, "all of them moved"
    assert marks["orders"] > 0, "and were called for there"
    assert where[-1][1].get("main", 0) >= 5, "and back"
    assert min(seen.joined.get(name, 0) for name in several.NAMES) > 2, seen
