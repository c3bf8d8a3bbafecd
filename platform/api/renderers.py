"""Writing of answers."""

from typing import Any

from rest_framework import renderers
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.request import Request

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
    """Whoever takes anything gets the first that there is, without a comparison of media types."""

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        meta = request._request.META
        if meta.get("HTTP_ACCEPT", "*/*") == "*/*" and not meta.get("QUERY_STRING") and not format_suffix:
            return renderers[0], renderers[0].media_type
        return super().select_renderer(request, renderers, format_suffix)
