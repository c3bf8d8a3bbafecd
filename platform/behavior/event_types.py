"""Event types with a meaning of their own. A client may send any other type; it is stored and modelled like these."""

PURCHASES = frozenset({"purchase", "buy", "order"})
VIEWS = frozenset({"view", "click"})
# The subject does not want the item, and takes that back.
NEGATIVE = frozenset({"hide", "dislike", "not_interested"})
UNDO_NEGATIVE = frozenset({"unhide", "undislike"})
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
