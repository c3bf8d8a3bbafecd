"""Service > Inbox in the console: the queue with its clock, and the page on which an agent answers."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern, path
from django.utils.timesince import timesince

from apps.service.conversations.events import CustomerUnknown
from apps.service.conversations.models import CONSOLE_ID, Conversation, ConversationStatus
from apps.service.conversations.services import ConversationChanged, MessageConflict, assign, move
from apps.service.inbox import filters, selectors
from apps.service.inbox.page import clock_of, conversation_context, filled_macros, thread_context, tone_of
from apps.service.inbox.presence import look
from apps.service.inbox.services import answer, give_back
from apps.service.knowledge.models import SourceAudience, SourceKind
from apps.service.knowledge.selectors import search
from apps.service.replies.judging import AlreadyJudged, SourceWithdrawn, accept_reply, edit_reply, reject_reply
from apps.service.replies.models import Reply
from apps.service.replies.settings import current_settings
from console.base import TenantModelAdmin
from console.figures import percent
from console.rights import actor_name, operator_names
from console.site import register
from console.theme import display

STATUS_COLOURS = {"Open": "info", "Waiting for the customer": None, "Handed off": "warning", "Closed": "success"}
TONE_COLOURS = {"Upset": "danger", "Urgent": "warning", "Upset, urgent": "danger"}
MACROS_SHOWN = 8
LONGEST_QUERY = 400
# What an agent has written and could not be sent waits here for the page.
KEPT = "service_inbox_kept"
REFUSED = (ConversationChanged, AlreadyJudged, SourceWithdrawn, MessageConflict, CustomerUnknown)


@register(Conversation)
class ConversationAdmin(TenantModelAdmin):
    list_title = "Inbox"
    list_display = (
        *(
            "name_label",
            "status_label",
            "clock",
            "tone_label",
            "intent_label",
            "channel_label",
            "assignee_label",
        ),
        *("messages_count", "age"),
    )
    list_filter = (
        filters.StatusField,
        filters.WhoseField,
        filters.LanguageField,
        filters.IntentField,
        filters.ToneField,
        filters.WordsField,
        filters.ChannelField,
        filters.CustomerField,
    )
    change_form_template = "service/conversation.html"
    change_list_template = "service/inbox.html"
    sortable_by = ()
    actions = None
    empty_title = "Nobody waits"
    empty_text = "A conversation shows here as soon as a customer writes."

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return selectors.queue().filter(pk__in=super().get_queryset(request))

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        return ()

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ()

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        workload = selectors.workload(current_settings())
        return super().changelist_view(request, (extra_context or {}) | {"workload": workload})

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        conversation = self.get_object(request, object_id) if object_id else None
        context = extra_context or {}
        if conversation is not None and request.method == "GET":
            others = look(conversation.id, actor_name(request))
            context |= conversation_context(conversation, others) | {
                "status_type": STATUS_COLOURS[conversation.get_status_display()],
                "may_answer": self.has_operator_permission(request),
                "operators": operator_names(),
                "kept_text": request.session.get(KEPT, {}).get(str(conversation.id), ""),
            }
            _forget(request, conversation)
        return super().changeform_view(request, object_id, form_url, context)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        own = [
            path("<uuid:object_id>/thread/", view(self.thread_view), name="service_conversation_thread"),
            path("<uuid:object_id>/macros/", view(self.macros_view), name="service_conversation_macros"),
            path("<uuid:object_id>/next/", view(self.next_view), name="service_conversation_next"),
            path("<uuid:object_id>/act/", view(self.act_view), name="service_conversation_act"),
        ]
        return [*own, *super().get_urls()]

    def thread_view(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """The messages, and who else is here: what the page asks for every few seconds."""
        conversation = self.seen_row(request, object_id)
        reply, others = selectors.newest_reply(conversation.id), look(conversation.id, actor_name(request))
        context = thread_context(conversation, reply, others)
        context["is_old"] = request.GET.get("reply", "") != context["reply_seen"]
        context["reply_seen"] = request.GET.get("reply", "")
        return render(request, "service/thread.html", context)

    def macros_view(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        conversation = self.seen_row(request, object_id)
        query = request.GET.get("q", "").strip()[:LONGEST_QUERY]
        kinds = [SourceKind.MACRO, SourceKind.REPLY]
        found = search(query, audience=SourceAudience.AGENTS, kinds=kinds, count=MACROS_SHOWN) if query else []
        macros = filled_macros(conversation, found, agent_name(request))
        return render(request, "service/macros.html", {"macros": macros, "query": query})

    def next_view(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        conversation = self.seen_row(request, object_id)
        found = selectors.next_in_queue(conversation)
        if found is None:
            messages.info(request, "Nobody else waits.")
            return HttpResponseRedirect(self.list_page())
        return HttpResponseRedirect(self.page_of(Conversation(id=found)))

    def act_view(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """Do what the pressed button says, and come back to the page with what became of it."""
        if request.method != "POST" or not self.has_operator_permission(request):
            raise PermissionDenied
        conversation = self.row(request, str(object_id))
        act = ACTS.get(request.POST.get("act", ""))
        try:
            given = request.POST.dict() | {"agent_name": agent_name(request)}
            words = act(conversation, given, actor_name(request)) if act else "Nothing was asked for."
        except ValidationError as error:
            self.refuse(request, conversation, " ".join(error.messages))
        except REFUSED as error:
            self.refuse(request, conversation, str(error))
        else:
            messages.success(request, words)
        return HttpResponseRedirect(self.page_of(conversation))

    def refuse(self, request: HttpRequest, conversation: Conversation, words: str) -> None:
        messages.error(request, words)
        text = request.POST.get("text", "") if request.POST.get("act") in ("answer", "edit") else ""
        if text:
            request.session[KEPT] = {str(conversation.id): text[:20_000]}

    def seen_row(self, request: HttpRequest, object_id: UUID) -> Conversation:
        if not self.has_view_permission(request):
            raise PermissionDenied
        found: Conversation = self.row(request, str(object_id))
        return found

    @display(description="Conversation")
    def name_label(self, conversation: Conversation) -> str:
        return str(conversation)

    @display(description="Status", label=STATUS_COLOURS)
    def status_label(self, conversation: Conversation) -> str:
        return conversation.get_status_display()

    @display(description="Answer due")
    def clock(self, conversation: Conversation) -> str:
        return clock_of(selectors.due_at(conversation, current_settings()))

    @display(description="Tone", label=TONE_COLOURS)
    def tone_label(self, conversation: Any) -> str:
        return tone_of(conversation).replace("—", "")

    @display(description="Intent")
    def intent_label(self, conversation: Any) -> str:
        return conversation.intent or "—"

    @display(description="Messages")
    def messages_count(self, conversation: Conversation) -> int:
        return conversation.message_count

    @display(description="Opened")
    def age(self, conversation: Conversation) -> str:
        return f"{timesince(conversation.opened_at, depth=1)} ago"

    @display(description="Channel")
    def channel_label(self, conversation: Conversation) -> str:
        return ", ".join(filter(None, (conversation.channel, conversation.language)))

    @display(description="Assignee")
    def assignee_label(self, conversation: Conversation) -> str:
        return conversation.assignee or "nobody"


def agent_name(request: HttpRequest) -> str:
    """As customers read it."""
    name = request.user.get_full_name() if request.user.is_authenticated else ""
    return name or actor_name(request).partition("@")[0]


def _forget(request: HttpRequest, conversation: Conversation) -> None:
    if str(conversation.id) in request.session.get(KEPT, {}):
        del request.session[KEPT]


def _reply(conversation: Conversation, given: Any) -> Reply:
    """The draft that the page showed. Raises AlreadyJudged where the conversation has none such."""
    try:
        return Reply.objects.get(id=given.get("reply"), conversation=conversation)
    except (Reply.DoesNotExist, ValidationError, ValueError):
        raise AlreadyJudged("This draft is no longer there; look at the conversation again.") from None


def _accept(conversation: Conversation, given: Any, actor: str) -> str:
    """What stands in the draft's field is sent, and that may be another text by now."""
    reply, words = _reply(conversation, given), given.get("text", "").split()
    if words and words != reply.text.split():
        return _edit(conversation, given, actor)
    accept_reply(reply_id=reply.id, actor=actor, agent_name=given["agent_name"])
    return "The draft is sent."


