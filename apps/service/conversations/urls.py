"""Addresses of conversations under /api/v1/."""

from django.urls import path

from apps.service.conversations.api import (
    ConversationEventsView,
    ConversationsView,
    ConversationView,
    MessagesView,
)
from apps.service.conversations.inbound_api import InboundView

urlpatterns = [
    path("conversations", ConversationsView.as_view(), name="conversations"),
    path("conversations/inbound/<slug:desk>", InboundView.as_view(), name="inbound-message"),
    path("conversations/<uuid:id>", ConversationView.as_view(), name="conversation"),
    path("conversations/<uuid:id>/messages", MessagesView.as_view(), name="conversation-messages"),
    path("conversations/<uuid:id>/events", ConversationEventsView.as_view(), name="conversation-events"),
]
