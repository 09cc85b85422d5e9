"""The world as a transport for httpx: a real adapter talks to it in one process, in virtual time."""

import httpx

from dialer.clock import Clock
from dialer.pbx.simulator.forms import params_of
from dialer.pbx.simulator.voispeed_api import ENDPOINT
from dialer.pbx.simulator.world import Fate, World

_NO_TIMEOUT = 5.0  # of a client that set none


class WorldTransport(httpx.BaseTransport):
    """Answers from a world whose seconds are the clock's; what would break the network raises httpx's errors.

    A slow or withheld reply takes its time on the clock, so `clock.sleep` must move it (a ManualClock does).
    `cut_off` is a network that is gone: nothing reaches the PBX.
    """

    def __init__(self, world: World, clock: Clock, *, path: str = ENDPOINT) -> None:
        self._world = world
        self._clock = clock
        self._path = path
        self._zero = clock.monotonic() - world.now
        self.cut_off = False

    def advance(self) -> None:
        """Move the world to the clock's time."""
        self._world.advance_to(self._clock.monotonic() - self._zero)

    def time_of(self, world_time: float) -> float:
        """Return when something of the world happens on the clock's stopwatch."""
        return world_time + self._zero

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self.cut_off:
            raise httpx.ConnectError("the network is cut off", request=request)
        self.advance()
        if request.url.path != self._path:
            return httpx.Response(404, text="Not Found", request=request)
        body = request.read()
        params = params_of(request.url.query, request.headers.get("content-type", ""), body)
        reply = self._world.request(params, request.method)
        patience = request.extensions.get("timeout", {}).get("read") or _NO_TIMEOUT
        if reply.fate is Fate.WITHHELD or reply.delay > patience:
            self._clock.sleep(min(patience, reply.delay))
            self.advance()
            raise httpx.ReadTimeout("no answer in time", request=request)
        if reply.fate is Fate.CUT:
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.", request=request)
        if reply.delay:
            self._clock.sleep(reply.delay)
            self.advance()
        return httpx.Response(
            reply.status,
            content=reply.body,
            headers={"content-type": reply.content_type},
            request=request,
        )
