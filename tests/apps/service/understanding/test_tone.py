"""Sentiment, urgency and language, and how often they are right on texts written for this.

The texts hold words that the lexicon lacks, and the bars are what it reached, rounded down. They are few and the same
hand wrote both, so on a tenant's own messages less must be expected.
"""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.service.understanding.languages import detect_language
from apps.service.understanding.tone import sentiment_of, urgency_of

SENTIMENTS = {
    "negative": [
        "This is the third time my parcel arrived damaged, I am really disappointed",
        "your service is a joke",
        "The worst shop I ever bought from!!!",
        "I have been waiting for six weeks and nobody answers my mails",
        "I want to speak with a manager, this is unacceptable",
        "The jacket tore after two days",
        "not happy with the quality at all",
        "You people charged me twice, this is fraud",
        "I regret ordering here",
        "The driver was rude and threw the box over the fence",
        "why is this so hard, I keep getting the same error",
        "It never worked",
        "太差了，等了两个星期还没发货",
        "质量真的很差，穿一次就破了",
        "客服一直不回复，我要投诉",
        "你们就是骗子",
        "收到的时候杯子碎了",
        "不满意，和图片完全不一样",
        "再也不会来买了",
        "发错货了，真让人生气",
    ],
    "positive": [
        "Thank you so much, the shoes are perfect",
        "I love the new lamp, great quality",
        "Super quick delivery, I am impressed",
        "best customer service ever 😍",
        "Everything went smooth, will order again",
        "Your agent Mia was so helpful yesterday",
        "Just wanted to say that the cake was delicious",
        "works like a charm",
        "awesome, that solved it",
        "five stars from me",
        "很好，物流很快",
        "客服态度非常好，很满意",
        "宝贝收到了，很喜欢",
        "质量不错，下次还来",
        "太棒了，谢谢",
        "包装很用心",
    ],
    "neutral": [
        "where is my order?",
        "Can I change the delivery address to Main Street 5",
        "How do I reset my password",
        "do you ship to Norway",
        "I need an invoice for order 4471",
        "What sizes does the blue coat come in",
        "Please cancel my subscription at the end of the month",
        "is the shop open on Sunday",
        "I would like to return the second item",
        "which payment methods do you take",
        "我的订单什么时候发货",
        "可以改地址吗",
        "怎么开发票",
        "这个有黑色的吗",
        "请问退货的流程是什么",
        "能用支付宝付款吗",
    ],
}
URGENCIES = {
    "high": [
        "I need this ASAP",
        "My card was stolen, block it immediately",
        "Someone hacked my account!",
        "the wedding is tomorrow and the dress is not here, please hurry",
        "This is urgent, call me back right now",
        "WHERE IS MY MONEY THIS IS RIDICULOUS",
        "My flight leaves in two hours and the ticket has the wrong name",
        "there is an unauthorised payment on my account",
        "很急，今天必须收到",
        "我的卡被盗刷了",
        "请马上处理",
        "麻烦尽快回复，等不了了",
    ],
    "normal": [
        "when does the sale start",
        "No rush, but could you send the invoice",
        "How do I add a second address",
        "THANKS A LOT FOR THE GREAT HELP",
        "I am looking for a gift for my mother",
        "could you tell me more about the warranty",
        "I would like to cancel my order",
        "does this lamp fit an E27 bulb",
        "不急，有空回复就行",
        "这件衣服有红色的吗",
        "怎么退货",
        "你们几点下班",
    ],
}
LANGUAGES = {
    "en": [
        "where is my order?",
        "ok",
        "Refund please",
        "I'd like to return it",
        "hello???",
        "card declined",
        "TRACK IT",
    ],
    "zh": ["我的订单呢", "iPhone 15 什么时候有货", "order 123 在哪里", "退款", "謝謝您的幫助"],
    "other": [
        "Wo ist meine Bestellung?",
        "Où est ma commande ?",
        "¿Dónde está mi pedido?",
        "Quiero cancelar mi pedido",
        "Onde está o meu pedido?",
        "Vorrei sapere dove è il mio pacco",
        "Waar is mijn bestelling",
        "注文はどこですか",
        "주문이 어디에 있나요",
        "Где мой заказ?",
        "أين طلبي",
        "ich möchte das zurückgeben",
        "",
        "😀",
    ],
}


@pytest.mark.parametrize(
    ("read", "texts", "least"),
    [(sentiment_of, SENTIMENTS, 0.78), (urgency_of, URGENCIES, 0.95), (detect_language, LANGUAGES, 1.0)],
)
def test_the_rules_are_right_this_often(read: object, texts: dict[str, list[str]], least: float) -> None:
    assert callable(read)
    wrong = [(wanted, text) for wanted, each in texts.items() for text in each if read(text) != wanted]
    total = sum(map(len, texts.values()))
    assert 1 - len(wrong) / total >= least, (Counter(wanted for wanted, _ in wrong), wrong)


def test_a_negation_turns_praise_round() -> None:
    assert sentiment_of("I am not happy with it") == "negative"
    assert sentiment_of("我对质量不满意") == "negative"


def test_shouting_is_urgent_only_where_it_is_angry() -> None:
    assert urgency_of("THIS IS TERRIBLE, NOTHING WORKS") == "high"
    assert urgency_of("THIS IS GREAT, EVERYTHING WORKS") == "normal"


@given(st.text(max_size=500))
def test_any_text_has_an_answer(text: str) -> None:
    assert sentiment_of(text) in SENTIMENTS
    assert urgency_of(text) in URGENCIES
    assert detect_language(text) in LANGUAGES
