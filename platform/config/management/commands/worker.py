from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from config.celery import app


class Command(BaseCommand):
    requires_system_checks: list[str] = []
    help = "Run a Celery worker; what follows -- goes to Celery: manage.py worker -- -Q infer --pool solo"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("arguments", nargs="*", help="options of `celery worker`")

    def handle(self, *args: Any, **options: Any) -> None:
        app.worker_main(["worker", "--loglevel", "INFO", *options["arguments"]])
