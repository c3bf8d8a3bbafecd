"""The events that a webhook can be told of: applications name theirs, since this room knows no domain."""

from collections.abc import Mapping

_EVENTS: dict[str, str] = {}


def register_webhook_events(labels: Mapping[str, str]) -> None:
    """Name events with words for operators: {"alert.raised": "Alert raised"}. Once, when the application starts."""
    _EVENTS.update(labels)


def webhook_events() -> dict[str, str]:
    """Labels by event, in the order of their names."""
    return dict(sorted(_EVENTS.items()))
