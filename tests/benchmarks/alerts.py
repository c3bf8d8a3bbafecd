"""From the answer to an assessment until its alert is on the console's queue of cases, over HTTP with both servers."""

import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

from django.conf import settings

from apps.risk.rules.models import RiskRuleMode
from apps.risk.rules.services import create_rule, set_mode
from tenancy.models import Role, Tenant
from tenancy.scope import tenant_scope
from tests.benchmarks.load import Connection
from tests.benchmarks.serve import ENVIRONMENT, serving
from tests.conftest import make_client, make_tenant
from tests.database import connected_as
from tests.platform.console.furnishing import logged_in, make_operator
from tests.processes import running_server

# They fit on the queue's first page.
ALERTS = 40
AIM_SECONDS = 2.0
QUEUE = "/console/risk/case/"


def measure(*, data: Path | None, full: bool) -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as name:
        folder, tenant = Path(name), make_tenant()
        with (
            serving(folder, "inline") as (address, _),
            running_server(folder / "console.log", "console", ENVIRONMENT) as console,
        ):
            delays = alert_delays(tenant, address, console, ALERTS)
    yield {
        "id": "risk.alert.delay_s",
        "value": max(delays),
        "aim": f"<= {AIM_SECONDS:g} s",
        "detail": {"alerts": len(delays), "mean_s": sum(delays) / len(delays)},
    }


def alert_delays(tenant: Tenant, address: str, console: str, count: int) -> list[float]:
    """Seconds from each answer until the queue, as an operator loads it, shows the case that its alert opened."""
    with tenant_scope(tenant.id):
        rule = create_rule(actor="test", name="Large", expression="amount > 500", action="review", severity="medium")
        set_mode(rule_id=rule.id, mode=RiskRuleMode.LIVE, actor="test")
    client, page = Connection(address, make_client(tenant).raw_key), queue_reader(tenant, console)
    page()
    delays = []
    for number in range(1, count + 1):
        body = {
            "transaction_id": str(uuid4()),
            "subject": {"user_id": f"u-{number}"},
            "amount": 900.0,
            "currency": "EUR",
        }
        if client.post("risk/assessments", body)["verdict"] != "review":
            raise AssertionError("the rule did not ask for review")
        answered = time.perf_counter()
        while f">Case {number}<" not in page():
            if time.perf_counter() - answered > 10 * AIM_SECONDS:
                raise AssertionError("the case did not appear")
        delays.append(time.perf_counter() - answered)
    return delays


def queue_reader(tenant: Tenant, console: str) -> Any:
    """A function that loads the queue's first page as an operator of the tenant sees it."""
    user = make_operator(tenant, Role.OPERATOR)
    with connected_as("console"):
        session = logged_in(user).cookies[settings.SESSION_COOKIE_NAME].value

    def read() -> str:
        asked = urllib.request.Request(f"{console}{QUEUE}", headers={"Cookie": f"sessionid={session}"})
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return answer.read().decode()

    return read
