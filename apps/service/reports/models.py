"""Pages of customer service in the console that have no rows of their own."""

from apps.service.conversations.models import Conversation


class ServiceReport(Conversation):
    """What became of conversations, as the page of reports shows it."""

    class Meta:
        proxy = True
        verbose_name = "report"
        verbose_name_plural = "reports"
