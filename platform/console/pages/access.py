"""The tenant itself and its members."""

from typing import Any, cast

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.formats import localize

from console.base import TenantModelAdmin
from console.invitations import invitation_path
from console.rights import membership_of
from console.services import change_member_role, check_admin_remains, remove_member
from console.shown_once import shown_once_page
from console.site import register
from console.theme import UnfoldAdminEmailInputWidget, display
from tenancy.models import Membership, Role, Tenant
from tenancy.services import invite_member


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
        help_text="You are shown a link once, by which this person joins.",
    )

    class Meta:
        model = Membership
        fields = ("role",)

    def clean_email(self) -> str:
        email = self.cleaned_data["email"].lower()
        member = Membership.objects.filter(user__username=email, tenant_id=self.instance.tenant_id).first()
        if member and member.accepted_at:
            raise ValidationError(f"{email} is a member already; change the role in the list of members.")
        if member:
            raise ValidationError(f"{email} is invited already; delete the invitation to make another link.")
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
    list_display = ("email", "role_name", "status", "created_at", "last_login")
    list_select_related = ("user",)
    search_fields = ("user__username",)
    ordering = ("user__username",)
    actions = None

    def get_form(self, request: HttpRequest, obj: Model | None = None, **kwargs: Any) -> type[forms.ModelForm]:
        return super().get_form(request, obj, **kwargs | {"form": ChangeRoleForm if obj else AddMemberForm})

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        return ("email", "role", "status", "created_at", "last_login") if obj else ("email", "role")

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        return ("email", "status", "created_at", "last_login") if obj else ()

    @display(description="E-mail", ordering="user__username")
    def email(self, member: Membership) -> str:
        return member.user.get_username()

    @display(description="Role", ordering="role", label={"Admin": "danger", "Operator": "warning", "Analyst": "info"})
    def role_name(self, member: Membership) -> str:
        return member.role.capitalize()

    @display(description="Status", ordering="accepted_at", label={"Invited": "warning"})
    def status(self, member: Membership) -> str:
        return "Member" if member.accepted_at else "Invited"

    @display(description="Last login")
    def last_login(self, member: Membership) -> str:
        if not member.accepted_at:
            return ""  # Whether the account is in use elsewhere is none of an inviter's business.
        return localize(member.user.last_login) or "Never"

    def save_model(self, request: HttpRequest, obj: Membership, form: forms.ModelForm, change: bool) -> None:
        if change:
            change_member_role(membership_id=obj.id, role=Role(obj.role))
            return
        invited = invite_member(email=form.cleaned_data["email"], role=Role(obj.role))
        obj.id, obj.user = invited.id, invited.user

    def response_add(self, request: HttpRequest, obj: Membership, post_url_continue: str | None = None) -> HttpResponse:
        return shown_once_page(
            request,
            self,
            title=f"{obj.user.get_username()} is invited",
            value=request.build_absolute_uri(invitation_path(obj)),
            explanation="Send this link to the person invited, and to nobody else. It works once and for three days; "
            "until it is followed, the invitation gives no rights.",
        )

    def delete_model(self, request: HttpRequest, obj: Membership) -> None:
        remove_member(membership_id=obj.id)

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        try:
            return super().delete_view(request, object_id, extra_context)
        except ValidationError as error:
            messages.error(request, " ".join(error.messages))
            return HttpResponseRedirect(self.list_page())
