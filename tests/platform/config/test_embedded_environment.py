"""Which servers are embedded is decided by the environment alone."""

from pathlib import Path

import pytest

from config import embedded


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in embedded.NAMES:
        monkeypatch.delenv(name, raising=False)


def test_a_fresh_machine_gets_every_address_and_keeps_it(fresh_home: Path) -> None:
    addresses = embedded.environment(fresh_home)

    assert set(addresses) == set(embedded.NAMES)
    assert len(set(addresses.values())) == len(addresses)
    assert embedded.environment(fresh_home) == addresses


def test_servers_of_the_operator_replace_the_embedded_ones(fresh_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in embedded.NAMES:
        monkeypatch.setenv(name, f"{name.lower()} of the operator")
    home = fresh_home / "unused"

    assert embedded.environment(home) == {name: f"{name.lower()} of the operator" for name in embedded.NAMES}
    embedded.ensure_running(home)
    assert not home.exists()


def test_a_database_without_its_other_roles_is_refused(fresh_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://app@elsewhere/suite")

    with pytest.raises(embedded.EmbeddedServerError, match="DATABASE_OWNER_URL, DATABASE_CONSOLE_URL not set"):
        embedded.environment(fresh_home)


def test_another_broker_leaves_the_embedded_cache_in_use(fresh_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", "amqp://elsewhere")

    addresses = embedded.environment(fresh_home)

    assert addresses["CELERY_BROKER_URL"] == "amqp://elsewhere"
    assert addresses["VALKEY_URL"].startswith("unix://")
