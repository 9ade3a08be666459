"""The bench's limits are ratios to the yardstick. A run over one is marked and ends in an error."""

from __future__ import annotations

import pytest
from bench import districts, fleet, provision
from bench.cost import NO_CHANGE, Cost

SMALL = Cost(wall=10, cpu=2)
HOSTS = [f"lab-{n:02}" for n in range(1, 21)]


@pytest.mark.parametrize(
    ("cost", "is_kept"),
    [
        (Cost(wall=5, cpu=2), True),
        (Cost(wall=5.1, cpu=2), False),
        (Cost(wall=5, cpu=2.1), False),
    ],
)
def test_one_host(cost: Cost, is_kept: bool, capsys: pytest.CaptureFixture[str]) -> None:
    assert provision.report("no change", cost, SMALL, NO_CHANGE[1]) is is_kept
    assert ("OVER" in capsys.readouterr().out) is not is_kept


def test_without_a_limit_nothing_is_over(capsys: pytest.CaptureFixture[str]) -> None:
    assert provision.report("first", Cost(wall=1000, cpu=1000), SMALL)
    assert "OVER" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("count", "ratio", "is_kept"), [(20, 1.2, True), (20, 1.3, False), (10, 9, True)]
)
def test_a_fleet(
    count: int, ratio: float, is_kept: bool,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """A slow machine slows both, so seconds prove nothing."""
    monkeypatch.setattr(fleet, "sizes", lambda _: [count])
    site = Cost(wall=1000, cpu=SMALL.cpu * ratio)
    monkeypatch.setattr(fleet, "measure", lambda *_: (site, SMALL))
    assert fleet.curve(HOSTS, "inventory", 1) is is_kept
    assert ("OVER" in capsys.readouterr().out) is not is_kept


@pytest.mark.parametrize(
    ("over", "code"), [({}, 0), ({"wall": 61}, 1), ({"cpu": 17}, 1), ({"memory": 1001}, 1)]
)
def test_5000_districts(
    over: dict[str, float], code: int,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def measure(*words: str) -> districts.Measured:
        found = {"wall": 1, "cpu": 1, "memory": 1} | (over if "validate" in words else {})
        return districts.Measured(Cost(found["wall"], found["cpu"]), found["memory"])

    monkeypatch.setattr(districts, "measure", measure)
    monkeypatch.setattr(districts, "write", lambda *_: "inventory")
    monkeypatch.setattr("sys.argv", ["districts"])
    monkeypatch.setenv("PATH", "")
    assert districts.main() == code
    assert capsys.readouterr().out.count("OVER") == code
