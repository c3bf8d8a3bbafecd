"""GET /api/v1/risk/links: who is tied to the subject of a transaction."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.serializers import QueryParameters
from apps.risk.assessments.settings import current_settings
from apps.risk.links.selectors import links_of
from apps.risk.transactions.reading import MAX_TRANSACTION_ID
from apps.risk.transactions.selectors import find_transactions

KINDS = ("subject", "card", "device", "address", "counterparty")


class LinksAskSerializer(QueryParameters):
    transaction_id = serializers.CharField(max_length=MAX_TRANSACTION_ID)


class LinkedPartySerializer(serializers.Serializer):
    key = serializers.IntegerField(help_text="place in the list; the first is the transaction's subject")
    kind = serializers.ChoiceField(KINDS)
    label = serializers.CharField(  # type: ignore[assignment]
        help_text="a counterparty's name, else the short form of a keyed hash"
    )
    transactions = serializers.IntegerField(help_text="that it took part in")
    frauds = serializers.IntegerField(help_text="of these, known as fraud")


class LinkSerializer(serializers.Serializer):
    one = serializers.IntegerField(help_text="key of one node")
    other = serializers.IntegerField(help_text="key of the other node")
    transactions = serializers.IntegerField(help_text="that they have in common")


class LinksSerializer(serializers.Serializer):
    nodes = LinkedPartySerializer(many=True)
    edges = LinkSerializer(many=True)
    left_out = serializers.IntegerField(help_text="other subjects that were found besides")


class LinksView(APIView):
    required_scopes = {"GET": "risk-cases:read"}

    @extend_schema(
        operation_id="get_risk_links",
        tags=["risk cases"],
        summary="Subjects that used the same things",
        description="Cards, devices and addresses, and counterparties that no more than `link_most_subjects` "
        "(risk/settings) others paid, or where the subject was defrauded.",
        parameters=[LinksAskSerializer],
        responses=LinksSerializer,
    )
    def get(self, request: Request) -> Response:
        transaction_id = LinksAskSerializer.of(request)["transaction_id"]
        stored = find_transactions([transaction_id]).get(transaction_id)
        if stored is None:
            raise NotFound(f"there is no transaction {transaction_id}")
        links = links_of(stored["subject_key"], most_subjects=current_settings().link_most_subjects)
        return Response(LinksSerializer(links).data)
