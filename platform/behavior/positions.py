"""How far each reader of the log has come: one row a reader, locked while it reads."""

from datetime import datetime

from behavior.clock import EPOCH
from behavior.models import LogPosition


def take(reader: str, *, start: datetime = EPOCH, wait: bool = False) -> LogPosition | None:
    """The reader's position, locked until the transaction ends; a new reader begins at `start`.

    None where somebody else reads: a repetition that waited would keep its worker from other tenants. With `wait` it
    waits its turn.
    """
    LogPosition.objects.get_or_create(reader=reader, defaults={"position": start})
    return LogPosition.objects.select_for_update(skip_locked=not wait).filter(reader=reader).first()


def move(place: LogPosition, position: datetime) -> None:
    place.position = position
    place.save(update_fields=["position"])
