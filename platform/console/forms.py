"""Forms whose writing and last judging is done by a service."""

import json
from abc import abstractmethod
from typing import Any

from django import forms
from django.db.models import Model

from console.theme import UnfoldAdminTextareaWidget


class ServiceForm(forms.ModelForm):
    """Calls its service as the last check, because the service both judges and writes; the page then saves nothing."""

    @abstractmethod
    def write(self) -> Model:
        """Call the service with `cleaned_data`. Raises ValidationError for what it refuses."""

    def clean(self) -> dict[str, Any]:
        if not self.errors:
            self.instance = self.write()
        return self.cleaned_data


class PrettyJSONField(forms.JSONField):
    """JSON in a text area, indented, so that it can be read and edited."""

    widget = UnfoldAdminTextareaWidget(attrs={"rows": 10, "spellcheck": "false", "class": "console-code"})

    def prepare_value(self, value: Any) -> Any:
        if value is None:
            return ""
        return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
