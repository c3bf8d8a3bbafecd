from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.homes import make_home, remove_home


@pytest.fixture
def fresh_home() -> Iterator[Path]:
    home = make_home()
    yield home
    remove_home(home)


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """One for all tests of a module that leave its servers able to start."""
    home = make_home()
    yield home
    remove_home(home)
