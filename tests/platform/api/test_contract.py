"""Every operation of the schema is called with what the schema allows and with what it forbids; the answers must be
those that it promises, and never an error of the server."""

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import CHECKS, load_all_checks

from config.wsgi import application
from tests.conftest import ApiClient

load_all_checks()
PROMISES = CHECKS.get_by_names(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
        "unsupported_method",
    ]
)


schema = schemathesis.openapi.from_wsgi("/api/v1/schema", application)


@schema.parametrize()
@settings(max_examples=7, derandomize=True, suppress_health_check=list(HealthCheck))
def test_answers_keep_the_promises_of_the_schema(case: schemathesis.Case, api: ApiClient) -> None:
    case.call_and_validate(headers={"Authorization": f"Bearer {api.raw_key}"}, checks=PROMISES)
