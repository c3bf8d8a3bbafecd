"""Describing items to a trained model: in its attribute values, and through the text encoder it was trained with."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from ml.data.item_features import AttributeColumn, ItemFeatures
from ml.data.text_cache import TextCache
from ml.nn.text_encoder import TextEncoder, encoder_name, pretrained_encoder
from ml.serving.artifact import TEXT_ENCODER, TUNED_ENCODER, write_json


def knows_content(artifact: Path) -> bool:
    """Whether the artifact's model can be told of items it has no events of; reads one small file.

    One that reads texts, but was given their vectors from elsewhere, cannot; nor can one that holds no items.
    """
    network = json.loads((artifact / "config.json").read_text(encoding="utf-8")).get("network")
    inputs = network.get("inputs", ()) if network else ()
    if "text" in inputs:
        return (artifact / TEXT_ENCODER).exists()
    return "attributes" in inputs


def describe_items(
    artifact: Path, *, attributes: Mapping[str, AttributeColumn], texts: Sequence[str], cache: Path
) -> ItemFeatures:
    """Features of items as the artifact's model has to be told of them, for `NextItemPredictor.add_items`.

    Its texts are encoded only where the model reads texts. Raises ValueError where its encoder is not at hand.
    """
    if not (artifact / TEXT_ENCODER).exists():
        return ItemFeatures.build(items=len(texts), attributes=attributes)
    text = TextCache(cache).encode(texts, artifact_encoder(artifact))
    return ItemFeatures.build(items=len(texts), attributes=attributes, text=text)


def artifact_encoder(artifact: Path) -> TextEncoder:
    """The encoder that an artifact's texts went through. Raises ValueError where it is not at hand."""
    wanted = json.loads((artifact / TEXT_ENCODER).read_text(encoding="utf-8"))["identity"]
    tuned = artifact / TUNED_ENCODER
    encoder = TextEncoder.load(str(tuned)) if tuned.exists() else pretrained_encoder(encoder_name())
    if encoder.identity != wanted:
        raise ValueError(
            f"{artifact} was trained with another text encoder than TEXT_ENCODER names; set it back, or train again"
        )
    return encoder


def write_encoder_note(artifact: Path, encoder: TextEncoder) -> None:
    write_json(artifact / TEXT_ENCODER, {"identity": encoder.identity, "dimension": encoder.dimension})


def text_cache(folder: Path) -> Path:
    """The cache of a tenant's texts, in the folder that holds its snapshots."""
    return folder / "item_texts.sqlite"
