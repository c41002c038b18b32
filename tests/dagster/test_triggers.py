"""When a derived asset runs by itself: for a change that stands for two ticks, and never for what a sync computes."""

from collections.abc import Callable, Iterator

import dagster as dg
import pytest

from boots_pipeline.assets.triggers import inputs_changed

VERSIONS = iter(range(100))


@dg.asset
def documents() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(data_version=dg.DataVersion(str(next(VERSIONS))))


@dg.asset(deps=[documents], automation_condition=inputs_changed)
def derived() -> None: ...


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test() as instance:
        assert dg.materialize([documents, derived], instance=instance).success
        yield instance


@pytest.fixture
def tick(instance: dg.DagsterInstance) -> Callable[[], int]:
    """Look, as the daemon does; returns how many runs are asked for."""
    cursor = None

    def tick() -> int:
        nonlocal cursor
        seen = dg.evaluate_automation_conditions(dg.Definitions([documents, derived]), instance, cursor=cursor)
        cursor = seen.cursor
        return seen.total_requested

    assert tick() == 0
    return tick


def test_a_change_is_believed_at_the_second_tick_and_once(
    instance: dg.DagsterInstance, tick: Callable[[], int]
) -> None:
    dg.materialize([documents], instance=instance)
    assert [tick(), tick(), tick()] == [0, 1, 0]


def test_what_a_sync_derives_before_the_second_tick_is_nobodys_business(
    instance: dg.DagsterInstance, tick: Callable[[], int]
) -> None:
    dg.materialize([documents], instance=instance)
    assert tick() == 0
    dg.materialize([derived], instance=instance)
    assert [tick(), tick()] == [0, 0]
