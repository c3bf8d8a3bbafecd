"""Reads of back-tests."""

from django.db.models import QuerySet

from apps.risk.back_tests.models import BackTest


def back_tests() -> QuerySet[BackTest]:
    """Newest first."""
    return BackTest.objects.order_by("-created_at")
