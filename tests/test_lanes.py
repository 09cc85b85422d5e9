"""The lanes name tests that there are, each once."""

from pathlib import Path

from tests.lanes import LANES, LONG

ROOT = Path(__file__).parents[1]


def test_every_path_of_a_lane_is_one_of_ours_and_in_no_other_lane() -> None:
    named = [path for paths in LANES.values() for path in paths]
    files = [str(file.relative_to(ROOT)) for file in (ROOT / "tests").rglob("test_*.py")]
    for path in [*named, LONG]:
        assert any(file.startswith(path) for file in files), path
    for file in files:
        assert len([path for path in named if file.startswith(path)]) <= 1, file
