"""This process's connections to Valkey."""

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from serving.once import Once

SECONDS_TO_ANSWER = 0.2
VALKEY_GONE = (redis.RedisError, OSError)


@Once
def valkey() -> redis.Redis:
    """Gives up soon and does not try again: what the API asks of Valkey is never worth waiting for."""
    return redis.Redis.from_url(
        settings.VALKEY_URL,
        socket_timeout=SECONDS_TO_ANSWER,
        socket_connect_timeout=SECONDS_TO_ANSWER,
        retry=Retry(NoBackoff(), 0),
    )
