"""All labelled examples of a tenant, as training reads them."""

import zlib
from pathlib import Path
from typing import Any

from uuid_utils.compat import uuid7

from apps.service import engine
from apps.service.understanding.models import IntentExample

# One example in so many is held out; which ones follows from their text alone, so that no version of the model trains
# on what the next one is compared by.
HELD_OUT_EVERY = 5
# With fewer, too few would be held out to choose and judge by.
LEAST_INTENTS, LEAST_EXAMPLES = 2, 150


def missing_examples() -> str | None:
    """What is missing before a model of intents can be trained; None where nothing is."""
    intents = IntentExample.objects.filter(intent__isnull=False).values("intent").distinct().count()
    if intents >= LEAST_INTENTS and IntentExample.objects.filter(intent__isnull=False).count() >= LEAST_EXAMPLES:
        return None
    return f"training needs {LEAST_EXAMPLES} examples of {LEAST_INTENTS} intents, or more: add some at intent-examples"


def take_snapshot(config: dict[str, Any], folder: Path) -> Path:
    """Write the examples below `folder`, which is the tenant's own, and return where."""
    rows = list(IntentExample.objects.order_by("id").values_list("text", "intent__name", "text_key"))
    path = folder / f"intents-{uuid7()}"
    engine.write_snapshot(
        path,
        texts=[text for text, _, _ in rows],
        intents=[intent for _, intent, _ in rows],
        held_out=_held_out([(intent, key) for _, intent, key in rows]),
    )
    return path


def _held_out(examples: list[tuple[str | None, str]]) -> list[bool]:
    """Whether each (intent, key of the text) is held out; of each intent at least one trains."""
    held = [zlib.crc32(key.encode()) % HELD_OUT_EVERY == 0 for _, key in examples]
    training = {intent for (intent, _), is_held in zip(examples, held, strict=True) if not is_held}
    for row, (intent, _) in enumerate(examples):
        if intent not in training:
            held[row] = False
            training.add(intent)
    return held
