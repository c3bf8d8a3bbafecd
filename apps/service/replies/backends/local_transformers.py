"""A local causal language model of the transformers library. Only workers of the queue `generate` load its weights."""

from collections.abc import Iterator
from pathlib import Path
from threading import Event

from django.conf import settings

from apps.service import engine
from apps.service.replies.backends.base import MOST_TOKENS, CutOff, GenerationFailed, ReplyRequest


class LocalTransformersBackend:
    is_outside = False

    def __init__(self, *, name: str, model: str, timeout_seconds: float) -> None:
        self.name = name
        self.model = model
        self.timeout_seconds = timeout_seconds
        self.tokens_used: int | None = None

    def generate(self, request: ReplyRequest, cancel: Event) -> Iterator[str]:
        folder = settings.REPLY_MODELS.get(self.model)
        if folder is None:
            raise GenerationFailed("model_not_configured")
        try:
            generator = engine.text_generator(Path(folder))
            yield from generator.stream(
                request.messages(), cancel=cancel, most_tokens=MOST_TOKENS, seconds=self.timeout_seconds
            )
        except (RuntimeError, OSError, ValueError) as error:
            raise GenerationFailed(f"model_failed ({type(error).__name__})") from error
        self.tokens_used = generator.tokens_used
        if generator.was_cut_off:
            raise CutOff("length_or_time")
