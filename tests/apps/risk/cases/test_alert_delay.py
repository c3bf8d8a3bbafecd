"""An alert is on the console within two seconds of the answer: real servers of both kinds, as in the benchmark."""

from collections.abc import Callable

from tenancy.models import Tenant
from tests.benchmarks.alerts import AIM_SECONDS, alert_delays


def test_an_alert_is_on_the_console_within_two_seconds(tenant: Tenant, start_server: Callable[..., str]) -> None:
    delays = alert_delays(tenant, start_server("app"), start_server("console"), count=5)
    assert max(delays) <= AIM_SECONDS
