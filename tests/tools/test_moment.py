from __future__ import annotations

from datetime import UTC, timedelta, timezone

import pytest

from paradrop.base.exceptions import InvalidInput
from pdtools.moment import clock_time, lasted, since

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("5m", 300), ("1.5h", 5400), ("2d", 172800), ("1w", 604800), (" 5 m ", 300), ("0s", 0)]
)
def test_a_time_ago(text: str, seconds: float) -> None:
    assert since(text, NOW) == NOW - seconds


def test_a_time_of_its_own() -> None:
    assert since("2027-01-15T08:00:00Z", 0) == NOW
    assert since("2027-01-15T09:00:00+01:00", 0) == NOW
    assert since("2027-01-15 08:00", 0, UTC) == NOW
    assert since("2027-01-15T09:00", 0, timezone(timedelta(hours=1))) == NOW


@pytest.mark.parametrize("text", ["", "5", "m", "-5m", "yesterday", "5 minutes", "2027-13-01"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(InvalidInput, match="is no time: say"):
        since(text, NOW, timezone(timedelta(hours=14)))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (-3, "0s"),
        (8.9, "8s"),
        (60, "1m"),
        (61, "1m"),
        (3600, "1h"),
        (3720, "1h 2m"),
        (90000, "1d 1h"),
        (86460, "1d 1m"),
    ],
)
def test_a_duration_for_people(seconds: float, text: str) -> None:
    assert lasted(seconds) == text


def test_a_time_for_people() -> None:
    assert clock_time(NOW, UTC) == "2027-01-15 08:00:00"
