"""Shapes of POST ads/decisions."""

from typing import Any

from rest_framework import serializers

from api.events import ConsentSerializer
from api.subjects import SubjectField
from apps.ads.auctions.asking import Ask
from apps.ads.auctions.quick import QuickSerializer, QuickText, QuickTexts
from apps.ads.campaigns.models import BidKind
from apps.ads.campaigns.targeting import DEVICES, LONGEST_VALUE, MOST_ATTRIBUTES
from behavior.parsing import Invalid, check_storable

MOST_PLACEMENTS = 20
MOST_KEYWORDS = 100
LONGEST_AGENT = 500


def words(most: int, help_text: str) -> QuickTexts:
    return QuickTexts(child=word(), required=False, max_length=most, help_text=help_text)


def word(**about: Any) -> QuickText:
    return QuickText(max_length=LONGEST_VALUE, **about)


class AdAttributesField(serializers.DictField):
    child = word()

    def to_internal_value(self, data: Any) -> dict[str, str]:
        value: dict[str, str] = super().to_internal_value(data)
        if len(value) > MOST_ATTRIBUTES or any(len(name) > LONGEST_VALUE for name in value):
            raise serializers.ValidationError(
                f"must have at most {MOST_ATTRIBUTES} names of at most {LONGEST_VALUE} characters"
            )
        try:
            check_storable("".join(value))
        except Invalid as problem:
            raise serializers.ValidationError(f"has a name that {problem.message}") from None
        return value


class AdContextSerializer(QuickSerializer):
    """What the client knows of the moment. Segments and attributes count with consent alone."""

    country = word(required=False)
    region = word(required=False)
    language = word(required=False)
    device = serializers.ChoiceField(DEVICES, required=False, help_text="else read from user_agent")
    categories = words(MOST_KEYWORDS, "of the page")
    segments = words(MOST_KEYWORDS, "that the subject belongs to")
    attributes = AdAttributesField(required=False, help_text="of the subject, by name")


class AdConsentSerializer(QuickSerializer, ConsentSerializer):
    personalisation = serializers.BooleanField(default=False)
    training = serializers.BooleanField(default=False)


class AdAskSerializer(QuickSerializer):
    placements = serializers.ListField(
        child=serializers.SlugField(max_length=50), min_length=1, max_length=MOST_PLACEMENTS, help_text="keys"
    )
    subject = SubjectField(required=False)
    context = AdContextSerializer(required=False)  # type: ignore[assignment]
    keywords = words(MOST_KEYWORDS, "of the page or the search")
    user_agent = QuickText(
        required=False, allow_blank=True, max_length=LONGEST_AGENT, help_text="of the reader's browser"
    )
    consent = AdConsentSerializer(
        required=False,
        help_text="both are false unless you say otherwise; without personalisation the page alone decides, and "
        "the subject is forgotten; without training the events of the ad are in no training",
    )
    include_prices = serializers.BooleanField(required=False, default=False)


class AdCreativeAnswerSerializer(serializers.Serializer):
    id = serializers.UUIDField()
    width = serializers.IntegerField()
    height = serializers.IntegerField()
    text = serializers.CharField(allow_blank=True)
    image_url = serializers.CharField(allow_blank=True)


class AdPriceSerializer(serializers.Serializer):
    price_micros = serializers.IntegerField(help_text="for a thousand impressions, a click or a conversion")
    bid_kind = serializers.ChoiceField(BidKind.choices)
    currency = serializers.CharField()


class AdNoFillSerializer(serializers.Serializer):
    reason = serializers.CharField(
        help_text="what kept the last ads away: no_ads, archived (the placement), currency, size, consent, no_subject, "
        "targeting, experiment, cap, budget, pacing, floor, busy, not_tried, won_elsewhere or bot"
    )
    lost = serializers.DictField(child=serializers.IntegerField(), help_text="how many ads, by reason")


class AdPlacementAnswerSerializer(serializers.Serializer):
    placement = serializers.CharField()
    decision_id = serializers.UUIDField(help_text="send it with the events that follow")
    creative = AdCreativeAnswerSerializer(allow_null=True)
    impression_url = serializers.CharField(allow_null=True, help_text="a pixel; or POST ads/impressions")
    viewable_url = serializers.CharField(allow_null=True, help_text="a pixel for when half of it was seen for a second")
    click_url = serializers.CharField(allow_null=True, help_text="redirects to the advertiser's page")
    token = serializers.CharField(allow_null=True, help_text="what POST ads/impressions takes")
    expires_at = serializers.DateTimeField(allow_null=True, help_text="by when it must be seen")
    price = AdPriceSerializer(allow_null=True, help_text="with include_prices")
    no_fill = AdNoFillSerializer(allow_null=True)


class AdDecisionsSerializer(serializers.Serializer):
    decisions = AdPlacementAnswerSerializer(many=True, help_text="in the order of the placements")


def ask_of(body: dict[str, Any]) -> Ask:
    consent = body.get("consent", {})
    has_consent = bool(consent.get("personalisation"))
    return Ask(
        placements=body["placements"],
        subject=body.get("subject") if has_consent else None,
        context=body.get("context", {}),
        keywords=body.get("keywords", ()),
        user_agent=body.get("user_agent", ""),
        has_consent=has_consent,
        may_train=bool(consent.get("training")),
    )
