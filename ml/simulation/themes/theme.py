"""The words of a shop: its categories, what goes with what, and the routines that shoppers follow."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Category:
    """A leaf of the category tree. Prices are in the theme's currency; `option` names the attribute in the title."""

    name: str
    department: str
    noun: str
    lowest_price: float
    highest_price: float
    option: str
    material: str
    consumable: bool = False


@dataclass(frozen=True)
class Theme:
    """`routines` names the categories of each intent in the order a shopper walks through them; `complements` maps
    a category to the one bought together with it; `options` lists the values of each option."""

    name: str
    currency: str
    brands: tuple[str, ...]
    qualities: tuple[str, ...]
    options: dict[str, tuple[str, ...]]
    categories: tuple[Category, ...]
    complements: dict[str, str]
    routines: dict[str, tuple[str, ...]]

    def __post_init__(self) -> None:
        names = {category.name for category in self.categories}
        used = {name for routine in self.routines.values() for name in routine}
        used |= self.complements.keys() | set(self.complements.values())
        if unknown := used - names:
            raise ValueError(f"theme {self.name}: no such categories: {sorted(unknown)}")
