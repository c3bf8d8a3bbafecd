"""What the forms of all applications' rules share: each carries the version that was seen."""

from typing import Any

from django import forms

from console.forms import ServiceForm


class RuleFormBase(ServiceForm):
    """A page shows `seen_version` beside the fields; `write` gives it to the service."""

    actor = ""  # set by the page
    seen_version = forms.IntegerField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["seen_version"] = self.instance.version
