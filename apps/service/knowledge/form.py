"""The console's forms of a source and of an import."""

from typing import Any

from django import forms
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError

from apps.service.knowledge.imports import ImportTooLarge, import_files
from apps.service.knowledge.models import KnowledgeImport, Source, SourceKind, SourceLanguage
from apps.service.knowledge.services import FIELDS, VersionConflict, change_source, create_source
from apps.service.knowledge.slots import SLOTS
from console.forms import ServiceForm
from console.theme import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

LARGEST_FILE = 5_000_000


class SourceForm(ServiceForm):
    actor = ""  # set by the page

    seen_version = forms.IntegerField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = Source
        fields = ("kind", *FIELDS)
        widgets = {"body": UnfoldAdminTextareaWidget(attrs={"rows": 16, "class": "console-code"})}
        help_texts = {
            "body": f"Markdown. A macro may hold slots: {', '.join(f'{{{{{name}}}}}' for name in SLOTS)}.",
            "segments": "Of customers, with commas between them; for the audience that names them.",
            "tags": "With commas between them.",
            "valid_from": "UTC; empty means at once.",
            "valid_until": "UTC; empty means without end.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["seen_version"].initial = self.instance.version
        # A kind is chosen once: replies cite sources by their kind's address.
        self.fields["kind"].disabled = not self.instance._state.adding

    def write(self) -> Source:
        fields = {name: self.cleaned_data[name] for name in FIELDS}
        kind = self.cleaned_data["kind"]
        try:
            if self.instance._state.adding:
                return create_source(kind=kind, actor=self.actor, **fields)
            return change_source(
                source_id=self.instance.pk,
                kind=kind,
                actor=self.actor,
                changes=fields,
                version=self.cleaned_data["seen_version"],
            )
        except VersionConflict as error:
            raise ValidationError(f"Somebody else has changed it meanwhile: {error}") from error
        except ValidationError as error:
            known = error.message_dict.items()
            raise ValidationError(
                {name if name in self.fields else NON_FIELD_ERRORS: told for name, told in known}
            ) from error


class ImportForm(ServiceForm):
    """One file; several come through the API."""

    actor = ""  # set by the page

    file = forms.FileField(label="File", help_text="Markdown (.md), CSV (.csv) or HTML (.html), in UTF-8.")
    kind = forms.ChoiceField(
        choices=SourceKind.choices, widget=UnfoldAdminSelectWidget, help_text="Where a row says nothing."
    )
    language = forms.ChoiceField(
        choices=SourceLanguage.choices, widget=UnfoldAdminSelectWidget, help_text="Where a row says nothing."
    )
    publish = forms.BooleanField(
        required=False,
        widget=UnfoldBooleanWidget,
        help_text="What is new, and drafts that are known; otherwise what is new is a draft.",
    )

    class Meta:
        model = KnowledgeImport
        fields = ()

    def clean_file(self) -> tuple[str, str]:
        file = self.cleaned_data["file"]
        if file.size > LARGEST_FILE:
            raise ValidationError(f"It has {file.size:,} bytes; at most {LARGEST_FILE:,} are taken. Split it.")
        try:
            return file.name, file.read().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ValidationError(f"It is not UTF-8: byte {error.start:,} cannot be read. Save it as UTF-8.") from error

    def write(self) -> KnowledgeImport:
        wanted = {name: self.cleaned_data[name] for name in ("kind", "language", "publish")}
        try:
            return import_files(files=[self.cleaned_data["file"]], actor=self.actor, **wanted)
        except ImportTooLarge as error:
            raise ValidationError({"file": str(error)}) from error


class SearchForm(forms.Form):
    """A search that is tried out."""

    q = forms.CharField(
        label="What a customer asks", required=False, max_length=2_000, widget=UnfoldAdminTextInputWidget
    )
    audience = forms.ChoiceField(
        required=False,
        choices=[("public", "Everybody"), ("segment", "Customers of a segment"), ("agents", "Agents")],
        widget=UnfoldAdminSelectWidget,
    )
    segment = forms.CharField(required=False, max_length=50, widget=UnfoldAdminTextInputWidget)
    language = forms.ChoiceField(
        required=False, choices=[("", "Any"), *SourceLanguage.choices], widget=UnfoldAdminSelectWidget
    )
