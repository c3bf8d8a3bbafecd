"""Lists of words, one file each, words between white space."""

from pathlib import Path


def read_words(name: str) -> frozenset[str]:
    return frozenset((Path(__file__).parent / f"{name}.txt").read_text(encoding="utf-8").split())
