from django.apps import AppConfig


class ServiceConfig(AppConfig):
    name = "apps.service"
    verbose_name = "Service"

    def ready(self) -> None:
        # Models can be imported only from here on.
        from apps.service.conversations.outbox import EVENTS
        from webhooks.events import register_webhook_events

        register_webhook_events(EVENTS)
