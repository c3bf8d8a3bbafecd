"""Forms of the labels' pages: one label, or a file of them."""

from pathlib import Path
from tempfile import NamedTemporaryFile

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone

from apps.risk.labels.by_hand import record_by_hand
from apps.risk.labels.files import FileReport, record_file
from apps.risk.labels.reading import BadLabel, read_label
from apps.risk.transactions.models import Label
from behavior.importing.errors import ImportRefused
from console.forms import ServiceForm
from console.theme import MomentWidget, UnfoldAdminTextareaWidget

# What one request can record well within its time.
LARGEST_FILE = 2_000_000


class LabelForm(ServiceForm):
    actor = ""  # set by the page

    known_at = forms.SplitDateTimeField(
        label="Known since", required=False, widget=MomentWidget, help_text="When you learned it; now when left out."
    )

    class Meta:
        model = Label
        fields = ("transaction_id", "kind", "known_at", "note")
        widgets = {"note": UnfoldAdminTextareaWidget(attrs={"rows": 2})}

    def write(self) -> Label:
        try:
            label = read_label(self.cleaned_data, now=timezone.now())
        except BadLabel as error:
            raise ValidationError({reason["field"]: reason["message"] for reason in error.reasons}) from error
        (result,) = record_by_hand(labels=[label], source=Label.Source.CONSOLE, actor=self.actor)
        if result.result == "duplicate":
            raise ValidationError("The same was said of this transaction before.")
        if result.message:
            raise ValidationError({result.field: result.message})
        return Label.objects.filter(transaction_id=label.transaction_id).latest("id")


class LabelFileForm(forms.Form):
    file = forms.FileField(
        help_text="CSV in UTF-8 with the columns transaction_id, kind and, if known, known_at and note."
    )

    def clean_file(self) -> tuple[str, bytes]:
        file = self.cleaned_data["file"]
        if file.size > LARGEST_FILE:
            raise ValidationError(f"It has {file.size:,} bytes; at most {LARGEST_FILE:,} are taken. Split it.")
        content = file.read()
        try:
            content.decode()
        except UnicodeDecodeError as error:
            raise ValidationError(f"It is not UTF-8: byte {error.start:,} cannot be read. Save it as UTF-8.") from error
        return file.name, content

    def record(self, actor: str) -> FileReport | None:
        """What became of each row; None where the file as a whole cannot be used, which the form then tells."""
        name, content = self.cleaned_data["file"]
        with NamedTemporaryFile(suffix=".csv") as kept:
            kept.write(content)
            kept.flush()
            try:
                return record_file(
                    Path(kept.name),
                    lambda labels: record_by_hand(labels=labels, source=Label.Source.FILE, actor=actor),
                )
            except ImportRefused as error:
                self.add_error("file", str(error).replace(kept.name, name))
                return None