def _edit(conversation: Conversation, given: Any, actor: str) -> str:
    reply = edit_reply(
        reply_id=_reply(conversation, given).id,
        text=given.get("text", ""),
        actor=actor,
        agent_name=given["agent_name"],
    )
    return f"Sent; {percent(reply.edit_distance or 0, 0)} of the draft was changed."


def _reject(conversation: Conversation, given: Any, actor: str) -> str:
    reject_reply(reply_id=_reply(conversation, given).id, actor=actor, note=given.get("note", ""))
    return "The draft is rejected; the customer still waits."


def _answer(conversation: Conversation, given: Any, actor: str) -> str:
    try:
        seen, answer_id = int(given.get("seen", "")), UUID(given.get("answer_id", ""))
        draft = UUID(given["reply"]) if given.get("reply") else None
    except ValueError:
        raise ConversationChanged("The page was incomplete; nothing was sent.") from None
    answer(
        conversation_id=conversation.id,
        text=given.get("text", ""),
        actor=actor,
        seen=seen,
        client_id=f"{CONSOLE_ID}{answer_id}",
        agent_name=given["agent_name"],
        draft=draft,
    )
    return "The answer is sent."


def _number(name: str, given: Any) -> int:
    number = given.get(name, "")
    if not number.isdecimal():
        raise ConversationChanged("The page was incomplete; nothing was changed.")
    return int(number)


