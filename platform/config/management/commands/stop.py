from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from config import embedded
from config.supervisor import end_recorded


class Command(BaseCommand):
    help = "End a running `up` or what a killed one left behind, and the embedded servers."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        home = Path(settings.VAR)
        ended = end_recorded(home, supervisor=True)
        embedded.stop(home)
        self.stdout.write("stopped" if ended else "nothing was up; the embedded servers are stopped")
