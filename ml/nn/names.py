"""What configurations choose from, by name; free of torch, so that one can be judged where nothing is trained."""

from typing import Literal

# "auto" is a graphics processor where there is one.
Device = Literal["auto", "cpu", "cuda"]

# Heads of the network.
NEXT_ITEM, NEXT_TYPE = "next_item", "next_type"

ENCODER_NAMES = ("lstm", "gru", "transformer", "gated", "bidirectional")
# The encoders in which no event sees a later one, so that padding on the right stays out.
RISK_ENCODERS = ("lstm", "gru", "transformer")

DEFAULT_INPUTS = ("type", "gap", "value")
# The last two need item features beside the log.
INPUTS = (*DEFAULT_INPUTS, "hour", "attributes", "text")
