"""Earlier forecasts beside what happened."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from campaigns import pace_records
from campaigns.forecasts import CHECKED, Expected, Finish, Foretold
from campaigns.models import Attempt, Campaign, Contact, Forecast


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure of an earlier forecast beside what happened."""

    name: str
    foretold: Expected
    happened: float

    @property
    def hit(self) -> bool:
        return self.foretold.hit(self.happened)


@dataclass(frozen=True)
class Checked:
    """An earlier forecast. `compared` is empty while its time is not over."""

    id: int
    made_at: datetime
    made_by: str
    starts_at: datetime
    ends_at: datetime
    agents: tuple[float, float | None]  # assumed, and really at work
    compared: list[Compared]
    finish: Finish
    finished_at: datetime | None
    finish_hit: bool | None  # None: not known yet

    @property
    def over(self) -> bool:
        return bool(self.compared)

    @property
    def hits(self) -> tuple[int, int]:
        """Hits, and figures that could be compared."""
        found = [one.hit for one in self.compared] + ([] if self.finish_hit is None else [self.finish_hit])
        return sum(found), len(found)

    def as_json(self) -> dict[str, Any]:
        """Return it for a program."""
        return {
            "id": self.id, "made_at": self.made_at, "made_by": self.made_by, "starts_at": self.starts_at,
            "ends_at": self.ends_at, "agents_assumed": self.agents[0], "agents_at_work": self.agents[1],
            "figures": [
                {"name": one.name, **asdict(one.foretold), "happened": round(one.happened, 6), "hit": one.hit}
                for one in self.compared
            ],
            "finish": {**asdict(self.finish), "happened": self.finished_at, "hit": self.finish_hit},
        }  # fmt: skip


def check(session: Session, campaign: Campaign, now: datetime, *, last: int = 20) -> list[Checked]:
    """Compare the newest forecasts with what happened since, newest first."""
    rows = session.scalars(
        select(Forecast)
        .where(Forecast.campaign_id == campaign.id)
        .order_by(Forecast.made_at.desc(), Forecast.id.desc())
    ).fetchmany(last)
    finished = _finished_at(session, campaign) if rows else None
    return [_checked(session, campaign, row, now, finished) for row in rows]


def _finished_at(session: Session, campaign: Campaign) -> datetime | None:
    """When the campaign's list was used up; None while somebody is left."""
    left = select(Contact.id).where(Contact.campaign_id == campaign.id, Contact.state != "closed").limit(1)
    if session.scalar(left) is not None:
        return None
    last: datetime | None = session.scalar(select(func.max(Attempt.ended_at)).where(Attempt.campaign_id == campaign.id))
    return last


def _checked(session: Session, campaign: Campaign, row: Forecast, now: datetime, finished: datetime | None) -> Checked:
    foretold = Foretold.from_json(row.forecast)
    ends = row.starts_at + timedelta(seconds=row.horizon)
    done = finished if finished is not None and finished >= row.starts_at else None
    compared: list[Compared] = []
    agents: float | None = None
    if now >= ends:
        made = pace_records.calls(session, campaign, row.starts_at - pace_records.LONGEST_TALK, ends)
        told = pace_records.spans(session, campaign, row.starts_at, ends, now)
        # A day that ended early was foretold to its end, so it is looked at up to there.
        until = min(ends, done) if done is not None and done > row.starts_at else ends
        happened = pace_records.what_happened(made, told, row.starts_at, until, now).as_json()
        agents = happened["agents"]
        lines = pace_records.most_lines(made, row.starts_at, until)
        if lines is not None:
            happened |= {"lines_p95": float(lines[0]), "lines_max": float(lines[1])}
        compared = [
            Compared(name, foretold.figures[name], value)
            for name in CHECKED
            if name in foretold.figures and (value := happened.get(name)) is not None
        ]
    return Checked(
        row.id,
        row.made_at,
        row.made_by,
        row.starts_at,
        ends,
        (float(row.inputs.get("agents", 0)), agents),
        compared,
        foretold.finish,
        done,
        _finish_hit(foretold.finish, done, now),
    )


def _finish_hit(foretold: Finish, done: datetime | None, now: datetime) -> bool | None:
    if done is not None:
        early = foretold.low is None or done < foretold.low
        return not early and (foretold.high is None or done <= foretold.high)
    # Not done although it should be by now, in nine days of ten: that is a miss already.
    return False if foretold.high is not None and now > foretold.high else None


def share_of_hits(checked: Sequence[Checked]) -> tuple[int, int]:
    """Hits, and figures compared, over all that are over."""
    found = [one.hits for one in checked if one.over]
    return sum(hits for hits, _ in found), sum(of for _, of in found)
