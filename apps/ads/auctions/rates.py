"""The rates that an auction gives to ads, each at a placement, and a forecast of it too."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from apps.ads.engine import CLICK_MODEL, CONVERSION_MODEL, Prior, learned_rates, smoothed_rates
from apps.ads.settings import AdSettings

# A creative and a placement, and the impressions, clicks and conversions of the one at the other.
Pair = tuple[UUID, UUID]
Counts = tuple[int, int, int]


@dataclass(frozen=True)
class Rates:
    """(ads,) each: clicks of an impression, conversions of a click, and conversions of an impression."""

    clicked: NDArray[np.float64]
    converted: NDArray[np.float64]
    bought: NDArray[np.float64]


def rates_of(
    pairs: Sequence[Pair], counts: Mapping[Pair, Counts], by_view: Sequence[bool], settings: AdSettings
) -> Rates:
    """Of the live models; where none answers, what was counted under the settings' priors.

    Where a view alone may convert (`by_view`), conversions are counted of all impressions; those of clicks are where
    that begins.
    """
    seen = [counts.get(each, (0, 0, 0)) for each in pairs]
    impressions, clicks, conversions = zip(*seen, strict=True) if seen else ((), (), ())
    creatives, placements = [str(each) for each, _ in pairs], [str(each) for _, each in pairs]
    clicked = learned_rates(CLICK_MODEL, creatives, placements)
    if clicked is None:
        clicked = smoothed_rates(clicks, impressions, Prior(settings.prior_click_rate, settings.prior_weight))
    converted = learned_rates(CONVERSION_MODEL, creatives, placements)
    if converted is None:
        converted = smoothed_rates(conversions, clicks, Prior(settings.prior_conversion_rate, settings.prior_weight))
    bought = clicked * converted
    viewed = smoothed_rates(conversions, impressions, Prior(bought, settings.prior_weight))
    return Rates(clicked, converted, np.where(np.array(by_view, dtype=bool), viewed, bought))