def _take(conversation: Conversation, given: Any, actor: str) -> str:
    _assign(conversation, actor, given, actor)
    return "The conversation is yours."


def _give(conversation: Conversation, given: Any, actor: str) -> str:
    to = given.get("assignee", "")
    if to and to not in operator_names():
        raise ValidationError(f"'{to}' answers no conversations here; choose somebody of the list.")
    _assign(conversation, to, given, actor)
    return f"{to} has the conversation." if to else "Nobody has the conversation."


def _assign(conversation: Conversation, to: str, given: Any, actor: str) -> None:
    assign(
        conversation_id=conversation.id,
        assignee=to,
        actor=actor,
        version=_number("version", given),
        note=_note(given),
    )


def _note(given: Any) -> str:
    return str(given.get("note", ""))[:2_000]


def _give_back(conversation: Conversation, given: Any, actor: str) -> str:
    give_back(conversation_id=conversation.id, actor=actor, version=_number("version", given), note=_note(given))
    return "It is no agent's any more: the bot may answer again."


def _mover(to: str, words: str) -> Callable[[Conversation, Any, str], str]:
    def act(conversation: Conversation, given: Any, actor: str) -> str:
        move(
            conversation_id=conversation.id,
            to=to,
            actor=actor,
            version=_number("version", given),
            seen=_number("seen", given),
            note=_note(given),
        )
        return words

    return act


ACTS: dict[str, Callable[[Conversation, Any, str], str]] = {
    "accept": _accept,
    "edit": _edit,
    "reject": _reject,
    "answer": _answer,
    "take": _take,
    "give": _give,
    "give_back": _give_back,
    "close": _mover(ConversationStatus.CLOSED, "The conversation is closed."),
    "reopen": _mover(ConversationStatus.OPEN, "The conversation is open again."),
}
