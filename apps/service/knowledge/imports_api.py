"""Imports of files, and searches."""

from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.errors import TooLarge
from api.idempotency import IdempotentWrites
from api.model_actions import actor_of
from apps.service.knowledge.api import READ, TAGS, WRITE
from apps.service.knowledge.imports import ImportTooLarge, import_files
from apps.service.knowledge.models import KnowledgeImport
from apps.service.knowledge.searching import search_in_stages
from apps.service.knowledge.serializers import (
    KnowledgeImportBodySerializer,
    KnowledgeImportSerializer,
    KnowledgeImportSummarySerializer,
    KnowledgeSearchBodySerializer,
    KnowledgeSearchSerializer,
)

FILES = {
    "files": [
        {"name": "returns.md", "content": "---\nlanguage: en\ntags: returns\n---\n# Returns\n\nYou have 30 days."},
        {"name": "macros.csv", "content": "id,kind,title,body\nm-1,macro,Thanks,Thank you {{customer.first_name}}!\n"},
    ],
    "publish": True,
}
QUESTION = {"query": "How long does a refund take?", "audience": "public", "count": 3}


class KnowledgeImportsView(IdempotentWrites, GenericAPIView):
    required_scopes = {"GET": READ, "POST": WRITE}
    serializer_class = KnowledgeImportSummarySerializer

    def get_queryset(self) -> QuerySet[KnowledgeImport]:
        return KnowledgeImport.objects.defer("results")

    @extend_schema(
        operation_id="list_knowledge_imports",
        tags=TAGS,
        summary="A page of imports, newest first",
        responses=KnowledgeImportSummarySerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        operation_id="import_knowledge",
        tags=TAGS,
        summary="Bring in Markdown, CSV and HTML files; each row is answered for",
        description="A Markdown file may begin with lines between '---' that name its id, title, language, audience, "
        "segments, tags, valid_from and valid_until; a CSV file names them in its first line, with body and kind. What "
        "has the id of a source changes it; Markdown and HTML files without one go by their name. Good rows are "
        "stored, though others are rejected.",
        request=KnowledgeImportBodySerializer,
        responses={201: KnowledgeImportSerializer},
        examples=[OpenApiExample("two files", FILES, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        body = KnowledgeImportBodySerializer(data=request.data)
        body.is_valid(raise_exception=True)
        wanted = dict(body.validated_data)
        files = [(file["name"], file["content"]) for file in wanted.pop("files")]
        try:
            made = import_files(files=files, actor=actor_of(request), **wanted)
        except ImportTooLarge as error:
            raise TooLarge(str(error)) from error
        return Response(KnowledgeImportSerializer(made).data, status=201)


class KnowledgeImportView(APIView):
    required_scopes = {"GET": READ}

    @extend_schema(
        operation_id="get_knowledge_import",
        tags=TAGS,
        summary="One import, with what became of each row",
        responses=KnowledgeImportSerializer,
    )
    def get(self, request: Request, id: UUID) -> Response:
        found = KnowledgeImport.objects.filter(id=id).first()
        if found is None:
            raise NotFound(f"there is no import {id}")
        return Response(KnowledgeImportSerializer(found).data)


class KnowledgeSearchesView(APIView):
    required_scopes = {"POST": READ}

    @extend_schema(
        operation_id="search_knowledge",
        tags=TAGS,
        summary="Passages that answer a question, each with the score of every stage",
        description="Full text and meaning each give candidates, which are fused by their ranks and re-ranked; the "
        "best are then read beside the question by a cross-encoder, where one is live. `stages` says what ran, what "
        "it took, and why one did not.",
        request=KnowledgeSearchBodySerializer,
        responses=KnowledgeSearchSerializer,
        examples=[OpenApiExample("a question", QUESTION, request_only=True)],
    )
    def post(self, request: Request) -> Response:
        body = KnowledgeSearchBodySerializer(data=request.data)
        body.is_valid(raise_exception=True)
        return Response(KnowledgeSearchSerializer(search_in_stages(**body.validated_data)).data)
