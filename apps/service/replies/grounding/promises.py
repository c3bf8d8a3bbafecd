"""Sentences that promise money or delivery: what a business may say only where the order data backs it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from apps.service.replies.grounding.numerals import plain
from apps.service.replies.grounding.wording import sentences_of

_MONEY = (
    r"refund\w*|reimburs\w*|compensat\w*|(?:store )?credit(?:ed|s)?|vouchers?|coupons?|discounts?|cash ?back|"
    r"money back|rebates?|pay (?:you|back)|goodwill|free of charge|for free|waive\w*"
)
_DELIVERY = (
    r"arriv\w*|deliver\w*|ship(?:ped|s|ping|ment)?|dispatch\w*|send (?:you|out)|sent (?:to you|out)|replac\w*|"
    r"be there|reach you|receive (?:it|your|the|them)"
)
_COMMITS = (
    r"we will|we'll|we shall|we are|we're|we have|we've|we can|we guarantee|we promise|i will|i'll|i have|i've|i can|"
    r"i promise|will be|will get|will receive|you will|you'll|you get|you are (?:entitled|eligible)|"
    r"you're (?:entitled|eligible)|is on (?:its|the) way|has been|have been|was|were|guarantee\w*|promise\w*|assure\w*|"
    r"your (?:refund|compensation|credit|voucher|discount|parcel|package|order|delivery|replacement)|"
    r"it(?:'ll| will| should)|should (?:arrive|be|reach)|gets? to you|by (?:today|tomorrow|\w+day)"
)
_CHINESE_MONEY = r"退款|退钱|退还|返还|赔偿|赔付|补偿|补贴|优惠券|代金券|折扣|返现|免单|免费"
_CHINESE_DELIVERY = r"送达|送到|到货|发货|寄出|寄到|派送|配送|补发|换货|签收"
_CHINESE_COMMITS = (
    r"我们会|我们将|我们已|我会|我已|将会?|会在|会为|为您|给您|给你|您将|您会|您的|你的|已经|已为|保证|承诺|"
    r"一定|可以获得|即可|预计|确保|马上|立即|尽快"
)
_KINDS = {
    "money": (
        re.compile(rf"\b(?:{_MONEY})\b", re.IGNORECASE),
        re.compile(_CHINESE_MONEY),
    ),
    "delivery": (
        re.compile(rf"\b(?:{_DELIVERY})\b", re.IGNORECASE),
        re.compile(_CHINESE_DELIVERY),
    ),
}
_COMMIT = re.compile(rf"\b(?:{_COMMITS})\b", re.IGNORECASE)
_CHINESE_COMMIT = re.compile(_CHINESE_COMMITS)
# What has come already, and not what will.
_DELIVERED = re.compile(
    r"\b(?:been|was|were|is|are) (?:already )?(?:delivered|received)\b(?! (?:with)?in\b| by\b| to\b| between\b)"
    r"|\bha(?:s|ve) (?:already )?arrived\b|(?:已经?|被)(?:送达|送到|签收)",
    re.IGNORECASE,
)
# States and properties of an order that back what a sentence says of it.
_BACKED_BY = {
    "money": ("refunded", "refund_amount", "credited", "compensation"),
    "delivery": ("shipped", "delivered", "in_transit", "dispatched", "delivery_date"),
    "delivered": ("delivered",),
}
_NOTHING = re.compile(r"[\s0.,]*|no|none|false|null", re.IGNORECASE)


@dataclass(frozen=True)
class Promise:
    """`kind` is money, delivery, or delivered, which is said to be over."""

    kind: str
    sentence: str


def promises_of(text: str) -> list[Promise]:
    """Sentences that commit the business to money or to delivery. Rather one too many: it costs a look by an agent."""
    found = []
    for sentence in sentences_of(plain(text)):
        for kind, (english, chinese) in _KINDS.items():
            committed = english.search(sentence) and _COMMIT.search(sentence)
            if committed or (chinese.search(sentence) and _CHINESE_COMMIT.search(sentence)):
                is_over = kind == "delivery" and _DELIVERED.search(sentence)
                found.append(Promise("delivered" if is_over else kind, sentence))
    return found


def unbacked_promises(text: str, order: Mapping[str, str]) -> list[Promise]:
    """Promises that the data of the order, {name: value}, says nothing of.

    A promise of money needs a refund or credit there, one of delivery that the order is on its way, and what has been
    delivered the status "delivered". Figures and dates are checked apart, as claims.
    """
    known = {name for name, value in order.items() if name != "delivered" and not _NOTHING.fullmatch(value)}
    known.add(order.get("status", "").lower().replace(" ", "_"))
    return [promise for promise in promises_of(text) if not known.intersection(_BACKED_BY[promise.kind])]
