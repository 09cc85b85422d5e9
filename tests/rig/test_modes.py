"""Whole campaigns in the modes that are not paced: every process real, judged by the simulated PBX's own book."""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select, text

from campaigns import dialling
from campaigns.models import Agent, Contact
from dialer.errors import DialerError
from tests.rig import kit
from workers.demo import Stage

pytestmark = pytest.mark.timeout(400)


def accept_all(stage: Stage, _at: float) -> None:
    """Every agent with an offer accepts it."""
    with stage.application.transaction() as session:
        reading = session.scalars(select(Agent.id).where(Agent.reserved_for == "offer")).all()
    for agent_id in reading:
        with suppress(DialerError):  # gone meanwhile, or not on the line this instant: offered again
            dialling.accept(stage.application, agent_id, who="test")


def test_an_agentless_campaign_plays_the_message_to_everybody_and_abandons_nobody(tmp_path: Path) -> None:
    results = kit.run(replace(kit.plan(tmp_path, contacts=45, agents=2), mode="agentless", lines=20))
    assert kit.trouble(results) == {}
    assert (results.joined, results.abandoned) == (0, 0)
    assert results.outcomes["played"] > 10
    assert "abandoned" not in results.outcomes
    # Everybody heard it but who hung up before: within the limit they are in neither, after it (a message that came
    # late, on a busy machine) they count as played to, without proof.
    heard, left = results.book["heard_message"], results.book["hung_up_waiting"]
    assert heard <= results.outcomes["played"] <= heard + left
    assert heard + left == results.book["answered"]
    assert results.book["joined"] == 0


def test_an_agentless_campaign_survives_a_pbx_that_does_everything_wrong(tmp_path: Path) -> None:
    results = kit.run(replace(kit.plan(tmp_path, contacts=24, agents=2, faults="all"), mode="agentless", lines=20))
    assert kit.trouble(results) == {}
    assert results.abandoned == 0
    assert results.outcomes.get("played", 0) > 3


def test_a_preview_campaign_joins_each_customer_to_the_agent_who_accepted(tmp_path: Path) -> None:
    found: list[tuple[int, int]] = []

    def accept(stage: Stage, at: float) -> None:
        accept_all(stage, at)
        with stage.application.transaction() as session:
            rows = session.execute(
                text(
                    "SELECT agent_id, reserved_agent_id FROM attempts "
                    "WHERE joined_at IS NOT NULL AND agent_id IS NOT NULL"
                )
            ).all()
        found[:] = [(row.agent_id, row.reserved_agent_id) for row in rows]

    results = kit.run(replace(kit.plan(tmp_path, contacts=20, agents=8), mode="preview"), accept)
    assert kit.trouble(results) == {}
    assert results.joined > 5
    # Simulated agents hang up by mistake now and then, also while "their" customer's phone rings.
    assert results.abandoned <= 2
    assert sum(met != kept for met, kept in found) <= 2
    assert len(found) > 5


def test_callbacks_among_a_predictive_campaign_are_called_with_an_agent_kept(tmp_path: Path) -> None:
    states: dict[str, int] = {}

    def promise(stage: Stage, at: float) -> bool:
        with stage.application.transaction() as session:
            if at == 0:
                every_fourth = session.scalars(select(Contact).where(Contact.id % 4 == 0, Contact.state == "open"))
                for contact in every_fourth:
                    contact.due_date = datetime.now(UTC).date()
            rows = session.execute(
                text("SELECT a.state, count(*) AS n FROM attempts a JOIN contacts k ON k.id = a.contact_id "
                     "WHERE k.due_date IS NOT NULL AND a.ended_at IS NOT NULL AND a.reserved_agent_id IS NOT NULL "
                     "GROUP BY 1")
            ).all()  # fmt: skip
        states.clear()
        states.update({row.state: row.n for row in rows})
        return states.get("completed", 0) >= 5

    results = kit.run(kit.plan(tmp_path, contacts=40, agents=4), promise)
    assert kit.trouble(results) == {}
    assert states.get("completed", 0) > 2
    assert states.get("abandoned", 0) <= 1, "only when the agent hung up by mistake while the phone rang"
