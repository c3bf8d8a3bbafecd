"""Session neighbours (V-STAN): what was chosen in the past sessions that look most like this one. numpy only."""

from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.evaluation.rules import Codes, Floats

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class NeighborSettings:
    """How neighbours are found and what they say. Each decay is the distance after which a weight is divided by e;
    infinity switches it off.

    The defaults were the best on held-out sessions of a web shop (RetailRocket).
    """

    sessions_per_item: int = 2500  # newest sessions that an item leads to (m of VMIS-kNN)
    sample: int = 2500  # newest of these sessions that are compared
    neighbors: int = 1500  # most similar of these that speak (k)
    window: int = 20  # newest different items of the prefix that are looked up
    prefix_decay: float = 1.0  # events before the end of the prefix (lambda_spw)
    session_decay: float = np.inf  # time units before the newest session (lambda_snh)
    distance_decay: float = 0.5  # events between an item and the match in the neighbour (lambda_inh)
    rarity: float = 1.0  # exponent of the inverse document frequency of a matching item; 0 switches it off
    before: float = 1.0  # what an item before the match counts, as a share of one after it
    session_gap: float = np.inf  # time units without an event that end a session

    @classmethod
    def from_dict(cls, settings: dict[str, float]) -> "NeighborSettings":
        """Raises ValueError that names each unknown or unusable setting."""
        if not isinstance(settings, dict):
            raise ValueError("neighbors must be an object of settings, or null")
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(settings) - set(known)):
            raise ValueError(
                f"neighbors has unknown settings {', '.join(unknown)}; known are {', '.join(sorted(known))}"
            )
        for name, value in settings.items():
            whole = name in LIMITS
            if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
                raise ValueError(f"neighbors.{name} must be a {'whole ' if whole else ''}number")
            if not (value >= 1 if whole else value >= 0 if name in ("rarity", "before") else value > 0):
                raise ValueError(f"neighbors.{name} must be {'1 or more' if whole else 'above 0'}")
        return cls(**settings)  # type: ignore[arg-type]


LIMITS = ("sessions_per_item", "sample", "neighbors", "window")


