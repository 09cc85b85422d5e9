"""The door behind the simulated PBX: steers it in tests and demonstrations, and reads its book. Loopback only."""

import json
from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dialer.errors import BadInput
from dialer.pbx.simulator import judging
from dialer.pbx.simulator.config import Behaviour, Ending
from dialer.pbx.simulator.entities import Gateway, User
from dialer.pbx.simulator.faults import DEFAULTS, PROFILES
from dialer.pbx.simulator.people import digits
from dialer.pbx.simulator.station import Station
from dialer.pbx.simulator.tables import Presence

_BODY_LIMIT = 1 << 20
Told = Mapping[str, object]


class Control:
    """Each method answers one address under /_control/. What was told is a JSON object."""

    def __init__(self, station: Station) -> None:
        self._station = station

    def routes(self) -> list[Route]:
        looks: dict[str, Callable[[Request], object]] = {
            "state": lambda _: self._state(),
            "book": self._book,
            "rings": lambda _: judging.rings_per_number(self._station.world.book),
            "faults": lambda _: {
                "known": sorted(DEFAULTS),
                "profiles": {name: sorted(faults) for name, faults in PROFILES.items()},
                **self._station.world.faults.as_json(),
            },
        }
        does: dict[str, Callable[[Told], object]] = {
            "faults": self._faults,
            "agents": self._agents,
            "gateways": self._gateways,
            "numbers": self._numbers,
            "answer_probability": self._answer_probability,
            "webhook": self._webhook,
            "incoming": self._incoming,
            "restart": self._restart,
            "reset": self._reset,
            "pause": lambda _: self._station.pause(),
            "resume": lambda _: self._station.resume(),
            "quiet": lambda _: self._station.world.quiet(),
            "reopen": lambda _: self._station.world.reopen(),
        }
        routes = [Route(f"/_control/{name}", _look(self._station, act)) for name, act in looks.items()]
        routes += [Route(f"/_control/{name}", _do(self._station, act), methods=["POST"]) for name, act in does.items()]
        clear = _do(self._station, lambda _: self._station.world.set_faults(""))
        return [*routes, Route("/_control/faults", clear, methods=["DELETE"])]

    # looking ------------------------------------------------------------------------------------------
    def _state(self) -> object:
        station = self._station
        webhooks = {"url": station.sender.url, **station.sender.as_json()} if station.sender is not None else None
        return {**station.world.state(), "paused": station.paused_at is not None, "webhooks": webhooks}

    def _book(self, request: Request) -> object:
        world = self._station.world
        answer = world.judgement()
        if request.query_params.get("calls", "0") == "1":
            answer["call_list"] = world.calls()
        gap = request.query_params.get("min_gap")
        if gap is not None:
            answer["too_soon"] = judging.too_soon(world.book, _float(gap, "min_gap"))
        return answer

    # doing --------------------------------------------------------------------------------------------
    def _faults(self, told: Told) -> object:
        faults = told.get("faults")
        if not isinstance(faults, str | Mapping):
            raise BadInput('tell {"faults": "all"}, {"faults": "slow,html=0.2"} or {"faults": {"slow": {...}}}')
        self._station.world.set_faults(faults)
        return self._station.world.faults.as_json()

    def _agents(self, told: Told) -> None:
        presence = told.get("presence")
        if presence not in set(Presence):
            raise BadInput("presence must be a number of table 2: 2 available, 5 do not disturb, 7 absent")
        mode, stay = Presence(int(str(presence))), told.get("hang_up", True) is False
        for user in self._users(told):
            if mode is Presence.AVAILABLE or stay:
                self._station.world.agents.set_mode(user, mode)
            else:
                self._station.world.agents.leave(user, mode)

    def _users(self, told: Told) -> list[User]:
        entities = self._station.world.entities
        if told.get("all") is True:
            return list(entities.users.values())
        users = [u for u in entities.users.values() if told.get("id") == u.id or told.get("extension") == u.extension]
        if not users:
            raise BadInput('name one agent, {"id": 101} or {"extension": "201"}, or {"all": true}')
        return users

    def _gateways(self, told: Told) -> None:
        world = self._station.world
        for gateway in self._chosen_gateways(told):
            if isinstance(told.get("enabled"), bool):
                gateway.enabled = told["enabled"] is True
            lines = told.get("lines")
            if lines is not None:
                gateway.lines = int(_float(lines, "lines"))
            if told.get("up") is False:
                world.outages.gateway_down(gateway, drop=told.get("drop", True) is not False)
            elif told.get("up") is True:
                world.outages.gateway_up(gateway)

    def _chosen_gateways(self, told: Told) -> list[Gateway]:
        gateways = list(self._station.world.entities.gateways.values())
        chosen = [g for g in gateways if told.get("id") in (None, g.id)]
        if not chosen:
            raise BadInput(f"there is no gateway {told.get('id')!r}; there are {[g.id for g in gateways]}")
        return chosen

    def _numbers(self, told: Told) -> None:
        """Tell what chosen numbers do: {"39061234": {"ending": "answers", "talk": 5}}; null forgets it."""
        known = self._station.world.customers.by_number
        for number, what in told.items():
            if what is None:
                known.pop(digits(number), None)
            elif isinstance(what, Mapping):
                known[digits(number)] = _behaviour(what)
            else:
                raise BadInput(f"number {number}: tell an object such as {{'ending': 'busy'}}, or null")

    def _answer_probability(self, told: Told) -> None:
        value = _float(told.get("value"), "value")
        if not 0 <= value <= 1:
            raise BadInput("value is a share between 0 and 1")
        customers = self._station.world.customers
        customers.base_probability, customers.steps = value, []

    def _webhook(self, told: Told) -> None:
        self._station.set_webhook(str(told.get("url") or ""))

    def _incoming(self, told: Told) -> object:
        number = digits(str(told.get("number", "")))
        kind, id = told.get("called_type", 1), told.get("called_id", 5)
        if not number or not isinstance(kind, int) or not isinstance(id, int):
            raise BadInput('tell {"number": "390612345678", "called_type": 1, "called_id": 5}')
        return {"call_id": self._station.world.incoming(number, kind, id)}

    def _restart(self, told: Told) -> None:
        self._station.restart(_float(told.get("seconds", 1.5), "seconds"))

    def _reset(self, told: Told) -> None:
        changes = dict(told)
        seed = changes.pop("seed", None)
        if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
            raise BadInput("seed must be a whole number")
        self._station.reset(seed, changes)


