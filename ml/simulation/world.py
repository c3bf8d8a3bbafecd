"""A shop, its subjects and their behaviour, deterministic by seed."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ml.simulation.catalogue import DAY
from ml.simulation.config import WorldConfig
from ml.simulation.flaws import bot_events, spoil
from ml.simulation.responses import draw_response, response_probabilities
from ml.simulation.rows import tabulate, write_events
from ml.simulation.shop import build_shop
from ml.simulation.truth import next_item_probabilities
from ml.simulation.visits import draw_visits, walk


class World:
    """A synthetic shop. The same configuration and seed make the same shop, whatever is asked of it and in what order.

    Histories (`events`) and live reactions (`respond`) agree: a subject's taste and habits never change, and the
    intent is a function of subject and time.
    """

    def __init__(self, config: WorldConfig, seed: int) -> None:
        self.config = config
        self.seed = seed
        self._shop = build_shop(config, seed)

    @property
    def subject_ids(self) -> list[str]:
        """Raw ids: `u-...` are user ids and `a-...` anonymous ids."""
        return list(self._shop.population.ids)

    @property
    def item_ids(self) -> list[str]:
        return list(self._shop.catalogue.ids)

    def catalogue(self) -> list[dict[str, Any]]:
        """The items in the shape of the REST item; `categories` goes from the department to the leaf."""
        rows = self._shop.catalogue.rows
        return [row | {"categories": list(row["categories"]), "attributes": dict(row["attributes"])} for row in rows]

    def events(
        self, subjects: int | None = None, days: int | None = None, end: datetime | None = None
    ) -> Iterator[dict[str, Any]]:
        """History in the shape of the REST event, in order of time except for rows with a bad clock.

        subjects: the first so many (default all); days: length (default config.days); end: an aware datetime after
        every event (default now), spoiled clocks aside. Windows that do not overlap hold different events. Raises
        ValueError.
        """
        subjects = self.config.subjects if subjects is None else subjects
        days = self.config.days if days is None else days
        if not 1 <= subjects <= self.config.subjects:
            raise ValueError(f"subjects is {subjects}; this world has 1 to {self.config.subjects}")
        if days < 1:
            raise ValueError(f"days is {days}; it must be at least 1")
        finish = _unix_seconds(end or datetime.now(UTC), "end")
        return self._history(subjects, start=finish - DAY * days, end=finish)

    def respond(
        self,
        subject_id: str,
        item_ids: Sequence[str],
        at: datetime,
        *,
        decision_id: str | None = None,
        session_id: str | None = None,
    ) -> list[dict[str, Any]]:
        """How the subject reacts to the list shown at `at`: impressions, and perhaps clicks, carts and purchases.

        The same call gives the same answer. With the same decision_id, two lists meet the same luck rank by rank,
        which makes comparisons of policies less noisy. Raises ValueError for unknown ids and a naive `at`.
        """
        time = _unix_seconds(at, "at")
        subject, items = self._subject(subject_id), self._items(item_ids)
        key = f"{self.seed}\n{subject_id}\n{time}\n{decision_id}"
        return draw_response(
            self._shop,
            subject=subject,
            items=items,
            clicks=self.expected_reward(subject_id, item_ids, at, outcome="click"),
            purchases=self.expected_reward(subject_id, item_ids, at, outcome="purchase"),
            time=time,
            decision_id=decision_id,
            session_id=session_id,
            generator=np.random.default_rng(int.from_bytes(sha256(key.encode()).digest()[:16])),
        )

    def expected_reward(
        self,
        subject_id: str,
        item_ids: Sequence[str],
        at: datetime,
        *,
        outcome: Literal["click", "purchase"] = "click",
    ) -> NDArray[np.float64]:
        """True probability, per item of the list in this order, that `respond` clicks or purchases it; in [0, 1]."""
        return response_probabilities(
            self._shop,
            subject=self._subject(subject_id),
            items=self._items(item_ids),
            time=_unix_seconds(at, "at"),
            outcome=outcome,
        )

    def next_item_probabilities(
        self, subject_id: str, at: datetime, *, last_item_id: str | None = None
    ) -> NDArray[np.float64]:
        """True distribution over `item_ids` of the next item looked at; without `last_item_id`, of a visit's first."""
        return next_item_probabilities(
            self._shop,
            subject=self._subject(subject_id),
            time=_unix_seconds(at, "at"),
            last_item=None if last_item_id is None else int(self._items([last_item_id])[0]),
        )

    def _history(self, subjects: int, *, start: float, end: float) -> Iterator[dict[str, Any]]:
        generator = np.random.default_rng([self.seed, 3, subjects, int(start * 1000), int(end * 1000)])
        shop = self._shop
        visits = draw_visits(shop.population, subjects=subjects, start=start, end=end, generator=generator)
        if not len(visits.subject):
            return
        steps = walk(shop, visits, generator)
        table = tabulate(shop, visits, steps, generator)
        table = table.take((table.time >= start) & (table.time < end))
        events = list(write_events(shop, visits, table, generator))
        events += bot_events(shop.catalogue, bots=self.config.bots, start=start, end=end, generator=generator)
        events.sort(key=lambda event: event["created_at"])
        yield from spoil(events, rate=self.config.bad_row_rate, generator=generator)

    def _subject(self, subject_id: str) -> int:
        if subject_id not in self._shop.population.index:
            raise ValueError(f"this world has no subject {subject_id!r}; see subject_ids")
        return self._shop.population.index[subject_id]

    def _items(self, item_ids: Sequence[str]) -> NDArray[np.int64]:
        unknown = [item_id for item_id in item_ids if item_id not in self._shop.catalogue.index]
        if unknown:
            raise ValueError(f"this world has no items {unknown}; see item_ids")
        return np.array([self._shop.catalogue.index[item_id] for item_id in item_ids], dtype=np.int64)


def _unix_seconds(moment: datetime, name: str) -> float:
    if moment.tzinfo is None:
        raise ValueError(f"{name} has no time zone; pass an aware datetime, such as datetime.now(UTC)")
    return moment.timestamp()
