"""Addresses under /api/v1/knowledge/."""

from django.urls import path

from apps.service.knowledge.api import (
    PublishSourceView,
    RestoreSourceView,
    RetireSourceView,
    SourcesView,
    SourceVersionsView,
    SourceView,
)
from apps.service.knowledge.imports_api import KnowledgeImportsView, KnowledgeImportView, KnowledgeSearchesView

urlpatterns = [
    path("knowledge/imports", KnowledgeImportsView.as_view(), name="knowledge-imports"),
    path("knowledge/imports/<uuid:id>", KnowledgeImportView.as_view(), name="knowledge-import"),
    path("knowledge/searches", KnowledgeSearchesView.as_view(), name="knowledge-searches"),
    path("knowledge/<slug:collection>", SourcesView.as_view(), name="knowledge-sources"),
    path("knowledge/<slug:collection>/<uuid:id>", SourceView.as_view(), name="knowledge-source"),
    path("knowledge/<slug:collection>/<uuid:id>/publish", PublishSourceView.as_view(), name="publish-source"),
    path("knowledge/<slug:collection>/<uuid:id>/retire", RetireSourceView.as_view(), name="retire-source"),
    path("knowledge/<slug:collection>/<uuid:id>/restore", RestoreSourceView.as_view(), name="restore-source"),
    path("knowledge/<slug:collection>/<uuid:id>/versions", SourceVersionsView.as_view(), name="source-versions"),
]
