"""Wiring: settings, URLs, Celery, process entries. Holds no behaviour of its own."""

from config.celery import app as celery_app

__all__ = ["celery_app"]
