"""Addresses of replies under /api/v1/."""

from django.urls import path

from apps.service.replies.api import JudgementView, RepliesView, ReplyStreamView, ReplyView
from apps.service.replies.settings_api import BackendsView, SendThresholdView, ServiceSettingsView

urlpatterns = [
    path("replies", RepliesView.as_view(), name="replies"),
    path("replies/<uuid:id>", ReplyView.as_view(), name="reply"),
    path("replies/<uuid:id>/stream", ReplyStreamView.as_view(), name="reply-stream"),
    path("replies/<uuid:id>/judgement", JudgementView.as_view(), name="reply-judgement"),
    path("service/settings", ServiceSettingsView.as_view(), name="service-settings"),
    path("service/threshold", SendThresholdView.as_view(), name="send-threshold"),
    path("service/backends", BackendsView.as_view(), name="reply-backends"),
]
