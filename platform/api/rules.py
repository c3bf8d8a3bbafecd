"""What the endpoints of all applications' rules share."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from rest_framework.exceptions import NotFound

from api.errors import Conflict
from decisions.rule_editing import RuleChanged, RuleEditor, RuleRemoved


@contextmanager
def rule_refusals(editor: RuleEditor, rule_id: UUID) -> Iterator[None]:
    """404 for a rule or version that is not there, 409 for a rule that was removed, or changed since it was seen."""
    try:
        yield
    except editor.rules.DoesNotExist:
        raise NotFound(f"there is no rule {rule_id}") from None
    except editor.changes.DoesNotExist:
        raise NotFound(f"the rule {rule_id} has no such version; GET its changes") from None
    except (RuleRemoved, RuleChanged) as error:
        raise Conflict(str(error)) from error
