"""The Celery application. Queues: ingest, train, infer, generate, default; tasks name theirs where they are defined."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("sequitur")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
