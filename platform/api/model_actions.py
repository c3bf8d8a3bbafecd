"""What the endpoints of models and training share: who acts, and how the serving room's refusals are told."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from rest_framework.request import Request

from api.errors import Conflict, Unprocessable
from serving.services import PromotionRefused, StateConflict, TooLittleData
from tenancy.selectors import Caller


def actor_of(request: Request) -> str:
    """The caller as the history of runs and deployments names it."""
    return f"API key {cast(Caller, request.auth).key_id}"


def person_of(request: Request) -> str:
    """Who is behind the caller: the member who made the key, or the key itself where that is not known."""
    return cast(Caller, request.auth).created_by or actor_of(request)


@contextmanager
def serving_refusals() -> Iterator[None]:
    """409 where things stand otherwise than the call supposes, 422 where it is understood and the answer is no."""
    try:
        yield
    except StateConflict as error:
        raise Conflict("; ".join(error.messages)) from error
    except TooLittleData as error:
        raise Unprocessable("; ".join(error.messages)) from error
    except PromotionRefused as error:
        raise Unprocessable(str(error)) from error
