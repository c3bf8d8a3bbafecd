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


def take_snapshot(config: dict[str, Any], folder: Path) -> Path:
    """Write the examples below `folder`, which is the tenant's own, and return where.

    Raises ValueError where there are none.
    """
    rows = list(IntentExample.objects.order_by("id").values_list("text", "intent__name", "text_key"))
    if not rows:
        raise ValueError("there are no examples of intents; import some first")
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
