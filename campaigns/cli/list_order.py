"""`dialer list order` and `dialer list filter`: which contact comes next, and who is called at all."""

from __future__ import annotations

from typing import Any

import click

from campaigns.cli import output
from campaigns.cli.context import CliContext, who
from campaigns.cli.params import Share
from campaigns.cli.tree import Command


class ListShare(click.ParamType[tuple[str, float]]):
    """A list and its share of the calls: customers=70%."""

    name = "list=share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, float]:
        if isinstance(value, tuple):
            return value
        name, equals, share = str(value).rpartition("=")
        if not equals or not name.strip():
            self.fail(f"{value!r} is no share of a list: write customers=70%", param, ctx)
        return name.strip(), Share().convert(share, param, ctx)


@click.command(
    "order",
    cls=Command,
    example="""dialer list order spring
dialer list order spring priority,freshest
dialer list order spring --share customers=70% --share prospects=30%""",
)
@click.argument("campaign")
@click.argument("order", required=False)
@click.option("--share", "shares", type=ListShare(), multiple=True, help="A list's share of the calls; repeat it.")
@click.option("--no-shares", is_flag=True, help="Take all shares back.")
@click.option("--why", default="", help="Kept in the ledger.")
@output.json_option
@click.pass_obj
def order(
    context: CliContext, campaign: str, order: str | None, shares: tuple[tuple[str, float], ...], no_shares: bool,
    why: str, as_json: bool,
) -> None:  # fmt: skip
    """Show or set which contact of CAMPAIGN comes next.

    ORDER is a list of priority, freshest or oldest (list), penetration (the list first of which the smallest share was
    tried), fewest or most (attempts so far), the weightiest first; among equals whoever is due longest. With best-time
    at its end, among equals whoever answers now nearly as likely as at their best hour; who has a much better hour
    within two days may wait for it, while enough others are due. `none` leaves the order to due time and to the pacer,
    who takes the surest contacts when agents sit idle. It holds from the next call on.
    """
    from campaigns import contact_orders, lifecycle
    from campaigns.db import database_now

    if shares and no_shares:
        raise click.UsageError("--share and --no-shares contradict each other")
    changes = order is not None or bool(shares) or no_shares
    with context.application() as app, app.transaction() as session:
        found = lifecycle.get(session, campaign, lock=changes)
        if changes:
            wish = "" if (order or "").strip().lower() == "none" else order
            made = contact_orders.set_order(
                session, found, order=wish, shares=dict(shares) if shares or no_shares else None, who=who(),
                now=database_now(session), why=why,
            )  # fmt: skip
        else:
            made = contact_orders.order_of(session, found)
    if as_json:
        output.print_json({"campaign": found.name, **made.as_json()})
        return
    click.echo(f"{output.clean(found.name)}: {made.order or 'by due time, and as the pacer wishes'}")
    for name, share in made.shares.items():
        click.echo(f"  {output.percent(share, 0):>6}  {output.clean(name)}")


@click.command(
    "filter",
    cls=Command,
    example="""dialer list filter spring
dialer list filter spring --where "city=Roma,Milano" --where "attempts<2"
dialer list filter spring --clear""",
)
@click.argument("campaign")
@click.option(
    "--where", "conditions", multiple=True, metavar="CONDITION",
    help="FIELD=WORD,WORD or != < <= > >= ~ (contains) ^= (begins with); repeat it: all must hold.",
)  # fmt: skip
@click.option("--clear", is_flag=True, help="Call every contact again.")
@click.option("--why", default="", help="Kept in the ledger.")
@output.json_option
@click.pass_obj
def contact_filter(
    context: CliContext, campaign: str, conditions: tuple[str, ...], clear: bool, why: str, as_json: bool
) -> None:
    """Show or set which contacts of CAMPAIGN are called at all.

    A FIELD is first_name, last_name, company, description, phone, priority, any other column of the list, or the
    history: attempts, last_outcome, days_since_call. Contacts not wanted are closed, and open again when the filter
    wants them; promised callbacks are kept whatever it says.
    """
    from campaigns import contact_filters, lifecycle
    from campaigns.db import database_now
    from dialer.contact_filter import from_json, parse

    if conditions and clear:
        raise click.UsageError("--where and --clear contradict each other")
    with context.application() as app:
        with app.transaction() as session:
            found = lifecycle.get(session, campaign, lock=bool(conditions or clear))
            now = database_now(session)
            if conditions or clear:
                wished = [parse(one) for one in conditions]
                contact_filters.set_filter(session, found, wished, who=who(), now=now, why=why)
        closed = opened = 0
        if conditions or clear:
            closed, opened = contact_filters.apply(app, found.id, now, lambda _: None)
    told = [str(one) for one in from_json(found.contact_filter)]
    if as_json:
        output.print_json({"campaign": found.name, "filter": found.contact_filter, "closed": closed, "opened": opened})
        return
    click.echo(f"{output.clean(found.name)}: {output.clean(' and '.join(told)) or 'every contact'}")
    if conditions or clear:
        output.note(f"{output.count(closed, 'contact')} closed, {opened:,} open again")
