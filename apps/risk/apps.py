from django.apps import AppConfig


class RiskConfig(AppConfig):
    name = "apps.risk"
    verbose_name = "Risk"

    def ready(self) -> None:
        # Models can be imported only from here on.
        from apps.risk.assessments.settings import training_config
        from apps.risk.engine import open_snapshot, sample_requests
        from apps.risk.monitoring.challengers import named_versions
        from apps.risk.notifications.outbox import EVENTS
        from apps.risk.transactions.snapshots import take_snapshot
        from serving.sweeping import register_named_versions
        from serving.training_data import register_training_data
        from webhooks.events import register_webhook_events

        register_webhook_events(EVENTS)
        register_named_versions(named_versions)
        # Only one of them learns from labels, and so waits for these.
        for task, config in (("risk", training_config), ("anomaly", dict)):
            register_training_data(task, take=take_snapshot, open=open_snapshot, sample=sample_requests, config=config)
