"""The one place that imports the theme (django-unfold), so that another one can take its place."""

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
    UnfoldAdminSelectWidget,
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
    "RangeDateTimeFilter",
    "TextFilter",
    "UnfoldAdminCheckboxSelectMultipleWidget",
    "UnfoldAdminEmailInputWidget",
    "UnfoldAdminIntegerFieldWidget",
    "UnfoldAdminPasswordWidget",
    "UnfoldAdminSelectWidget",
    "UnfoldAdminSite",
    "UnfoldAdminTextInputWidget",
    "UnfoldAdminTextareaWidget",
    "UnfoldBooleanWidget",
    "action",
    "display",
]
