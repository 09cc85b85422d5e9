"""Campaigns of two PBXs, every process real; the judge are the books of both."""

from pathlib import Path

import pytest

from tests.rig import several_kit as several

pytestmark = [pytest.mark.timeout(400), pytest.mark.xdist_group("rig")]  # they wait for telephones, not for a core


def test_one_campaign_calls_through_two_pbxes_and_joins_each_customer_where_they_are(tmp_path: Path) -> None:
    lines: list[int] = []

    def look(house: several.House, _at: float) -> None:
        with house.application.transaction() as session:
            from sqlalchemy import text

            lines.append(session.scalar(text("SELECT count(*) FROM attempts WHERE ended_at IS NULL")) or 0)

    seen = several.run(several.plan(tmp_path, contacts=90, agents=5), look, most_lines=12)
    assert seen.trouble == {}
    assert min(seen.joined.get(name, 0) for name in several.NAMES) > 8, seen
    assert 0 < max(lines) <= 12, "the limit is the campaign's, over both"
