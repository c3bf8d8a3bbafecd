"""The Celery application; tasks name their queue where they are defined (docs/architecture.md lists them)."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("sequitur")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