def _behaviour(what: Mapping[object, object]) -> Behaviour:
    told = {str(name): value for name, value in what.items()}
    try:
        ending = Ending(str(told.pop("ending"))) if told.get("ending") is not None else None
        hangs_up_first = told.pop("hangs_up_first", None)
        numbers = {name: _float(value, name) for name, value in told.items()}
        return Behaviour(ending, hangs_up_first=None if hangs_up_first is None else bool(hangs_up_first), **numbers)
    except (TypeError, ValueError, KeyError):
        endings = ", ".join(Ending)
        raise BadInput(
            f"{dict(what)!r}: ending is one of {endings}; the rest are ring, patience, talk, hangs_up_first"
        ) from None


def _float(value: object, name: str) -> float:
    try:
        number = float(str(value))
    except ValueError:
        raise BadInput(f"{name} must be a number, not {value!r}") from None
    if not number >= 0:
        raise BadInput(f"{name} must be 0 or more, not {value!r}")
    return number


def _is_near(request: Request) -> bool:
    return request.client is not None and (request.client.host.startswith("127.") or request.client.host == "::1")


_FAR = {"error": "the control door is open to this machine only"}


def _look(station: Station, act: Callable[[Request], object]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        if not _is_near(request):
            return JSONResponse(_FAR, 403)
        station.touch()
        try:
            return JSONResponse(act(request))
        except BadInput as exc:
            return JSONResponse({"error": str(exc)}, 400)

    return endpoint


def _do(station: Station, act: Callable[[Told], object]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        if not _is_near(request):
            return JSONResponse(_FAR, 403)
        body = await request.body()
        try:
            if len(body) > _BODY_LIMIT:
                raise BadInput("the body is larger than 1 MiB")
            told = json.loads(body) if body.strip() else {}
            if not isinstance(told, dict):
                raise BadInput("the body must be a JSON object")
            station.touch()
            answer = act(told)
            station.touch()
        except BadInput as exc:
            return JSONResponse({"error": str(exc)}, 400)
        except ValueError:
            return JSONResponse({"error": "the body is not JSON"}, 400)
        return JSONResponse(answer if answer is not None else {"ok": True})

    return endpoint
