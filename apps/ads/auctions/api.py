"""POST /api/v1/ads/decisions: which ads to show."""

from datetime import timedelta
from typing import Any

from django.conf import settings
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.ads.auctions.serializers import AdAskSerializer, AdDecisionsSerializer, ask_of
from apps.ads.auctions.services import Placed, decide
from apps.ads.settings import current_settings
from apps.ads.tracking.tokens import make_token
from tenancy.scope import current_tenant_id

ASK = {
    "placements": ["article-top", "article-side"],
    "subject": {"anonymous_id": "a-981", "session_id": "s-4"},
    "context": {"country": "DE", "language": "de", "categories": ["outdoor"]},
    "keywords": ["tent", "hiking"],
    "user_agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0",
    "consent": {"personalisation": True, "training": True},
}


class AdDecisionsView(APIView):
    required_scopes = {"POST": "ads:decide"}

    @extend_schema(
        operation_id="decide_ads",
        tags=["ads"],
        summary="Which ad to show at each placement, or why none",
        description="Its price is reserved until it is seen and, where clicks or conversions are paid for, until these "
        "come or can come no more. The addresses in the answer are for the reader's browser and need no key.",
        request=AdAskSerializer,
        responses=AdDecisionsSerializer,
        examples=[OpenApiExample("two places of an article", ASK, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        body = AdAskSerializer.read(request.data)
        placed = decide(ask_of(body))
        return Response({"decisions": [present(each, include_prices=body["include_prices"]) for each in placed]})


def present(placed: Placed, *, include_prices: bool) -> dict[str, Any]:
    answer: dict[str, Any] = {"placement": placed.placement, "decision_id": placed.decision_id}
    if placed.lead is None:
        empty = ("creative", "impression_url", "viewable_url", "click_url", "token", "expires_at", "price")
        assert placed.no_fill is not None
        no_fill = {"reason": placed.no_fill.reason, "lost": placed.no_fill.lost}
        return answer | dict.fromkeys(empty) | {"no_fill": no_fill}
    ad = placed.lead.ad
    # The database knows how long each kind of event may come; the token outlives them all.
    ends = placed.expires_at + timedelta(minutes=current_settings().click_minutes)
    token = make_token(placed.decision_id, tenant_id=current_tenant_id(), expires_at=ends)
    address = f"{settings.API_URL}/api/v1/ads"
    price = {"price_micros": placed.lead.price_micros, "bid_kind": ad.bid_kind, "currency": ad.currency}
    return answer | {
        "creative": {
            "id": ad.creative_id,
            "width": ad.width,
            "height": ad.height,
            "text": ad.text,
            "image_url": ad.image_url,
        },
        "impression_url": f"{address}/impressions/{token}",
        "viewable_url": f"{address}/views/{token}",
        "click_url": f"{address}/clicks/{token}",
        "token": token,
        "expires_at": placed.expires_at,
        "price": price if include_prices else None,
        "no_fill": None,
    }
