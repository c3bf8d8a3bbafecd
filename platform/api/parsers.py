"""Reading of bodies."""

import json
from typing import IO, Any

from rest_framework import parsers
from rest_framework.exceptions import ParseError
from rest_framework.utils.json import strict_constant

# rest_framework would make one for each body.
_decoder = json.JSONDecoder(parse_constant=strict_constant)


class JSONParser(parsers.JSONParser):
    """Strict JSON; one nested beyond all measure is an error of the client and not of the server."""

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None) -> Any:
        encoding = parsers.get_encoding(parser_context or {})  # type: ignore[attr-defined]
        try:
            return _decoder.decode(stream.read().decode(encoding).removeprefix("\ufeff"))
        except (json.JSONDecodeError, UnicodeError) as problem:
            raise ParseError(f"JSON parse error - {problem}") from None
        except ValueError as problem:
            # Python's own words on a number of thousands of digits are advice to a programmer.
            reason = "a number has too many digits" if "digits" in str(problem) else str(problem)
            raise ParseError(f"JSON parse error - {reason}") from None
        except RecursionError:
            raise ParseError("JSON parse error - nested too deep") from None
