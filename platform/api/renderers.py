"""Writing of answers."""

from typing import Any

from rest_framework import renderers
from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import BaseContentNegotiation, DefaultContentNegotiation
from rest_framework.request import Request

from api.errors import CONTENT_TYPE

# rest_framework would make one for each answer.
_encoder = renderers.JSONRenderer.encoder_class(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


class JSONRenderer(renderers.JSONRenderer):
    """The same as rest_framework's."""

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        if data is None or accepted_media_type != self.media_type:
            # It may ask for an indentation.
            written: bytes = super().render(data, accepted_media_type, renderer_context)
            return written
        return _encoder.encode(data).replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").encode()


class Negotiation(DefaultContentNegotiation):
    """Whoever takes anything gets the first that there is, without a comparison of media types.

    Problems are JSON, and where an operation answers with nothing they are all that a client can name.
    """

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        meta = request._request.META
        if meta.get("HTTP_ACCEPT", "*/*") == "*/*" and not meta.get("QUERY_STRING") and not format_suffix:
            return renderers[0], renderers[0].media_type
        try:
            return super().select_renderer(request, renderers, format_suffix)
        except NotAcceptable:
            for renderer in renderers:
                if renderer.media_type == JSONRenderer.media_type and CONTENT_TYPE in meta["HTTP_ACCEPT"]:
                    return renderer, renderer.media_type
            types = " or ".join(renderer.media_type for renderer in renderers)
            raise NotAcceptable(f"the answer is {types}; name it in Accept, or leave Accept out") from None


class AnyContentType(BaseContentNegotiation):
    """A file has the type that it has, whatever the client would rather have."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type
