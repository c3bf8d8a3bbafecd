"""Event types with a meaning of their own. A client may send any other type; it is stored and modelled like these."""

PURCHASES = frozenset({"purchase", "buy", "order"})
# An event of these types says nothing without its item.
NEEDS_ITEM = PURCHASES | {
    "view",
    "click",
    "cart",
    "add_to_cart",
    "remove_from_cart",
    "wishlist",
    "rating",
    "impression",
}
