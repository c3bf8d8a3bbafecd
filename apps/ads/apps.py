from django.apps import AppConfig


class AdsConfig(AppConfig):
    name = "apps.ads"
    verbose_name = "Ads"

    def ready(self) -> None:
        # Models can be imported only from here on.
        from apps.ads.engine import open_impressions, sample_requests
        from apps.ads.learning.snapshots import missing_clicks, missing_conversions, take_clicks, take_conversions
        from serving.training_data import register_training_data

        for task, take, missing in (
            ("click_rate", take_clicks, missing_clicks),
            ("conversion_rate", take_conversions, missing_conversions),
        ):
            register_training_data(task, take=take, open=open_impressions, sample=sample_requests, missing=missing)
