from django.apps import AppConfig


class WiringConfig(AppConfig):
    """Makes the management commands and the checks of this room findable."""

    name = "config"

    def ready(self) -> None:
        from config import checks  # noqa: F401
