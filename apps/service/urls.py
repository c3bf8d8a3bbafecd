"""Addresses of customer service under /api/v1/; each topic keeps its own."""

from apps.service.conversations.urls import urlpatterns as conversations
from apps.service.experiments.urls import urlpatterns as experiments
from apps.service.knowledge.urls import urlpatterns as knowledge
from apps.service.replies.urls import urlpatterns as replies
from apps.service.reports.urls import urlpatterns as reports
from apps.service.understanding.urls import urlpatterns as understanding

urlpatterns = [*replies, *conversations, *knowledge, *reports, *understanding, *experiments]
