"""The parameters in force, as the programs have them (`Config::parameters`)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from authority.chain.in_force import parameters_in, stage_holds


@pytest.mark.parametrize(
    ("staged_from", "epoch", "holds"), [(0, 0, False), (0, 9, False), (9, 8, False), (9, 9, True), (9, 10, True)]
)
def test_what_is_staged_holds_from_its_epoch_on(staged_from: int, epoch: int, holds: bool) -> None:
    config: Any = SimpleNamespace(staged_from=staged_from, parameters="before", staged="after")
    assert stage_holds(config, epoch) is holds
    assert parameters_in(config, epoch) == ("after" if holds else "before")
