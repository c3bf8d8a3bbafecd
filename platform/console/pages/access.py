"""The tenant itself and its members."""

from typing import Any, cast

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.formats import localize

from console.base import TenantModelAdmin
from console.rights import membership_of
from console.services import change_member_role, check_admin_remains, invitation_path, remove_member
from console.shown_once import shown_once_page
from console.site import register
from console.theme import UnfoldAdminEmailInputWidget, display
from tenancy.models import Membership, Role, Tenant
from tenancy.services import add_member


@register(Tenant)
class TenantAdmin(TenantModelAdmin):
    list_title = "Business"
    who_changes = Role.ADMIN
    fields = ("name", "slug", "id", "is_active", "created_at")
    readonly_fields = ("slug", "id", "is_active", "created_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tenant]:
        membership = membership_of(request)
        return Tenant.objects.filter(id=membership.tenant.pk) if membership else Tenant.objects.none()

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """There is one tenant at a time, so its list is its page."""
        membership = membership_of(request)
        assert membership is not None
        return HttpResponseRedirect(self.page_of(membership.tenant))


class AddMemberForm(forms.ModelForm):
    email = forms.EmailField(
        label="E-mail",
        max_length=150,
        widget=UnfoldAdminEmailInputWidget,
        help_text="Somebody new gets a link to set a password with, which you are shown once.",
    )

    class Meta:
        model = Membership
        fields = ("role",)

    def clean_email(self) -> str:
        email = self.cleaned_data["email"].lower()
        if Membership.objects.filter(user__username=email, tenant_id=self.instance.tenant_id).exists():
            raise ValidationError(f"{email} is a member already; change the role in the list of members.")
        return cast(str, email)


class ChangeRoleForm(forms.ModelForm):
    class Meta:
        model = Membership
        fields = ("role",)

    def clean_role(self) -> str:
        role = self.cleaned_data["role"]
        if role != Role.ADMIN:
            check_admin_remains(without=self.instance.id)
        return cast(str, role)


@register(Membership)
class MembershipAdmin(TenantModelAdmin):
    list_title = "Members"
    who_adds = who_changes = who_deletes = Role.ADMIN
    list_display = ("email", "role_name", "created_at", "last_login")
    list_select_related = ("user",)
    search_fields = ("user__username",)
    ordering = ("user__username",)
    actions = None

    def get_form(self, request: HttpRequest, obj: Model | None = None, **kwargs: Any) -> type[forms.ModelForm]:
        return super().get_form(request, obj, **kwargs | {"form": ChangeRoleForm if obj else AddMemberForm})

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        return ("email", "role", "created_at", "last_login") if obj else ("email", "role")

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        return ("email", "created_at", "last_login") if obj else ()

    @display(description="E-mail", ordering="user__username")
    def email(self, member: Membership) -> str:
        return member.user.get_username()

    @display(description="Role", ordering="role", label={"Admin": "danger", "Operator": "warning", "Analyst": "info"})
    def role_name(self, member: Membership) -> str:
        return member.role.capitalize()

    @display(description="Last login", ordering="user__last_login")
    def last_login(self, member: Membership) -> str:
        return localize(member.user.last_login) or "Never"

    def save_model(self, request: HttpRequest, obj: Membership, form: forms.ModelForm, change: bool) -> None:
        if change:
            change_member_role(membership_id=obj.id, role=Role(obj.role))
            return
        added = add_member(email=form.cleaned_data["email"], role=Role(obj.role))
        obj.id, obj.user = added.id, added.user

    def response_add(self, request: HttpRequest, obj: Membership, post_url_continue: str | None = None) -> HttpResponse:
        user = obj.user
        if user.has_usable_password():
            messages.success(request, f"{user.username} is a member now and logs in with the password in use so far.")
            return HttpResponseRedirect(self.list_page())
        return shown_once_page(
            request,
            self,
            title=f"{user.username} is a member now",
            value=request.build_absolute_uri(invitation_path(user)),
            explanation="Send this link to the new member, and to nobody else. It sets the first password, works once "
            "and for three days.",
        )

    def delete_model(self, request: HttpRequest, obj: Membership) -> None:
        remove_member(membership_id=obj.id)

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        try:
            return super().delete_view(request, object_id, extra_context)
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
            return HttpResponseRedirect(self.list_page())
