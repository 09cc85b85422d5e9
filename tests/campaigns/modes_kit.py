"""What the tests of the modes share: a PBX that records, a leader that ticks, customers who answer."""

from sqlalchemy import text
from sqlalchemy.orm import Session

from campaigns import looking, reactions
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.models import Agent, Attempt, Campaign
from dialer.pbx.base import CallEvent, CallOutcome, Heard, Role
from tests import factories
from tests.fakes import FakePbx
from workers.scheduler import Scheduler


class Desk:
    """One campaign, its PBX and its leader, in a test."""

    def __init__(self, application: Application, session: Session, pbx: FakePbx, campaign: Campaign) -> None:
        self.application, self.session, self.pbx, self.campaign = application, session, pbx, campaign
        # What goes wrong in a round is for the test to see.
        self._scheduler = Scheduler(application, "one", outlive=lambda _, step: step())
        self._scheduler.renew()

    def tick(self) -> None:
        """One round of the leader."""
        self.session.commit()
        self._scheduler.renew()
        self._scheduler.round()
        self.session.expire_all()

    def people(self) -> None:
        """What the scheduler does twice a second."""
        self.session.commit()
        self._scheduler.chores.people()
        self.session.expire_all()

    def say(self, attempt: Attempt, heard: Heard, role: Role = Role.CUSTOMER, **more: object) -> None:
        """One event of a call, logged and looked at."""
        legs = {Role.CUSTOMER: f"1{attempt.id}", Role.RECEPTION: f"2{attempt.id}"}
        event = CallEvent(
            **{
                "heard": heard,
                "name": heard,
                "ref": attempt.ref,
                "call_id": f"9{attempt.id}",
                "role": role,
                "leg_id": legs.get(role),
                **more,
            }
        )
        self.session.commit()
        with self.application.transaction() as session:
            self.pbx.say(session, event)
        looking.look(self.application, self.pbx.name, attempt.ref, None)
        self.session.expire_all()

    def send(self, attempt: Attempt) -> None:
        """The order left us."""
        attempt.state, attempt.sent_at = "placed", attempt.ordered_at
        self.session.commit()

    def answer(self, attempt: Attempt) -> None:
        """The customer picks up and waits at the reception."""
        self.send(attempt)
        self.say(attempt, Heard.ANSWERED)
        self.say(attempt, Heard.ANSWERED, Role.RECEPTION)

    def not_answered(self, attempt: Attempt) -> None:
        """The phone rang out."""
        self.send(attempt)
        self.say(attempt, Heard.NOT_REACHED, outcome=CallOutcome.NO_ANSWER)

    def ended(self, attempt: Attempt) -> None:
        """The call is over, and late events have had their time."""
        self.say(attempt, Heard.LEFT)
        self.say(attempt, Heard.ENDED, Role.OTHER, outcome=CallOutcome.OK)
        with self.application.transaction() as session:
            call = reactions.locked_call(session, attempt.ref)
            assert isinstance(call, Attempt)
            from campaigns import limits

            limits.settle(session, call, now=database_now(session))
        self.session.expire_all()

    def agent(self, **values: object) -> Agent:
        """An agent on the line."""
        made, _ = factories.parked_agent(self.session, self.campaign, **values)
        self.session.commit()
        return made


def desk(application: Application, session: Session, **campaign: object) -> Desk:
    """A running campaign with lines that were read just now."""
    pbx = FakePbx()
    application.pbxes = {"main": pbx}
    # Fifteen seconds to join whoever answers: a busy machine may need more than the law's two.
    made = factories.campaign(session, **{"answer_limit": 15.0, **campaign})
    factories.lines(session)
    session.execute(text("UPDATE pbx_status SET read_at = clock_timestamp() + interval '20 s'"))
    session.commit()
    return Desk(application, session, pbx, made)


def refused(action: object, *args: object, **named: object) -> str:
    """What it says when it will not."""
    from dialer.errors import DialerError

    try:
        action(*args, **named)  # type: ignore[operator]
    except DialerError as exc:
        return f"{exc.exit_code}: {exc}"
    raise AssertionError("it was done")
