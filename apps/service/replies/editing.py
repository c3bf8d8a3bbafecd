"""How much of a draft an agent changed."""

import numpy as np


def edit_distance(before: str, after: str) -> float:
    """Levenshtein distance by characters over the longer text's length: 0 for the same text, 1 for another one."""
    longest = max(len(before), len(after))
    return levenshtein(before, after) / longest if longest else 0.0


def levenshtein(before: str, after: str) -> int:
    """The fewest characters to insert, delete or replace (Wagner and Fischer 1974, a row at a time).

    Within a row the insertions are a running minimum: row[j] = j + min over i <= j of (row[i] - i).
    """
    start = 0
    while start < min(len(before), len(after)) and before[start] == after[start]:
        start += 1
    before, after = before[start:], after[start:]
    if not before or not after:
        return max(len(before), len(after))
    codes = np.array([ord(each) for each in after])
    places = np.arange(len(after) + 1)
    row = places.copy()
    for number, character in enumerate(before, start=1):
        changed = np.minimum(row[1:] + 1, row[:-1] + (codes != ord(character)))
        row = np.minimum.accumulate(np.concatenate(([number], changed)) - places) + places
    return int(row[-1])
