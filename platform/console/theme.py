"""The one place that imports the theme (django-unfold), so that another one can take its place."""

from typing import Any

from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RangeDateTimeFilter, TextFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import AuthenticationForm, BaseDialogForm
from unfold.paginator import InfinitePaginator
from unfold.sites import UnfoldAdminSite
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminEmailInputWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminSplitDateTimeWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

__all__ = [
    "ActionVariant",
    "AuthenticationForm",
    "BaseDialogForm",
    "ChoicesDropdownFilter",
    "InfinitePaginator",
    "ModelAdmin",
    "MomentWidget",
    "RangeDateTimeFilter",
    "TextFilter",
    "UnfoldAdminCheckboxSelectMultipleWidget",
    "UnfoldAdminEmailInputWidget",
    "UnfoldAdminIntegerFieldWidget",
    "UnfoldAdminPasswordWidget",
    "UnfoldAdminSelectMultipleWidget",
    "UnfoldAdminSelectWidget",
    "UnfoldAdminSite",
    "UnfoldAdminTextInputWidget",
    "UnfoldAdminTextareaWidget",
    "UnfoldBooleanWidget",
    "action",
    "display",
]


class MomentWidget(UnfoldAdminSplitDateTimeWidget):
    """A date and a time of day whose inputs say what they are, and in which zone."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs)
        for widget, name in zip(self.widgets, ("Date", "Time (UTC)"), strict=True):
            widget.attrs |= {"placeholder": name, "aria-label": name}
