"""What `from paradrop import …` gives a chute's author: nothing more and nothing less."""

from __future__ import annotations

import paradrop
from paradrop import testing


def test_the_door_of_the_sdk() -> None:
    assert sorted(paradrop.__all__) == [
        "Chute",
        "DeadlineExceeded",
        "NotFound",
        "NotPermitted",
        "ParadropException",
        "Unreachable",
    ]
    for name in paradrop.__all__:
        assert getattr(paradrop, name).__doc__, name


def test_the_fake_fabric_is_beside_it() -> None:
    assert {"MemoryFabric", "MemorySession", "Event"} <= set(vars(testing))
