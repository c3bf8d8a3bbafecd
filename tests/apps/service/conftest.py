"""A tenant whose service has something to say: macros, an article, a customer with an order."""

from collections.abc import Callable
from typing import Any

import pytest

from apps.service.knowledge.models import Source
from apps.service.knowledge.services import create_source
from behavior.services import store_events
from tenancy.models import Tenant
from tenancy.scope import tenant_scope
from tests.conftest import ApiClient

CUSTOMER = {"user_id": "u-17"}
WHERE = "Your order {{order.id}} of {{order.date}} is {{order.status}}. Follow it with {{order.tracking_number}}."
RETURNS = "You can return an item within 30 days of delivery. The label costs 4.90 EUR. Used items are not taken back."
CHINESE = "您可以在三十天内退货。退货标签费用为4.90欧元。"


@pytest.fixture
def publish(tenant: Tenant) -> Callable[..., Source]:
    """publish("Title", "Body", kind="macro", language="zh") puts a source where replies find it."""

    def publish(title: str, body: str, **fields: Any) -> Source:
        with tenant_scope(tenant.id):
            kind = fields.pop("kind", "article")
            return create_source(kind=kind, actor="somebody", publish=True, title=title, body=body, **fields)

    return publish


@pytest.fixture
def send_event(tenant: Tenant) -> Callable[..., None]:
    """send_event("order_shipped", order_id="A-1029", status="shipped") as the client system does."""
    numbers = iter(range(1, 10_000))

    def send_event(type: str, *, subject: dict[str, str] | None = None, fields: Any = None, **properties: Any) -> None:
        event = {"message_id": f"e-{next(numbers)}", "type": type, "subject": subject or CUSTOMER}
        with tenant_scope(tenant.id):
            stored = store_events(events=[event | (fields or {}) | {"properties": properties}], source="api")
        assert stored.counts["ok"] == 1, stored

    return send_event


@pytest.fixture
def shop(publish: Callable[..., Source], send_event: Callable[..., None]) -> dict[str, Source]:
    """Macros and articles in two languages, and an order of CUSTOMER that is on its way."""
    send_event(
        "order_placed", fields={"value": 59.9, "currency": "EUR"}, order_id="A-1029", customer_name="Anna Schmidt"
    )
    send_event("order_shipped", order_id="A-1029", tracking_number="TR-5567")
    return {
        "where": publish("Where is my order?", WHERE, kind="macro"),
        "returns": publish("Returning an item", RETURNS),
        "chinese": publish("退货政策", CHINESE, language="zh"),
    }


class Desk:
    """One customer's conversation over the API."""

    def __init__(self, api: ApiClient, subject: dict[str, str] | None = None, **fields: Any) -> None:
        self.api = api
        self.said = 0
        self.id = api.post("conversations", {"subject": subject or CUSTOMER, "channel": "web"} | fields).json()["id"]

    def say(self, text: str, role: str = "customer") -> dict[str, Any]:
        self.said += 1
        body = {"id": f"m-{self.said}", "role": role, "text": text}
        answer = self.api.post(f"conversations/{self.id}/messages", body)
        assert answer.status_code == 201, answer.content
        message: dict[str, Any] = answer.json()
        return message

    def reply(self, **headers: str) -> Any:
        return self.api.post("replies", {"conversation_id": self.id}, **headers)

    def ask(self, text: str) -> dict[str, Any]:
        """What is answered to a message."""
        self.say(text)
        answer = self.reply()
        assert answer.status_code in (201, 202), answer.content
        reply: dict[str, Any] = answer.json()
        return reply

    def read(self) -> dict[str, Any]:
        conversation: dict[str, Any] = self.api.get(f"conversations/{self.id}").json()
        return conversation


@pytest.fixture
def desk(api: ApiClient) -> Desk:
    return Desk(api)


@pytest.fixture
def open_desk(api: ApiClient) -> Callable[..., Desk]:
    return lambda subject=None, **fields: Desk(api, subject, **fields)


SENDING = {"send_above": 0.3, "draft_above": 0.1, "auto_send_intents": ["*"]}


@pytest.fixture
def sending(api: ApiClient) -> None:
    """The tenant lets sure replies out by themselves."""
    assert api.put("service/settings", SENDING).status_code == 200


def codes(reply: dict[str, Any]) -> set[str]:
    return {reason["code"] for reason in reply["reasons"]}
