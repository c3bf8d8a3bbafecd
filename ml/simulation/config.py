"""How a synthetic world behaves."""

from dataclasses import dataclass, fields

from ml.simulation.themes import THEMES


@dataclass(frozen=True)
class WorldConfig:
    """Sizes, rates and habits of a world. Every field named `*_rate` or `*_share` is a probability.

    theme                 which shop: a key of `ml.simulation.themes.THEMES`
    subjects, days        size of the population, and length of the default history in days
    items_per_category    at most 36, since titles combine six qualities with six options
    intents               how many intents a subject rotates through, one a visit
    visit_interval        median days between the visits of one subject; `visit_spread` is the log's standard deviation
    taste_sharpness       weight of taste in choosing an item; `response_sharpness` in answering a recommendation
    loyalty_rate          a consumable is the subject's usual one and not a fresh choice
    compare_rate          after an item, the next one is of the same category
    distraction_rate      a step leaves the intent for a category at random
    leave_rate            a visit ends early after a step
    complement_rate       after a cart, the next step goes to the complement of the category
    anonymous_share       subjects without a user id, known by a device only
    bad_row_rate          rows that are spoiled, for the cleaning rules to find
    """

    theme: str = "outdoor"
    subjects: int = 2_000
    days: int = 56
    items_per_category: int = 20
    intents: int = 2
    visit_interval: float = 22.0
    visit_spread: float = 0.6
    taste_sharpness: float = 4.0
    response_sharpness: float = 1.5
    loyalty_rate: float = 0.7
    compare_rate: float = 0.3
    distraction_rate: float = 0.08
    leave_rate: float = 0.04
    complement_rate: float = 0.5
    click_rate: float = 0.08
    cart_rate: float = 0.08
    checkout_rate: float = 0.65
    search_rate: float = 0.25
    ask_rate: float = 0.01
    review_rate: float = 0.15
    anonymous_share: float = 0.2
    hidden_share: float = 0.02
    unavailable_share: float = 0.04
    bots: int = 3
    bad_row_rate: float = 0.01

    def __post_init__(self) -> None:
        if self.theme not in THEMES:
            raise ValueError(f"theme {self.theme!r} is not one of {sorted(THEMES)}")
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith(("_rate", "_share")) and not 0.0 <= value <= 1.0:
                raise ValueError(f"{field.name} is {value}; it must lie in 0..1")
        if self.subjects < 1 or self.days < 1 or not 2 <= self.items_per_category <= 36:
            raise ValueError("a world needs subjects >= 1, days >= 1 and items_per_category in 2..36")
        if not 1 <= self.intents <= len(THEMES[self.theme].routines):
            raise ValueError(f"intents must lie in 1..{len(THEMES[self.theme].routines)}")

    @classmethod
    def outdoor(cls) -> "WorldConfig":
        """Rare visits about dear goods: much comparing, taste decides, few purchases."""
        return cls()

    @classmethod
    def grocery(cls) -> "WorldConfig":
        """Visits every few days for cheap goods: the usual items again, and most visits end at the till."""
        return cls(
            theme="grocery",
            days=28,
            visit_interval=11.0,
            visit_spread=0.5,
            taste_sharpness=3.0,
            loyalty_rate=0.6,
            compare_rate=0.12,
            click_rate=0.04,
            cart_rate=0.2,
            checkout_rate=0.8,
            search_rate=0.15,
            review_rate=0.03,
            ask_rate=0.004,
            anonymous_share=0.1,
        )
