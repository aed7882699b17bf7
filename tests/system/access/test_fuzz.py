"""A short run of schemathesis; a long one: python -m tests.bench service."""

import pytest

from beamctl.store.states import Role
from tests.system.access.fuzz import fuzz

pytestmark = [pytest.mark.system, pytest.mark.slow]


def test_nothing_that_the_contract_allows_or_forbids_is_a_fault(fresh):
    """Two cases of each kind per operation, and chains of operations; seeded."""
    found = fuzz(fresh.store, fresh.url, Role.ADMIN, "--phases", "fuzzing,stateful", "-n", "2", "--seed", "1")
    assert found.is_clean, found.output
    assert found.cases > 100
    assert found.is_still_in
