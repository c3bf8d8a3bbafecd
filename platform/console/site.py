"""The console's admin site: open to active operators with a membership, whatever Django's own flags say."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth import forms as auth_forms
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse

from console.dashboard import dashboard_context
from console.rights import membership_of
from console.theme import AuthenticationForm, UnfoldAdminSite


class LoginForm(AuthenticationForm):
    """Django's login form; the staff flag of the admin's own form plays no part here."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].label = "E-mail"
        self.error_messages = auth_forms.AuthenticationForm.error_messages | {
            "invalid_login": "E-mail and password do not match. Both are case-sensitive."
        }

    def confirm_login_allowed(self, user: Any) -> None:
        if not user.is_active:
            raise forms.ValidationError(self.error_messages["inactive"], code="inactive")


class ConsoleSite(UnfoldAdminSite):
    site_title = site_header = "Sequitur"
    index_title = "Dashboard"
    index_template = "console/dashboard.html"
    login_form = LoginForm
    enable_nav_sidebar = True
    empty_value_display = "—"

    def has_permission(self, request: HttpRequest) -> bool:
        if not request.user.is_active:
            return False
        # Whoever has lost the last membership can still log out.
        return membership_of(request) is not None or request.path == reverse("admin:logout")

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        return super().index(request, dashboard_context(request) | (extra_context or {}))


site = ConsoleSite(name="admin")


def register(*models: type[Model]) -> Any:
    """Class decorator: put a TenantModelAdmin on the console."""
    return admin.register(*models, site=site)
