"""What the prediction heads say, in the words of an answer."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from ml.data.activity import activity_of_history
from ml.data.batches import EventBatch
from ml.data.vocabulary import Vocabulary
from ml.nn.names import NEXT_TYPE
from ml.nn.sequence_model import SequenceModel
from ml.serving.requests import Outlook


def outlook_of(
    model: SequenceModel, batch: EventBatch, times: Sequence[NDArray[np.float64]], vocabulary: Vocabulary
) -> list[Outlook]:
    """The outlook after each of the histories; `times` are those of its last EVENTS_COUNTED events, oldest first."""
    last_type = batch.type[torch.arange(len(batch.length)), batch.length - 1].tolist()
    activity = torch.tensor([activity_of_history(*last) for last in zip(last_type, times, strict=True)])
    device = model.bias.device
    probabilities = model.outlook(batch.to(device), activity.to(device))
    rows = {name: probability.tolist() for name, probability in probabilities.items()}
    return [
        _answer({name: row[number] for name, row in rows.items()}, vocabulary) for number in range(len(batch.length))
    ]


def usual_outlook(heads: Mapping[str, Mapping[str, Any]], vocabulary: Vocabulary) -> Outlook:
    """The rates of the training events: all there is to say of a subject without a known event."""
    rates = {name: head["rates"] for name, head in heads.items()}
    return _answer({name: rate if name == NEXT_TYPE else rate[0] for name, rate in rates.items()}, vocabulary)


def _answer(said: Mapping[str, float | Sequence[float]], vocabulary: Vocabulary) -> Outlook:
    """One probability for each head, or for next_type one for each event type in code order."""
    named = {
        name: dict(zip(vocabulary.types, value, strict=True)) if isinstance(value, Sequence) else value
        for name, value in said.items()
    }
    return cast(Outlook, named)
