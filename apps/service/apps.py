from django.apps import AppConfig


class ServiceConfig(AppConfig):
    name = "apps.service"
    verbose_name = "Service"

    def ready(self) -> None:
        # Models can be imported only from here on.
        from apps.service.conversations.outbox import EVENTS
        from apps.service.engine import (
            cross_encoder_seconds,
            open_passage_lists,
            open_reply_pairs,
            open_snapshot,
            reply_training_config,
            sample_cross_encoder_requests,
            sample_ranking_requests,
            sample_requests,
        )
        from apps.service.experiments.selectors import named_versions
        from apps.service.learning import pairs, passages
        from apps.service.understanding.snapshots import missing_examples, take_snapshot
        from serving.sweeping import register_named_versions
        from serving.training_data import register_training_data
        from webhooks.events import register_webhook_events

        register_webhook_events(EVENTS)
        register_named_versions(named_versions)
        register_training_data(
            "intents", take=take_snapshot, open=open_snapshot, sample=sample_requests, missing=missing_examples
        )
        register_training_data(
            "replies",
            take=pairs.take_snapshot,
            open=open_reply_pairs,
            sample=sample_ranking_requests,
            config=reply_training_config,
            missing=pairs.missing_pairs,
        )
        register_training_data(
            "cross_encoder",
            take=passages.take_snapshot,
            open=open_passage_lists,
            sample=sample_cross_encoder_requests,
            missing=passages.missing_questions,
            seconds=cross_encoder_seconds,
        )
