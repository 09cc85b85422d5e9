"""`dialer simulate` through the front door: no database, no application, no PBX."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from campaigns.cli.root import build_cli

QUICK = ("--agents", "4", "--hours", "0.3", "--warm-up", "0.1", "--seeds", "2")


def simulate(*args: str, columns: int = 140) -> Result:
    def nobody(_: str | None) -> Any:
        raise AssertionError("it asked for an application")

    environ = {"COLUMNS": str(columns), "NO_COLOR": "1"}
    return CliRunner().invoke(build_cli(lambda _: None), ["simulate", *args], env=environ)


def as_json(*args: str) -> Any:
    result = simulate(*args, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_it_lives_through_days_and_prints_the_figures() -> None:
    result = simulate(*QUICK)
    assert result.exit_code == 0, result.output
    assert "stationary: 4 agents, 2 days of 0.3 h after 0.1 h of warm-up, ceiling 3.0 %" in result.stdout
    for word in ("Utilisation", "Occupancy", "mean wait", "Calls per agent-hour", "Worst running rate", "0 of 2"):
        assert word in result.stdout
    assert "nobody was called" in result.stderr


def test_the_same_seed_is_the_same_day_and_the_modes_meet_the_same_people() -> None:
    told = as_json(*QUICK, "--compare", "--seed", "7")
    assert [mode["mode"] for mode in told["modes"]][-1] == "predictive"
    assert len(told["modes"]) >= 2
    assert told == as_json(*QUICK, "--compare", "--seed", "7")
    assert told["modes"][0] != as_json(*QUICK, "--compare", "--seed", "8")["modes"][0]
    alone = as_json(*QUICK, "--seed", "7", "--mode", "predictive")["modes"][0]
    assert alone == told["modes"][-1]
    assert {day["seed"] for day in alone["days"]} == {7, 8}


def test_a_shape_bends_the_day_and_what_is_given_holds_over_it() -> None:
    told = as_json("--shape", "lunch", "--agents", "4", "--hours", "2", "--seeds", "1", "--lines", "9")
    assert (told["shape"], told["hours"], told["lines"], told["warm_up_hours"]) == ("lunch", 2.0, 9, 1.0)
    assert told["modes"][0]["agents"] < 3.9


def test_calls_can_be_left_to_ring_out() -> None:
    ring_out, given_up = (
        as_json("--agents", "12", "--hours", "0.5", "--seeds", "1", "--min-ring", least) for least in ("ring-out", "4s")
    )
    assert ring_out["modes"] != given_up["modes"]


def test_a_picture_is_saved(tmp_path: Path) -> None:
    file = tmp_path / "day.png"
    result = simulate(*QUICK, "--mode", "progressive", "--plot", str(file))
    assert result.exit_code == 0, result.output
    assert file.read_bytes().startswith(b"\x89PNG")
    assert str(file) in result.stderr


@pytest.mark.parametrize("columns", [80, 140])
def test_no_line_is_wider_than_the_terminal(columns: int) -> None:
    result = simulate(*QUICK, "--compare", columns=columns)
    assert max(len(line) for line in result.stdout.splitlines()) <= columns


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("--agents", "0"), "--agents must be between 1 and 2000, not 0"),
        (("--agents", "three"), "not a valid integer"),
        (("--answers", "7"), "one in four is written 0.25 or 25%"),
        (("--answers", "nan"), "one in four is written 0.25 or 25%"),
        (("--talk", "long"), "no duration"),
        (("--talk", "0"), "--talk must be between"),
        (("--hours", "0"), "--hours must be between"),
        (("--hours", "inf"), "--hours must be between"),
        (("--seeds", "0"), "--seeds must be between"),
        (("--lines", "0"), "five for each agent"),
        (("--shape", "brunch"), "there is no shape 'brunch' of a day; choose one of stationary"),
        (("--mode", "fast"), "there is no mode 'fast'"),
        (("--ratio", "2"), "add --mode power"),
        (("--max-abandonment", "3"), "3 % is written 0.03"),
        (("--plot", "day.gif"), "must end with .png"),
        (("--plot", "/nowhere/day.png"), "there is no folder"),
    ],
)
def test_what_cannot_be_is_refused_with_the_remedy(args: tuple[str, ...], told: str) -> None:
    result = simulate(*args)
    assert (result.exit_code, told in result.stderr, result.stdout) == (2, True, ""), result.output
