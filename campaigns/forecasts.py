"""What a forecast says, and how it is kept."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from campaigns.forecasting import Outlook
from campaigns.models import Forecast

# Compared with what happened, each a hit when it came out within its range.
CHECKED = ("utilisation", "occupancy", "abandonment", "mean_wait", "calls", "met", "lines_p95", "lines_max")
_SLACK = 1e-9


@dataclass(frozen=True, slots=True)
class Expected:
    """A figure, and the range in which eight of ten days lie."""

    expected: float
    low: float
    high: float

    def hit(self, value: float) -> bool:
        """Whether what happened lies within the range."""
        return self.low - _SLACK <= value <= self.high + _SLACK


@dataclass(frozen=True, slots=True)
class Finish:
    """When the list will be used up. A day that does not end within the horizon is thought on at its pace."""

    expected: datetime | None  # None: too far to say
    low: datetime | None
    high: datetime | None
    within: float  # share of the days that end within the horizon


@dataclass(frozen=True)
class Foretold:
    """A forecast."""

    figures: dict[str, Expected]
    finish: Finish
    seeds: int

    def as_json(self) -> dict[str, Any]:
        """Return it as it is stored, and as programs get it."""
        finish = {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in asdict(self.finish).items()
        }
        return {
            "figures": {
                name: {key: round(value, 6) for key, value in asdict(each).items()}
                for name, each in self.figures.items()
            },
            "finish": finish,
            "seeds": self.seeds,
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "Foretold":
        """Read a stored one."""
        told = kept["finish"]
        moments = {
            name: datetime.fromisoformat(told[name]) if told.get(name) else None for name in ("expected", "low", "high")
        }
        return cls(
            {name: Expected(**each) for name, each in kept["figures"].items()},
            Finish(within=told.get("within", 0.0), **moments),
            int(kept.get("seeds", 0)),
        )


def store(session: Session, outlook: Outlook, told: Foretold, *, who: str) -> Forecast:
    """Keep a forecast, to be compared with what comes; the caller owns the transaction."""
    row = Forecast(
        campaign_id=outlook.campaign_id,
        made_at=outlook.made_at,
        made_by=who,
        starts_at=outlook.starts_at,
        horizon=outlook.horizon,
        inputs=outlook.inputs,
        forecast=told.as_json(),
    )
    session.add(row)
    session.flush()
    return row
