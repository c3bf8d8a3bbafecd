"""What the public files know of their items: attributes and texts."""

import csv
import html
import re
from collections.abc import Iterable, Sequence

from ml.data.item_features import ItemFeatures

# Beauty lists an item's brand, where it has one, before its categories, and these are the highest categories.
BEAUTY_DEPARTMENTS = {"Skin Care", "Hair Care", "Makeup", "Tools & Accessories", "Bath & Body", "Fragrance"}
TITLE_AND_YEAR = re.compile(r"(.*) \((\d{4})\)$")


def beauty_items(lines: Iterable[str], items: Sequence[str]) -> ItemFeatures:
    """Brand and categories; there are no titles, so that the text is made of them too."""
    known: dict[str, list[str]] = {}
    for row in csv.DictReader(lines):
        known[row["item_id"]] = [html.unescape(value) for value in row["attributes"].split("|") if value]
    values = [known.get(item, []) for item in items]
    branded = [bool(row) and row[0] not in BEAUTY_DEPARTMENTS for row in values]
    return ItemFeatures.build(
        items=len(items),
        attributes={
            "brand": [row[0] if with_brand else None for row, with_brand in zip(values, branded, strict=True)],
            "category": [row[with_brand:] for row, with_brand in zip(values, branded, strict=True)],
        },
        texts=[" ".join(row) for row in values],
    )


def ml_1m_items(ratings: Iterable[str], films: Iterable[str], items: Sequence[str]) -> ItemFeatures:
    """Genres and year as attributes, the title as text. Films have original ids, and the ratings say which code of the
    log each of these has become.

    Raises ValueError where the ratings are not of the same items.
    """
    original: dict[str, str] = {}
    for row in csv.DictReader(ratings):
        if original.setdefault(row["sas_item"], row["orig_item"]) != row["orig_item"]:
            raise ValueError(f"sequences.csv.gz gives item {row['sas_item']} two original ids; it is another version")
    if set(original) != set(items):
        raise ValueError("sequences.csv.gz and ml-1m.txt.gz do not name the same items; they are of other versions")
    film = {number: (title, genres) for number, title, genres in (line.rstrip("\n").split("\t") for line in films)}
    rows = [film.get(original[item], ("", "")) for item in items]
    year = [TITLE_AND_YEAR.match(title) for title, _ in rows]
    return ItemFeatures.build(
        items=len(items),
        attributes={
            "genre": [genres.split("|") if genres else [] for _, genres in rows],
            "year": [found[2] if found else None for found in year],
        },
        texts=[title for title, _ in rows],
    )
