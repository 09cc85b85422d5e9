"""From a customer's answer to the bridge with an agent, by a real Asterisk's own clock, beside the bare floor.

The floor is a loop that does nothing but read the websocket and send the one request of a join. The product writes
the event down, asks the queue, chooses the agent in the database, claims the command and sends the same request. The
floor is taken before and after it with the machine to itself, first at an even pace, then with customers who answer
when the product's did: several agents become free together, so several customers answer together, and wait for each
other on any machine. And it is taken beside it: on a second Asterisk, while the product's processes, the first Asterisk
and its telephones share the cores. Needs tests/asterisk/install.sh.

    .venv/bin/python benchmarks/asterisk_join.py [--calls 200] [--agents 10] [--mixed] [--json]

As it stands each customer answers a fifth of a second after the call was placed, and one is called for each agent: the
hardest there is. `--mixed` is what tests/asterisk does with a thousand: a predictive campaign, and customers who are
busy, silent or gone by chance, or answer after 0.5 to 3.5 s.
"""

import argparse
import asyncio
import itertools
import json
import os
import sys
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from sqlalchemy import text

from dialer.pbx.asterisk import AsteriskPbx
from dialer.pbx.base import AgentOrder, CustomerOrder, WaitingLeg
from tests.asterisk import kit
from tests.asterisk.real_pbx import RealPbx, usual_home
from workers.demo_results import percentile

# An agent was free before the customer answered: what is measured is us, not the wait for somebody.
EVENTS = text(
    """
    SELECT e.ref, convert_from(e.body, 'UTF8') AS body FROM logged_events e
    JOIN attempts t ON t.ref = e.ref
    JOIN LATERAL (SELECT agent_free_at FROM assignments WHERE attempt_id = t.id ORDER BY id LIMIT 1) s ON true
    WHERE t.joined_at IS NOT NULL AND s.agent_free_at < t.answered_at ORDER BY e.id
    """
)
ANSWERED = text(
    "SELECT extract(epoch FROM answered_at - min(answered_at) OVER ()) FROM attempts "
    "WHERE answered_at IS NOT NULL ORDER BY answered_at"
)
STAGES = text(
    """
    SELECT extract(epoch FROM s.assigned_at - t.answered_at) * 1000 AS assigned,
           extract(epoch FROM c.due_at - t.answered_at) * 1000 AS ordered,
           extract(epoch FROM c.sent_at - t.answered_at) * 1000 AS claimed,
           extract(epoch FROM t.joined_at - t.answered_at) * 1000 AS joined
    FROM attempts t
    JOIN LATERAL (SELECT * FROM assignments WHERE attempt_id = t.id ORDER BY id LIMIT 1) s ON true
    JOIN LATERAL (SELECT * FROM commands WHERE ref = t.ref AND kind = 'join' ORDER BY id LIMIT 1) c ON true
    WHERE t.joined_at IS NOT NULL AND s.agent_free_at < t.answered_at
    """
)


def at(event: dict[str, str]) -> float:
    return datetime.fromisoformat(event["timestamp"]).timestamp() * 1000


def figures(waits: list[float]) -> dict[str, float]:
    waits = sorted(waits)
    shares = {"p50": 50, "p95": 95, "p99": 99, "max": 100}
    return {"n": len(waits), **{name: round(percentile(waits, share), 1) for name, share in shares.items()}}


async def bare(pbx: AsteriskPbx, moments: Sequence[float], agents: int, mark: str) -> list[float]:
    """Join customers to agents with nothing in between; answer -> bridged, in milliseconds.

    `moments`: when to place a call each, in seconds from the first.
    """
    stream = await pbx.open_stream()
    await asyncio.to_thread(pbx.settle)
    legs = [AgentOrder(f"{mark}-a{n}", f"agent{1000 + n}", str(1000 + n)) for n in range(1, agents + 1)]
    free: deque[str] = deque()
    with_whom: dict[str, str] = {}
    answered: dict[str, float] = {}
    waits: list[float] = []

    async def place() -> None:
        began = time.monotonic()
        for number, moment in enumerate(moments):
            await asyncio.sleep(max(0.0, began + moment - time.monotonic()))
            order = CustomerOrder(f"{mark}-c{number}", f"+49301{number:05}98", "trunk", "+4930555000")
            await asyncio.to_thread(pbx.call_customer, order)

    for leg in legs:
        pbx.call_agent(leg)
    placing: asyncio.Task[None] | None = None
    last = time.monotonic()
    longest = max((after - before for before, after in itertools.pairwise(moments)), default=0.0)
    while time.monotonic() - last < 5.0 + longest:
        try:
            event = json.loads(await asyncio.wait_for(stream.receive(), 3))
        except TimeoutError:
            continue
        kind, channel = event["type"], event.get("channel", {}).get("id", "")
        if not channel.startswith(mark):
            continue
        last = time.monotonic()
        if kind == "StasisStart" and channel.startswith(f"{mark}-a"):
            pbx.see_to(f"park {channel}")
            free.append(channel)
            if len(free) == agents and placing is None:
                placing = asyncio.create_task(place())
        elif kind == "StasisStart" and free and channel not in with_whom:
            with_whom[channel] = agent = free.popleft()
            pbx.join(WaitingLeg(channel, channel), WaitingLeg(agent, agent), "agent")
        elif kind == "ChannelStateChange" and event["channel"]["state"] == "Up":
            answered.setdefault(channel, at(event))
        elif kind == "ChannelEnteredBridge" and channel in with_whom and channel in answered:
            waits.append(at(event) - answered.pop(channel))
        elif kind == "ChannelDestroyed" and channel in with_whom:
            free.append(with_whom.pop(channel))
            pbx.see_to(f"back {free[-1]}")
    for leg in legs:
        pbx.hang_up(leg.ref)
        pbx.see_to(f"tidy {leg.ref}")
    await stream.close()
    return waits