@dataclass(frozen=True)
class SessionNeighbors:
    """V-STAN (Garg et al., 2019, STAN; Ludewig et al., 2021, section 3.1) on the index of VMIS-kNN (Kersbergen et al.,
    2022): every item leads to its newest sessions, so that a query reads a bounded number of entries.

    For a prefix s and a past session n, with p the newest item of s that n holds,

        similarity(s, n) = sum over items i of both [exp(-age of i in s / prefix_decay) idf(i)^rarity]
                           / sqrt(items of n) * exp(-(newest time - time of n) / session_decay)
        score(j) = sum over the neighbours n with j [similarity(s, n)
                   * exp(-|place of j - place of p in n| / distance_decay) * (before if j is before p)]

    An item's place in a past session is that of its last event there. Items of the prefix are scored like all others.
    Sessions are numbered by time of their last event, oldest first. `entry` fields list the different items of each
    session (session k: session_offsets[k] to session_offsets[k + 1]), `posting` fields the sessions of each item,
    newest first (item code i: item_offsets[i] to item_offsets[i + 1]).
    """

    settings: NeighborSettings
    session_offsets: Indices  # (sessions + 1,)
    entry_item: NDArray[np.int32]  # item codes
    entry_place: NDArray[np.int32]
    age: Floats  # (sessions,) time before the newest session
    item_offsets: Indices  # (items + 2,), code 0 has no postings
    posting_session: NDArray[np.int32]
    posting_place: NDArray[np.int32]
    idf: Floats  # (items + 1,) log(sessions / sessions with the item)

    @property
    def items(self) -> int:
        return len(self.idf) - 1

    @property
    def nbytes(self) -> int:
        return sum(array.nbytes for array in self._arrays().values())

    @classmethod
    def fit(
        cls,
        item: NDArray,
        session: NDArray,
        time: NDArray,
        *,
        items: int,
        settings: NeighborSettings | None = None,
    ) -> "SessionNeighbors":
        """Index events given in (session, time) order; events without an item (code 0) are passed over.

        item (events,) codes in 0..items, session (events,) any integers, time (events,) in any unit. Raises ValueError
        where a code is outside 0..items.
        """
        settings = settings or NeighborSettings()
        if len(item) and (item.min() < 0 or item.max() > items):
            raise ValueError(f"item codes must lie in 0..{items}")
        with_item = item > 0
        code, owner, when = item[with_item].astype(np.int64), session[with_item], time[with_item].astype(np.float64)
        last_time, number = _number_by_last_time(_cut(owner, when, settings.session_gap), when)
        sessions = len(last_time)

        in_session = np.argsort(number, kind="stable")
        code, number = code[in_session], number[in_session]
        place = np.arange(len(code)) - np.searchsorted(number, number)
        # np.unique names the first of equal keys, so the reversed order finds the last event of an item in a session.
        _, from_end = np.unique((number * (items + 1) + code)[::-1], return_index=True)
        last = len(code) - 1 - from_end
        code, number, place = code[last], number[last], place[last]

        sessions_with_item = np.bincount(code, minlength=items + 1)
        newest_first = np.lexsort((-number, code))
        rank = np.arange(len(code)) - np.searchsorted(code[newest_first], code[newest_first])
        posting = newest_first[rank < settings.sessions_per_item]
        postings = np.minimum(sessions_with_item, settings.sessions_per_item)
        return cls(
            settings=settings,
            session_offsets=_offsets(np.bincount(number, minlength=sessions)),
            entry_item=code.astype(np.int32),
            entry_place=place.astype(np.int32),
            age=(last_time[-1:].repeat(sessions) - last_time).astype(np.float32),
            item_offsets=_offsets(postings),
            posting_session=number[posting].astype(np.int32),
            posting_place=place[posting].astype(np.int32),
            idf=np.log(max(sessions, 1) / np.maximum(sessions_with_item, 1)).astype(np.float32),
        )

    def sparse(self, prefix: Codes) -> tuple[Codes, Floats]:
        """Item codes that a neighbour holds and their scores, summing to 1; (found,) each, empty without a neighbour.

        prefix (events,) holds the codes of one session, oldest first; codes of 0 are passed over.
        """
        item, _, asked = self._asked(prefix[prefix > 0][::-1])
        entry, _, weight = self._spoken(*self._neighbors(item, asked))
        score = np.bincount(self.entry_item[entry], weights=weight)
        found = np.flatnonzero(score)
        return found, (score[found] / max(score.sum(), np.finfo(np.float64).tiny)).astype(np.float32)

    def top(self, prefix: Codes, count: int) -> tuple[Codes, Floats]:
        """The `count` best item codes after one prefix (events,), oldest first, and their scores, best first. There
        are fewer where the neighbours hold fewer; the lower code comes first among equals."""
        found, score = self.sparse(prefix)
        best = np.argsort(-score, kind="stable")[:count]
        return found[best], score[best]

    def scores(self, recent: Codes) -> Floats:
        """Scores of all items after each case's `recent` items (cases, window), newest first, padded with 0; a row
        sums to 1, or to 0 where no neighbour is found. Column j belongs to item code j + 1: (cases, items)."""
        dense = np.zeros((len(recent), self.items), dtype=np.float32)
        self.add_scores(recent, dense)
        return dense

    def add_scores(self, recent: Codes, dense: Floats) -> None:
        """Add `scores` to `dense` (cases, items)."""
        for case, newest_first in enumerate(recent):
            found, score = self.sparse(newest_first[::-1])
            dense[case, found - 1] += score

    def save(self, path: Path) -> None:
        """Write one safetensors file."""
        from safetensors.numpy import save_file

        save_file(self._arrays() | {"settings": np.array(astuple(self.settings), dtype=np.float64)}, path)

    @classmethod
    def load(cls, path: Path) -> "SessionNeighbors":
        """Read what `save` wrote; it answers as the original does."""
        from safetensors.numpy import load_file

        arrays = load_file(path)
        limits, decays = np.split(arrays.pop("settings"), [len(LIMITS)])
        settings = NeighborSettings(*(int(limit) for limit in limits), *(float(decay) for decay in decays))
        return cls(settings=settings, **arrays)

    def with_items(self, count: int) -> "SessionNeighbors":
        """The same sessions with `count` more items that none of them holds."""
        offsets = np.pad(self.item_offsets, (0, count), mode="edge")
        rarest = np.float32(np.log(max(len(self.age), 1)))
        return replace(self, item_offsets=offsets, idf=np.pad(self.idf, (0, count), constant_values=rarest))

    def contributions(self, recent: Codes, codes: Codes) -> Floats:
        """What each event adds to the scores of the items `codes` (K,), exactly: (events, K).

        recent (events,) holds the newest items, newest first. A neighbour speaks because of all the items that it
        shares, so that its say is split among them by what each adds to its similarity; an item that occurs again
        counts where it is newest.
        """
        held = np.flatnonzero(recent)
        item, age, weight = self._asked(recent[held])
        session, similarity, match_place = self._neighbors(item, weight)
        entry, owner, spoken = self._spoken(session, similarity, match_place)
        parts = np.zeros((len(recent), len(codes)), dtype=np.float32)
        if not spoken.any():
            return parts
        column = np.full(self.items + 1, -1, dtype=np.int64)
        column[codes] = np.arange(len(codes))
        wanted = column[self.entry_item[entry]]
        asked = np.flatnonzero(wanted >= 0)
        said = np.zeros((len(session), len(codes)))
        np.add.at(said, (owner[asked], wanted[asked]), spoken[asked] / spoken.sum())
        postings = (self.posting_session[self.item_offsets[code] : self.item_offsets[code + 1]] for code in item)
        shared = weight[:, None] * np.stack([np.isin(session, posting) for posting in postings])
        parts[held[age]] = (shared / np.maximum(shared.sum(axis=0), np.finfo(np.float64).tiny)) @ said
        return parts

    def _asked(self, newest_first: Codes) -> tuple[Codes, Indices, NDArray[np.float64]]:
        """The different items that are looked up, newest first, the age of each in events, and what a match counts."""
        item, age = np.unique(newest_first, return_index=True)
        newest = np.argsort(age)[: self.settings.window]
        item, age = item[newest], age[newest]
        rarity = self.idf[item].astype(np.float64) ** self.settings.rarity
        return item, age, np.exp(-age / self.settings.prefix_decay) * rarity

    def _neighbors(self, item: Codes, weight: NDArray[np.float64]) -> tuple[Indices, NDArray[np.float64], Indices]:
        """Session numbers of the neighbours, their similarity, and the place of the newest match in each."""
        settings = self.settings
        posting, looked_up = _ranges(self.item_offsets[item], self.item_offsets[item + 1])
        # Postings come in order of the prefix, newest item first, so the first one of a session is the newest match.
        session, match, inverse = np.unique(self.posting_session[posting], return_index=True, return_inverse=True)
        similarity = np.bincount(inverse, weights=weight[looked_up], minlength=len(session))
        newest_sessions = slice(max(0, len(session) - settings.sample), None)
        session, match, similarity = session[newest_sessions], match[newest_sessions], similarity[newest_sessions]

        size = self.session_offsets[session + 1] - self.session_offsets[session]
        similarity = similarity / np.sqrt(size) * np.exp(-self.age[session] / settings.session_decay)
        if len(session) > settings.neighbors:
            kept = np.sort(np.argpartition(-similarity, settings.neighbors - 1)[: settings.neighbors])
            session, match, similarity = session[kept], match[kept], similarity[kept]
        return session.astype(np.int64), similarity, self.posting_place[posting[match]].astype(np.int64)

    def _spoken(
        self, session: Indices, similarity: NDArray[np.float64], match_place: Indices
    ) -> tuple[Indices, Indices, NDArray[np.float64]]:
        """The entries of the neighbours, the neighbour of each, and the weight that it gives to its item."""
        entry, owner = _ranges(self.session_offsets[session], self.session_offsets[session + 1])
        distance = self.entry_place[entry] - match_place[owner]
        nearness = np.exp(-np.abs(distance) / self.settings.distance_decay)
        nearness = np.where(distance < 0, self.settings.before * nearness, nearness)
        return entry, owner, similarity[owner] * nearness

    def _arrays(self) -> dict[str, NDArray]:
        return {name: value for name, value in vars(self).items() if name != "settings"}


