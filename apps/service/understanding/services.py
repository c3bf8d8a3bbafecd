"""Writes of intents, examples and settings."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Q

from apps.service.understanding.entities.orders import PatternError, read_pattern
from apps.service.understanding.examples import OUT_OF_SCOPE, NewExample
from apps.service.understanding.models import Intent, IntentExample, UnderstandingSettings
from behavior.parsing import Invalid, check_storable

MOST_INTENTS = 1_000
MOST_EXAMPLES = 50_000
MOST_EXAMPLES_AT_ONCE = 10_000
MOST_PATTERNS = 20


@dataclass
class Added:
    """By number of the example that was given: what became of it. `refused` has a message that says why and what
    helps; `created` are the intents that were made."""

    added: list[int] = field(default_factory=list)
    duplicate: list[int] = field(default_factory=list)
    refused: dict[int, tuple[str, str, str]] = field(default_factory=dict)
    created: list[str] = field(default_factory=list)


@transaction.atomic
def create_intent(*, name: str, actor: str, description: str = "", auto_send: bool = False) -> Intent:
    """Raises ValidationError that names each field at fault."""
    _check_name(name)
    if Intent.objects.filter(name=name).exists():
        raise ValidationError({"name": f"there is an intent '{name}' already; choose another name"})
    if Intent.objects.count() >= MOST_INTENTS:
        raise ValidationError({"name": f"there are {MOST_INTENTS:,} intents already; remove some first"})
    made = Intent(name=name, description=description, auto_send=auto_send, updated_by=actor)
    made.clean_fields()
    made.save()
    return made


@transaction.atomic
def change_intent(
    *, intent_id: UUID, actor: str, description: str | None = None, auto_send: bool | None = None
) -> Intent:
    """What is None stays. Raises Intent.DoesNotExist and ValidationError."""
    found = Intent.objects.select_for_update().get(id=intent_id)
    found.description = found.description if description is None else description
    found.auto_send = found.auto_send if auto_send is None else auto_send
    found.updated_by = actor
    found.clean_fields()
    found.save()
    return found


@transaction.atomic
def remove_intent(*, intent_id: UUID) -> None:
    """Remove the intent with its examples. Raises Intent.DoesNotExist."""
    found = Intent.objects.select_for_update().get(id=intent_id)
    found.examples.all().delete()
    found.delete()


@transaction.atomic
def add_examples(*, examples: Sequence[NewExample], actor: str, create_intents: bool = False) -> Added:
    """Add what is new, each judged on its own; a text has one intent, and the first word about it stays.

    Five statements, however many examples. Raises ValidationError where there would be too many.
    """
    if len(examples) > MOST_EXAMPLES_AT_ONCE:
        raise ValidationError({"examples": f"at most {MOST_EXAMPLES_AT_ONCE:,} at once; send them in several calls"})
    answer = Added()
    intents = _intents_of(examples, actor, answer) if create_intents else _known_intents(examples)
    known: dict[str, str] = {
        key: name or OUT_OF_SCOPE
        for key, name in IntentExample.objects.filter(text_key__in=[each.key for each in examples]).values_list(
            "text_key", "intent__name"
        )
    }
    rows: list[IntentExample] = []
    for number, example in enumerate(examples):
        name, key = example.intent or OUT_OF_SCOPE, example.key
        if example.intent is not None and example.intent not in intents:
            answer.refused[number] = (
                "intent",
                "unknown_intent",
                f"there is no intent '{name}'; make it first, or send the examples with create_intents=true",
            )
        elif known.get(key, name) != name:
            answer.refused[number] = (
                "text",
                "conflict",
                f"is an example of '{known[key]}' already; a text has one intent, so remove it there first",
            )
        elif key in known:
            answer.duplicate.append(number)
        else:
            known[key] = name
            answer.added.append(number)
            intent = None if example.intent is None else intents[example.intent]
            rows.append(IntentExample(intent=intent, text=example.text, text_key=key, added_by=actor))
    if rows and IntentExample.objects.count() + len(rows) > MOST_EXAMPLES:
        raise ValidationError({"examples": f"a tenant has at most {MOST_EXAMPLES:,} examples; remove some first"})
    # Two imports at once may bring the same text: the first one's stays.
    IntentExample.objects.bulk_create(rows, ignore_conflicts=True, batch_size=1_000)
    return answer


@transaction.atomic
def remove_example(*, example_id: UUID) -> str:
    """What it said. Raises IntentExample.DoesNotExist."""
    example = IntentExample.objects.select_for_update().get(id=example_id)
    example.delete()
    return example.text


@transaction.atomic
def set_order_patterns(*, patterns: Sequence[str], actor: str) -> UnderstandingSettings:
    """Raises ValidationError that says which pattern is wrong and how it would be right."""
    if len(patterns) > MOST_PATTERNS:
        raise ValidationError({"order_patterns": f"at most {MOST_PATTERNS} patterns"})
    for number, pattern in enumerate(patterns):
        try:
            read_pattern(pattern)
        except PatternError as error:
            raise ValidationError({"order_patterns": f"[{number}] {error}"}) from error
    stored, _ = UnderstandingSettings.objects.update_or_create(
        defaults={"order_patterns": list(patterns), "updated_by": actor}
    )
    return stored


def _check_name(name: str) -> None:
    try:
        check_storable(name)
    except Invalid as error:
        raise ValidationError({"name": error.message}) from error
    if name != name.strip() or not name or not name.isprintable():
        raise ValidationError({"name": "must be printable, without white space at its ends"})
    if name == OUT_OF_SCOPE:
        raise ValidationError({"name": f"'{OUT_OF_SCOPE}' stands for texts without an intent; choose another name"})


def _named(examples: Sequence[NewExample]) -> Q:
    return Q(name__in={example.intent for example in examples if example.intent is not None})


def _known_intents(examples: Sequence[NewExample]) -> dict[str, Intent]:
    return {intent.name: intent for intent in Intent.objects.filter(_named(examples))}


def _intents_of(examples: Sequence[NewExample], actor: str, answer: Added) -> dict[str, Intent]:
    """The intents that the examples name, made where they are missing and could be."""
    known = _known_intents(examples)
    missing = sorted({example.intent for example in examples if example.intent} - known.keys())
    if missing and Intent.objects.count() + len(missing) > MOST_INTENTS:
        raise ValidationError({"examples": f"a tenant has at most {MOST_INTENTS:,} intents; remove some first"})
    for name in missing:
        try:
            _check_name(name)
        except ValidationError:
            continue
        answer.created.append(name)
    Intent.objects.bulk_create([Intent(name=name, updated_by=actor) for name in answer.created], ignore_conflicts=True)
    return _known_intents(examples)
