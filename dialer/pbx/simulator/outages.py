"""Faults of the whole PBX: gateways that go down for a while, and restarts that lose every call."""

from dialer.pbx.simulator.chance import Chance
from dialer.pbx.simulator.commands import Commands
from dialer.pbx.simulator.entities import Gateway
from dialer.pbx.simulator.exchange import Exchange
from dialer.pbx.simulator.faults import Faults
from dialer.pbx.simulator.tables import Failure, Link


class Outages:
    """Plans the outages while their faults are on, and carries them out when asked."""

    def __init__(self, exchange: Exchange, commands: Commands, faults: Faults, chance: Chance) -> None:
        self._exchange = exchange
        self._commands = commands
        self._faults = faults
        self._chance = chance
        self._plan = 0  # faults were set that many times; older plans are void
        self._happened = 0
        self.restarting_until = -1.0

    def plan(self) -> None:
        """The faults have been set anew."""
        self._plan += 1
        for name in ("gateway_down", "pbx_restart"):
            self._next(name, self._plan)

    def _next(self, name: str, plan: int) -> None:
        fault = self._faults.active.get(name)
        if fault is not None and fault.every > 0:
            self._happened += 1
            after = self._chance.of("outage", name, self._happened).exponential(fault.every)
            self._exchange.agenda.after(after, self._strike, name, plan, self._happened)

    def _strike(self, name: str, plan: int, nth: int) -> None:
        fault = self._faults.strikes(name, nth) if plan == self._plan else None
        if plan != self._plan:
            return
        gateways = list(self._exchange.entities.gateways.values())
        if fault is not None and name == "pbx_restart":
            self.restart(fault.seconds)
        elif fault is not None and gateways:
            gateway = gateways[int(self._faults.share(name, nth) * len(gateways))]
            self.gateway_down(gateway)
            self._exchange.agenda.after(fault.seconds, self.gateway_up, gateway)
        self._next(name, plan)

    def restart(self, seconds: float) -> None:
        """Every call vanishes unannounced; requests are refused for `seconds`."""
        exchange = self._exchange
        exchange.book.happenings.append((exchange.agenda.now, "pbx restart"))
        exchange.vanish()
        self._commands.forget()
        exchange.notifier.forget()
        self.restarting_until = exchange.agenda.now + seconds

    def gateway_down(self, gateway: Gateway, *, drop: bool = True) -> None:
        """The gateway's link is lost; the calls over it are cut unless `drop` is off."""
        exchange = self._exchange
        gateway.link = Link.NOT_REGISTERED
        exchange.book.happenings.append((exchange.agenda.now, f"gateway {gateway.id} down"))
        if not drop:
            return
        for com in list(exchange.live.values()):
            leg = next((leg for leg in com.live_legs if leg.holds_line and leg.entity == gateway.id), None)
            if leg is not None and leg.is_answered:
                exchange.hang_up(leg, by="gateway")
            elif leg is not None:
                exchange.refuse(leg, Failure.UNAVAILABLE)

    def gateway_up(self, gateway: Gateway) -> None:
        if gateway.link is not Link.REGISTERED:
            gateway.link = Link.REGISTERED
            at = self._exchange.agenda.now
            self._exchange.book.happenings.append((at, f"gateway {gateway.id} up"))
