from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from config.embedded import EmbeddedServerError, uses_embedded_postgres
from config.embedded.backup import back_up


class Command(BaseCommand):
    help = "Write the home (data of the embedded servers, keys, models, files) into one archive; they must be stopped."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("archive", type=Path, help="the file to write, such as sequitur.tar.gz, outside the home")

    def handle(self, *args: Any, archive: Path, **options: Any) -> None:
        try:
            back_up(Path(settings.VAR), archive)
        except (EmbeddedServerError, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{archive} holds {settings.VAR}, its keys too: keep it where only you can read it")
        if not uses_embedded_postgres():
            self.stdout.write("PostgreSQL is your own (DATABASE_URL) and not in it: dump that with pg_dump")
