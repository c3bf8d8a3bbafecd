"""Addresses of replies under /api/v1/."""

from django.urls import path

from apps.service.replies.api import JudgementView, RepliesView, ReplyView
from apps.service.replies.settings_api import ServiceSettingsView

urlpatterns = [
    path("replies", RepliesView.as_view(), name="replies"),
    path("replies/<uuid:id>", ReplyView.as_view(), name="reply"),
    path("replies/<uuid:id>/judgement", JudgementView.as_view(), name="reply-judgement"),
    path("service/settings", ServiceSettingsView.as_view(), name="service-settings"),
]
