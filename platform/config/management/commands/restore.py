from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from config.embedded import EmbeddedServerError
from config.embedded.backup import restore


class Command(BaseCommand):
    help = "Unpack an archive that `backup` wrote into a home without data."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("archive", type=Path, help="the file that `backup` wrote")

    def handle(self, *args: Any, archive: Path, **options: Any) -> None:
        try:
            aside = restore(archive, Path(settings.VAR))
        except (EmbeddedServerError, ValueError, OSError) as error:
            raise CommandError(str(error)) from error
        if aside:
            self.stdout.write(f"{aside} holds what was in its place; remove it when you do not need it")
        self.stdout.write(f"{settings.VAR} is as it was; 'make up' starts it")
