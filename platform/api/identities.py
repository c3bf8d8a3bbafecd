"""Who is who: tie a visitor to a user, merge two users, take them apart again, see what is tied."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.errors import Unprocessable
from api.idempotency import IdempotentWrites
from api.model_actions import actor_of
from api.serializers import QueryParameters, StrictSerializer
from behavior.identity import Identity, LinkRefused, UnknownSubject, find_identity, link, merge, undo
from behavior.models import IdentityLink
from behavior.parsing import Invalid, parse_subject_id
from tenancy.secrets import public_subject_id, subject_key

LINK_EXAMPLE = {
    "id": "019ac0de-7a31-7f0a-9d55-2f6c0d4f9b11",
    "kind": "login",
    "from_key": "k5zqd2m7x3v4n6ba",
    "to_key": "u2f7wq5c4jd3rkla",
    "since": "2026-11-25T09:30:00Z",
    "source": "api",
    "event_id": "019ac0d9-1d2c-7b44-b5a5-0c9a6b0e7f20",
    "created_at": "2026-11-25T09:30:01Z",
    "undone_at": None,
    "undone_by": None,
}


@extend_schema_field({"type": "string", "minLength": 1, "maxLength": 200})
class SubjectIdField(serializers.Field):
    """A user_id or anonymous_id, by the rules that events keep."""

    def to_internal_value(self, data: Any) -> str:
        try:
            return parse_subject_id(data)
        except Invalid as problem:
            raise serializers.ValidationError(problem.message, code=problem.code) from problem


class LinkRequestSerializer(StrictSerializer):
    user_id = SubjectIdField(help_text="may be a user of whom nothing was received yet")
    anonymous_id = SubjectIdField(help_text="a visitor that events have named")


class MergeRequestSerializer(StrictSerializer):
    from_user_id = SubjectIdField()
    to_user_id = SubjectIdField()

    def validate(self, fields: dict[str, str]) -> dict[str, str]:
        if fields["from_user_id"] == fields["to_user_id"]:
            raise serializers.ValidationError(
                {"to_user_id": "is the user of from_user_id itself; name another one"}, code="same_subject"
            )
        return fields


class IdentityParameters(QueryParameters):
    """Exactly one of the two."""

    user_id = SubjectIdField(required=False)
    anonymous_id = SubjectIdField(required=False)

    def validate(self, fields: dict[str, str]) -> dict[str, str]:
        if len(fields) != 1:
            raise serializers.ValidationError("send user_id or anonymous_id, one of the two", code="one_of")
        return fields


class IdentityLinkSerializer(serializers.ModelSerializer):
    from_key = serializers.SerializerMethodField(help_text="pseudonym of the visitor, or of the user who was merged")
    to_key = serializers.SerializerMethodField(help_text="pseudonym of the user")
    undone_by = serializers.SerializerMethodField()

    class Meta:
        model = IdentityLink
        fields = (
            *("id", "kind", "from_key", "to_key", "since", "source", "event_id", "created_at"),
            *("undone_at", "undone_by"),
        )
        read_only_fields = fields

    def get_from_key(self, row: IdentityLink) -> str:
        return public_subject_id(bytes(row.from_key))

    def get_to_key(self, row: IdentityLink) -> str:
        return public_subject_id(bytes(row.to_key))

    def get_undone_by(self, row: IdentityLink) -> str | None:
        return row.undone_by or None


class PersonKeySerializer(serializers.Serializer):
    key = serializers.CharField(help_text="pseudonym, as the console shows it")
    kind = serializers.ChoiceField(["user_id", "anonymous_id"])
    id = serializers.CharField(allow_null=True, help_text="your id, where it is the one that you asked for")
    after = serializers.DateTimeField(allow_null=True, help_text="events up to then are another person's; null: none")
    until = serializers.DateTimeField(allow_null=True, help_text="events later are another person's; null: none")


class IdentitySerializer(serializers.Serializer):
    keys = PersonKeySerializer(many=True)
    shared = serializers.BooleanField(
        help_text="several people use this anonymous_id: alone it stands for its events since the last login"
    )
    links = IdentityLinkSerializer(many=True, help_text="newest first, undone ones too")


def present_identity(identity: Identity, *, asked: bytes, raw_id: str) -> dict[str, Any]:
    keys = [
        {
            "key": public_subject_id(one.key),
            "kind": one.kind,
            "id": raw_id if one.key == asked else None,
            "after": one.after,
            "until": one.until,
        }
        for one in identity.keys
    ]
    links = IdentityLinkSerializer(identity.links, many=True).data
    return {"keys": keys, "shared": identity.shared, "links": links}


@contextmanager
def ledger_refusals() -> Iterator[None]:
    """400 for an id that is not known, 422 where the ledger stands against it."""
    try:
        yield
    except UnknownSubject as error:
        problem = serializers.ErrorDetail(str(error), code="unknown_subject")
        raise ValidationError({error.field: [problem]}) from error
    except LinkRefused as error:
        raise Unprocessable(str(error)) from error


class IdentitiesView(APIView):
    required_scopes = {"GET": "identities:read"}

    @extend_schema(
        operation_id="get_identity",
        tags=["identities"],
        summary="Who is behind an id, and since when",
        description="All keys of the person, and the links that tie them. Raw ids come back only as you sent them.",
        parameters=[IdentityParameters],
        responses=IdentitySerializer,
        examples=[
            OpenApiExample(
                "a user who logged in on one device",
                {
                    "keys": [
                        {"key": "u2f7wq5c4jd3rkla", "kind": "user_id", "id": "u-17", "after": None, "until": None},
                        {"key": "k5zqd2m7x3v4n6ba", "kind": "anonymous_id", "id": None, "after": None, "until": None},
                    ],
                    "shared": False,
                    "links": [LINK_EXAMPLE],
                },
                response_only=True,
            )
        ],
    )
    def get(self, request: Request) -> Response:
        [(kind, raw_id)] = IdentityParameters.of(request).items()
        try:
            identity = find_identity(kind=kind, raw_id=raw_id)
        except UnknownSubject as error:
            raise NotFound(str(error)) from error
        return Response(present_identity(identity, asked=subject_key(kind, raw_id), raw_id=raw_id))


class IdentityLinksView(IdempotentWrites):
    required_scopes = {"POST": "identities:write"}

    @extend_schema(
        operation_id="link_identity",
        tags=["identities"],
        summary="Tie a visitor to a user",
        description="Events and requests that carry both ids do it by themselves; this is for a login that no event "
        "shows, and for putting back a link that was undone. 200 with the link where it exists.",
        request=LinkRequestSerializer,
        responses={201: IdentityLinkSerializer, 200: IdentityLinkSerializer},
        examples=[
            OpenApiExample("a login", {"user_id": "u-17", "anonymous_id": "a-981"}, request_only=True),
            OpenApiExample("the link", LINK_EXAMPLE, response_only=True),
        ],
    )
    def post(self, request: Request) -> Response:
        wanted = LinkRequestSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        with ledger_refusals():
            row, is_new = link(**wanted.validated_data, actor=actor_of(request))
        return Response(IdentityLinkSerializer(row).data, status=201 if is_new else 200)


class IdentityMergesView(IdempotentWrites):
    required_scopes = {"POST": "identities:write"}

    @extend_schema(
        operation_id="merge_identities",
        tags=["identities"],
        summary="Two users are one person",
        description="200 with the merge where it exists; 422 where the two are one person by other merges.",
        request=MergeRequestSerializer,
        responses={201: IdentityLinkSerializer, 200: IdentityLinkSerializer},
        examples=[
            OpenApiExample("a merge", {"from_user_id": "u-17", "to_user_id": "u-4"}, request_only=True),
            OpenApiExample("the merge", LINK_EXAMPLE | {"kind": "merge", "event_id": None}, response_only=True),
        ],
    )
    def post(self, request: Request) -> Response:
        wanted = MergeRequestSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        with ledger_refusals():
            row, is_new = merge(**wanted.validated_data, actor=actor_of(request))
        return Response(IdentityLinkSerializer(row).data, status=201 if is_new else 200)


UNDONE = "Both keys have their own events again, at once; the link stays readable as history. Safe to repeat."


class _UndoView(IdempotentWrites):
    required_scopes = {"DELETE": "identities:write"}
    kind: IdentityLink.Kind

    def take_apart(self, request: Request, id: UUID) -> Response:
        try:
            row = undo(link_id=id, kind=self.kind, actor=actor_of(request))
        except IdentityLink.DoesNotExist:
            raise NotFound(f"there is no {self.kind} {id}") from None
        return Response(IdentityLinkSerializer(row).data)


class IdentityLinkView(_UndoView):
    kind = IdentityLink.Kind.LOGIN

    @extend_schema(
        operation_id="unlink_identity",
        tags=["identities"],
        summary="Take a visitor and a user apart",
        description=f"{UNDONE} Later logins do not tie the two again; POST identities/links does.",
        request=None,
        responses=IdentityLinkSerializer,
    )
    def delete(self, request: Request, id: UUID) -> Response:
        return self.take_apart(request, id)


class IdentityMergeView(_UndoView):
    kind = IdentityLink.Kind.MERGE

    @extend_schema(
        operation_id="unmerge_identities",
        tags=["identities"],
        summary="Take two merged users apart",
        description=UNDONE,
        request=None,
        responses=IdentityLinkSerializer,
    )
    def delete(self, request: Request, id: UUID) -> Response:
        return self.take_apart(request, id)