def evenly(calls: int, per_second: float) -> list[float]:
    return [number / per_second for number in range(calls)]


def beside(home: Path, agents: int, calls: int, per_second: float) -> list[float]:
    """The floor on an Asterisk of its own."""
    with RealPbx(home) as real:
        pbx = real.open()
        try:
            return asyncio.run(bare(pbx, evenly(calls, per_second), agents, "beside"))
        finally:
            pbx.close()


def product(
    real: RealPbx, calls: int, agents: int, mixed: bool
) -> tuple[list[float], dict[str, dict[str, float]], list[float]]:
    """The same with the whole product in between, where its time goes, and when its customers answered."""
    with tempfile.TemporaryDirectory() as folder, kit.dialer(real, Path(folder)) as on:
        names = ",".join(f"agent{1000 + n}" for n in range(1, agents + 1))
        called = kit.numbers(calls, endings=() if mixed else ("98",))
        kit.start(on, called, mode="predictive" if mixed else "progressive", agents=names)
        kit.look_on(on, 60 + 3 * calls)
        kit.rest(on, real)
        up: dict[str, float] = {}
        waits: list[float] = []
        with on.application.transaction() as session:
            for ref, body in session.execute(EVENTS):
                event = json.loads(body)
                if event["type"] == "ChannelStateChange" and event["channel"]["state"] == "Up":
                    up.setdefault(ref, at(event))
                elif event["type"] == "ChannelEnteredBridge" and ref in up:
                    waits.append(at(event) - up.pop(ref))
            rows = session.execute(STAGES).mappings().all()
            answered = [float(after) for after in session.scalars(ANSWERED)]
        stages = {name: figures([float(row[name]) for row in rows]) for name in rows[0]} if rows else {}
    return waits, stages, answered


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--agents", type=int, default=10)
    parser.add_argument("--per-second", type=float, default=5.0, help="of the bare floor")
    parser.add_argument("--beside", type=int, default=3, help="agents of the floor beside the product")
    parser.add_argument("--beside-per-second", type=float, default=1.0, help="calls of the floor beside the product")
    parser.add_argument("--mixed", action="store_true", help="a predictive campaign, and customers as they come")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found: dict[str, object] = {"load": [os.getloadavg()[0]]}
    with RealPbx(usual_home()) as real:
        floors: dict[str, dict[str, float]] = {}
        moments = evenly(given.calls, given.per_second)
        for name, mark in (("evenly", "bench1"), ("as the product's answered", "bench2")):
            pbx = real.open()
            floors[name] = figures(asyncio.run(bare(pbx, moments, given.agents, mark)))
            pbx.close()
            if mark == "bench1":
                with ThreadPoolExecutor(1) as another:
                    bare_beside = another.submit(
                        beside, usual_home(), given.beside, given.calls // 2, given.beside_per_second
                    )
                    waits, stages, moments = product(real, given.calls, given.agents, given.mixed)
                    shared = figures(bare_beside.result())
        ours = figures(waits)
        found |= {"floor": floors, "floor_beside": shared, "ours": ours, "stages": stages}
        found |= {"p99_over_floor": {name: round(ours["p99"] / one["p99"], 1) for name, one in floors.items()}}
        found |= {"p99_over_floor_beside": round(ours["p99"] / shared["p99"], 1)}
    found["load"] = [*found["load"], os.getloadavg()[0]]  # type: ignore[misc]
    if given.json:
        print(json.dumps(found))
        return
    print(f"answer -> bridged, by Asterisk's clock, ms; load {found['load']}")
    for name, floor in floors.items():
        print(f"  bare floor, {name}: {floor}")
    print(f"  bare floor beside it: {shared}")
    print(f"  the product: {ours}")
    for name, spread in stages.items():
        print(f"    answer logged -> {name:9} {spread}")
    print(f"  p99 over the floor's p99: {found['p99_over_floor']}; beside: {found['p99_over_floor_beside']}")


if __name__ == "__main__":
    main()
