"""What a recommendation scenario is: its kind, and the scenarios that a tenant starts with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import TextChoices

from apps.recommendation.lists.settings import CHECKS, ScenarioSettings

APPLICATION = "recommendation"
MODEL = "next-item"
RANKING_MODEL = "search-ranking"


class Kind(TextChoices):
    """How the list of a scenario comes about."""

    PERSONALISED = "personalised", "Personalised: what this subject is likely to want next"
    SIMILAR = "similar", "Similar: what goes with the items given, or with the one viewed last"
    ALSO_BOUGHT = "also_bought", "Also bought: what those who bought the items given bought besides"
    BOUGHT_TOGETHER = "bought_together", "Bought together: what is bought at once with the items given"
    NEXT_IN_SESSION = "next_in_session", "Next in session: what follows from this visit alone"
    CATEGORY = "category", "Category: the items of one category in the subject's own order"
    POPULAR = "popular", "Popular: what most subjects want"
    TRENDING = "trending", "Trending: what is wanted more than it used to be"
    RECENTLY_VIEWED = "recently_viewed", "Recently viewed: what the subject looked at, newest first"
    BUY_AGAIN = "buy_again", "Buy again: what the subject bought and is likely to need again by now"
    RANKING = "ranking", "Ranking: the client's own candidates, such as those of its search, in a better order"
    SEARCH = "search", "Search: what matches a query, ranked for this subject"


# Lists that start from given items, which they never show.
SEEDED = frozenset({Kind.SIMILAR, Kind.ALSO_BOUGHT, Kind.BOUGHT_TOGETHER})
# A list of the subject's own items shows what was bought, and nothing that is not the subject's.
OWN_ITEMS = {"exclude_bought_days": 0, "fill": False}
KIND_SETTINGS: Mapping[str, Mapping[str, Any]] = {Kind.RECENTLY_VIEWED: OWN_ITEMS, Kind.BUY_AGAIN: OWN_ITEMS}

# Settings that say something to some kinds alone; all others count for every list.
OF_SEARCHES = frozenset({"personalisation", "meaning"})
OF_ONE_KIND: Mapping[str, frozenset[str]] = {
    Kind.TRENDING: frozenset({"trend_days"}),
    Kind.RECENTLY_VIEWED: frozenset({"viewed_types"}),
}
# Where a query asks, what was bought or seen is found all the same, and the order is the query's.
ASKED_BY_QUERY = frozenset({"event_weights", "popular_days", "temperature", "filter", "negative_types", "undo_types"})
OF_QUERIES: Mapping[str, frozenset[str]] = {
    Kind.RANKING: ASKED_BY_QUERY | {"require_known_items"},
    Kind.SEARCH: ASKED_BY_QUERY | OF_SEARCHES,
}


def settings_that_count(kind: str) -> frozenset[str]:
    """Names of the settings that make a difference to scenarios of a kind; the others may be set, and do nothing."""
    if kind in OF_QUERIES:
        return OF_QUERIES[kind]
    of_others = OF_SEARCHES.union(*(names for one, names in OF_ONE_KIND.items() if one != kind))
    return frozenset(CHECKS) - of_others


def scenario_settings(kind: str, *changes: Mapping[str, Any]) -> ScenarioSettings:
    """The settings of a kind with each of `changes` made in turn; raises ValidationError that names what is wrong."""
    settings = ScenarioSettings().changed(KIND_SETTINGS.get(kind, {}))
    for each in changes:
        settings = settings.changed(each)
    return settings


@dataclass(frozen=True)
class DefaultScenario:
    key: str
    name: str
    kind: Kind
    model: str = ""


DEFAULT_SCENARIOS = (
    DefaultScenario("home", "Home page", Kind.PERSONALISED, MODEL),
    DefaultScenario("product", "Product page", Kind.SIMILAR, MODEL),
    DefaultScenario("also-bought", "Product page: also bought", Kind.ALSO_BOUGHT, MODEL),
    DefaultScenario("cart", "Cart: bought together", Kind.BOUGHT_TOGETHER, MODEL),
    DefaultScenario("session", "Next in session", Kind.NEXT_IN_SESSION, MODEL),
    DefaultScenario("category", "Category page", Kind.CATEGORY, MODEL),
    DefaultScenario("popular", "Popular", Kind.POPULAR),
    DefaultScenario("trending", "Trending", Kind.TRENDING),
    DefaultScenario("recently-viewed", "Recently viewed", Kind.RECENTLY_VIEWED),
    DefaultScenario("buy-again", "Buy again", Kind.BUY_AGAIN),
    DefaultScenario("email", "E-mail batch", Kind.PERSONALISED, MODEL),
    DefaultScenario("search-rerank", "Re-ranked search", Kind.RANKING, RANKING_MODEL),
    DefaultScenario("search", "Search", Kind.SEARCH, MODEL),
)
