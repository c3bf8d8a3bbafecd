from django.apps import AppConfig


class RiskConfig(AppConfig):
    name = "apps.risk"
    verbose_name = "Risk"

    def ready(self) -> None:
        # Models can be imported only from here on.
        from apps.risk.assessments.settings import training_config
        from apps.risk.engine import open_snapshot, sample_requests
        from apps.risk.transactions.snapshots import take_snapshot
        from serving.training_data import register_training_data

        doors = {"take": take_snapshot, "open": open_snapshot, "sample": sample_requests}
        register_training_data("risk", config=training_config, **doors)
        register_training_data("anomaly", **doors)
