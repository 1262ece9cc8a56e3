from __future__ import annotations

from mlserver_core.repositories.given import GivenModels
from mlserver_core.settings import ModelSettings


async def test_it_lists_and_finds_what_it_was_given():
    one, two = (ModelSettings(name=name, implementation="echo") for name in ("one", "two"))
    given = GivenModels((one, two))
    assert (await given.list()).models == (one, two)
    assert (await given.find("two")).models == (two,)
    assert (await given.find("three")).models == ()