def _cut(owner: NDArray, time: NDArray[np.float64], gap: float) -> Indices:
    """A session number for each event: a new one for each owner, and after each gap."""
    begins = np.ones(len(owner), dtype=bool)
    begins[1:] = (owner[1:] != owner[:-1]) | (np.diff(time) > gap)
    return np.cumsum(begins)


def _number_by_last_time(owner: NDArray, time: NDArray[np.float64]) -> tuple[NDArray[np.float64], Indices]:
    """Times of the last events of the sessions in ascending order, and each event's session number in that order."""
    _, inverse = np.unique(owner, return_inverse=True)
    last_time = np.full(inverse.max(initial=-1) + 1, -np.inf)
    np.maximum.at(last_time, inverse, time)
    order = np.argsort(last_time, kind="stable")
    number = np.empty(len(order), dtype=np.int64)
    number[order] = np.arange(len(order))
    return last_time[order], number[inverse]


def _offsets(counts: Indices) -> Indices:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _ranges(begin: Indices, end: Indices) -> tuple[Indices, Indices]:
    """All indices from begin[r] to end[r] - 1 of each range r, one after the other, and the r of each."""
    length = end - begin
    owner = np.repeat(np.arange(len(begin)), length)
    return np.arange(len(owner)) + (begin - np.concatenate([[0], np.cumsum(length)])[:-1])[owner], owner
