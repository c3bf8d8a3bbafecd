"""Why a search shows an item, in words that a person can read."""

from collections.abc import Mapping, Sequence
from typing import Any

from apps.recommendation.lists.reasons import explain
from apps.recommendation.searches.ranking import RankedMatch
from apps.recommendation.selectors import titles
from catalog.text_query import Term, TextQuery
from catalog.text_search import matched_terms

# An event that has less than this share in an item's score explains little.
LEAST_SHARE = 0.1


def explain_matches(ranked: Sequence[RankedMatch], query: TextQuery) -> list[list[dict[str, Any]]]:
    """The reasons of each match; a query for the words, and one for the titles of the items behind."""
    found = matched_terms(query, [each.match.item_id for each in ranked if each.match.has_words])
    named = titles({each.cause.item_id for each in ranked if each.cause and each.cause.item_id})
    return [_reasons(each, query, found.get(each.match.item_id, []), named) for each in ranked]


def _reasons(
    each: RankedMatch, query: TextQuery, places: Sequence[int], named: Mapping[str, str]
) -> list[dict[str, Any]]:
    reasons: list[dict[str, Any]] = []
    if places:
        terms = [query.terms[place] for place in places]
        reasons.append(
            {
                "code": "matches",
                "text": "matches " + ", ".join(map(_in_words, terms)),
                "weight": round(len(terms) / len(query.terms), 6),
                "words": [term.text for term in terms],
            }
        )
    if each.match.similarity is not None:
        weight = round(min(1.0, each.match.similarity), 6)
        reasons.append({"code": "meaning", "text": "close in meaning to the search", "weight": weight})
    if each.cause and each.cause.weight >= LEAST_SHARE:
        reasons.append(explain(each.cause, named, each.match.item_id))
    return reasons


def _in_words(term: Term) -> str:
    if not term.corrections:
        return f"“{term.text}”"
    return f"“{'” or “'.join(term.corrections)}” (for “{term.text}”)"
