from typing import Any

from django.core.management.base import BaseCommand

from config.celery import app


class Command(BaseCommand):
    help = "Publish the periodic tasks when they are due; run exactly one of these."

    def handle(self, *args: Any, **options: Any) -> None:
        app.Beat(loglevel="INFO", pidfile=None).run()
