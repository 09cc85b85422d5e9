"""Whole campaigns on the servers of the other tests, which run already: a database of its own for each, Redis empty."""

import pytest
import redis

from dialer.settings import Settings
from dialer.settings_reading import load_settings
from workers import demo
from workers.demo import DemoPlan


@pytest.fixture(autouse=True)
def servers(database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Name them in the settings of each demo, as an operator would who has servers."""
    redis.Redis.from_url(redis_url).flushall()
    without = demo._settings

    def settings(plan: DemoPlan, web_port: int, pbx_port: int) -> Settings:
        without(plan, web_port, pbx_port)
        file = plan.folder / "demo.toml"
        named = f'[database]\nurl = "{database_url}"\n\n[redis]\nurl = "{redis_url}"\n\n[web]\n'
        file.write_text(file.read_text(encoding="utf-8").replace("[web]\n", named, 1), encoding="utf-8")
        return load_settings(file, {})

    monkeypatch.setattr(demo, "_settings", settings)
