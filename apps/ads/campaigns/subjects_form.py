"""The console's dialog for a list of subjects."""

from django import forms
from django.core.exceptions import ValidationError

from behavior.subjects import BadSubject, read_subject
from console.theme import BaseDialogForm, UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldBooleanWidget

KINDS = [("user_id", "user_id"), ("anonymous_id", "anonymous_id")]
MOST_SUBJECTS = 10_000


class SubjectsForm(BaseDialogForm):
    kind = forms.ChoiceField(label="The ids are", choices=KINDS, widget=UnfoldAdminSelectWidget)
    ids = forms.CharField(
        label="Ids",
        required=False,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 10}),
        help_text=f"One a line, {MOST_SUBJECTS:,} at most. They replace the list.",
    )

    def subjects(self) -> list[dict[str, str]]:
        """The subjects as requests name them."""
        return [{self.cleaned_data["kind"]: each} for each in self.cleaned_data["ids"]]

    def clean_ids(self) -> list[str]:
        raw = [line.strip() for line in self.cleaned_data["ids"].splitlines() if line.strip()]
        if len(raw) > MOST_SUBJECTS:
            raise ValidationError(f"are {len(raw):,}; at most {MOST_SUBJECTS:,} make a list")
        try:
            for each in raw:
                read_subject({"user_id": each})
        except BadSubject as error:
            raise ValidationError(str(error)) from error
        return raw


class OwnPeopleForm(SubjectsForm):
    BUSINESS = "business"
    whose = forms.ChoiceField(
        label="Whose people",
        choices=[("advertiser", "Of this advertiser: for its own ads"), (BUSINESS, "Of the business: for all ads")],
        widget=UnfoldAdminSelectWidget,
    )
    members = forms.BooleanField(
        label="And the members of this business",
        required=False,
        widget=UnfoldBooleanWidget,
        help_text="Where your shop's user_id is the e-mail address that they log in here with.",
    )
