"""What is for a person at once, and what is an ordinary complaint that gets a draft."""

from typing import Any

import pytest

from apps.service.replies.alarms import alarms_of
from tests.apps.service.conftest import Desk

ALARMS = {
    "danger": [
        "The charger caught fire last night",
        "My daughter had an allergic reaction to the cream and is in hospital",
        "My card was stolen, block it",
        "Someone hacked my account!",
        "there is an unauthorised payment on my account",
        "充电器昨晚着火了",
        "我的卡被盗刷了",
    ],
    "legal_threat": [
        "You will hear from my lawyer",
        "I will sue you if I don't get my money",
        "I'm going to report this to the police",
        "Next step is small claims court",
        "我要打12315",
        "不退款我就起诉",
    ],
    "upset": [
        "You are thieves and liars",
        "your service is a joke",
        "The worst shop I ever bought from!!!",
        "I want an answer, this is unacceptable",
        "I'm fed up with you",
        "I will never order here again",
        "你们就是骗子",
        "太过分了，再也不会来买了",
    ],
    "repeated_contact": [
        "This is the third time my parcel arrived damaged",
        "I have written to you five times about the refund",
        "I have been waiting for six weeks and nobody answers my mails",
        "I have asked again and again",
        "我已经问了三次了",
        "客服一直不回复",
    ],
}
ORDINARY = [
    "my parcel is late, I'm annoyed",
    "Where is my order? It should have been here today.",
    "The jacket tore after two days, I am disappointed",
    "The lamp arrived broken, please send a new one as soon as possible",
    "This is urgent, I need the invoice right now",
    "not happy with the quality at all, how do I return it?",
    "Why is this so hard, I keep getting the same error",
    "The worst part is the zip, it does not close",
    "I have a terrible headache, which of your pillows is softest?",
    "Never mind, I found the order again",
    "Can I return a faulty kettle a second time?",
    "Is the court shoe available in black?",
    "I would like to try the fire red lipstick",
    "质量真的很差，穿一次就破了",
    "等了两个星期还没发货，请尽快",
    "请马上处理我的退货",
]


@pytest.mark.parametrize(("code", "text"), [(code, text) for code, texts in ALARMS.items() for text in texts])
def test_what_is_for_a_person_is_told(code: str, text: str) -> None:
    assert code in {found for found, _ in alarms_of(text)}


@pytest.mark.parametrize("text", ORDINARY)
def test_an_ordinary_complaint_raises_no_alarm(text: str) -> None:
    assert alarms_of(text) == []


@pytest.mark.parametrize(
    "text", ["my parcel is late, I'm annoyed, where is my order?", "Where is my order? I need it today!"]
)
def test_an_ordinary_complaint_gets_a_draft(
    desk: Desk, shop: dict[str, Any], publish: Any, sending: None, text: str
) -> None:
    publish("My parcel is late", "I am sorry that you wait. Your order {{order.id}} is {{order.status}}.", kind="macro")

    reply = desk.ask(text)

    assert reply["action"] in ("draft", "send")
    assert reply["backend"] == "selection"


def test_an_unhappy_customer_is_answered_by_an_agent_alone(desk: Desk, shop: dict[str, Any], sending: None) -> None:
    reply = desk.ask("I am disappointed and annoyed. Where is my order?")

    assert reply["action"] == "draft"
    assert "unhappy" in {reason["code"] for reason in reply["reasons"]}


def test_an_angry_customer_goes_to_an_agent(desk: Desk, shop: dict[str, Any], sending: None) -> None:
    reply = desk.ask("Where is my order? You are thieves, my lawyer will call.")

    assert reply["action"] == "hand_off"
    assert [reason["code"] for reason in reply["reasons"]][:2] == ["legal_threat", "upset"]
    assert reply["summary"]["order"]["status"] == "shipped"
