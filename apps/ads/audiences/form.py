"""The console's dialog for a list of subjects."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from apps.ads.audiences.services import MOST_LISTED
from behavior.subjects import BadSubject, Subject, read_subject
from console.theme import BaseDialogForm, UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget


class SeedForm(BaseDialogForm):
    kind = forms.ChoiceField(
        label="The ids are",
        choices=[("user_id", "user_id"), ("anonymous_id", "anonymous_id")],
        widget=UnfoldAdminSelectWidget,
    )
    ids = forms.CharField(
        label="Ids",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 10}),
        help_text=f"One a line, {MOST_LISTED:,} at most. They replace the list.",
    )

    def subjects(self) -> list[Subject]:
        return self.cleaned_data["ids"]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        raw = [line.strip() for line in cleaned.get("ids", "").splitlines() if line.strip()]
        if len(raw) > MOST_LISTED:
            raise ValidationError({"ids": f"are {len(raw):,}; at most {MOST_LISTED:,} make a list"})
        try:
            cleaned["ids"] = [read_subject({cleaned.get("kind", "user_id"): each}) for each in raw]
        except BadSubject as error:
            raise ValidationError({"ids": str(error)}) from error
        return cleaned
