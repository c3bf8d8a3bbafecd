"""Facts of many transactions as columns, for rules that are tried on history."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from apps.risk.rules.language.single import look_up, read_fact
from apps.risk.rules.language.syntax import Fact, Type
from apps.risk.rules.language.vectorised import Booleans, Numbers, Texts


@dataclass(frozen=True)
class FactColumns:
    """`numbers` and `texts` by field, each (size,); `properties` one object for each transaction. A field that is in
    neither is missing throughout. `membership(list, field)` gives who is in a list, (size,)."""

    size: int
    numbers: Mapping[str, Numbers]
    texts: Mapping[str, Texts]
    properties: Sequence[Mapping[str, Any] | None]
    membership: Callable[[str, str], Booleans]

    def __len__(self) -> int:
        return self.size

    def column(self, name: str, kind: Type) -> Numbers | Texts:
        if name.startswith("properties."):
            raws = [look_up({"properties": each}, name) for each in self.properties]
            return numbers_of(raws, kind) if kind in (Type.NUMBER, Type.BOOLEAN) else texts_of(raws, kind)
        if kind in (Type.NUMBER, Type.BOOLEAN):
            return self.numbers.get(name, np.full(self.size, np.nan))
        return self.texts.get(name, Texts(np.full(self.size, -1), []))

    def in_list(self, list_name: str, field: str) -> Booleans:
        return self.membership(list_name, field)


def numbers_of(raws: Iterable[Fact], kind: Type = Type.NUMBER) -> Numbers:
    values = (read_fact(raw, kind) for raw in raws)
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def texts_of(raws: Iterable[Fact], kind: Type = Type.TEXT) -> Texts:
    codes: dict[str, int] = {}
    values = (read_fact(raw, kind) for raw in raws)
    numbered = [-1 if value is None else codes.setdefault(str(value), len(codes)) for value in values]
    return Texts(np.array(numbered, dtype=np.int64), list(codes))
