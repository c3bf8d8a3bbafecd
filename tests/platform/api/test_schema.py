"""The OpenAPI schema is valid, complete, and its page needs nothing from outside."""

import json
import re
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client, RequestFactory
from django.urls import resolve

from api.glossary import GLOSSARY
from tests.conftest import ApiClient


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    answer = Client().get("/api/v1/schema")
    assert answer.status_code == 200
    document: dict[str, Any] = answer.json()
    return document


def operations(schema: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method.upper()} {path}", operation)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    ]


def test_the_schema_is_valid_and_without_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("spectacular", validate=True, fail_on_warn=True)

    assert "openapi:" in capsys.readouterr().out


def test_every_shape_that_is_referred_to_is_there(schema: dict[str, Any]) -> None:
    named = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(schema)))

    assert named == schema["components"]["schemas"].keys()


def test_every_operation_names_its_scope_its_problems_and_its_key(schema: dict[str, Any]) -> None:
    for name, operation in operations(schema):
        assert re.search(r"Needs the scope `[a-z-]+:[a-z]+`\.", operation["description"]), name
        assert {"400", "401", "403", "404", "413", "429", "503"} <= operation["responses"].keys(), name
        assert "application/problem+json" in operation["responses"]["429"]["content"], name
        assert operation["security"] == [{"apiKey": []}], name


def test_every_type_of_an_answer_that_is_documented_can_be_asked_for(schema: dict[str, Any]) -> None:
    for name, operation in operations(schema):
        method, path = name.split()
        view = resolve(re.sub("{[^}]+}", "01a20000-0000-7000-8000-000000000000", path)).func.cls()
        for kind in {kind for answer in operation["responses"].values() for kind in answer.get("content", ())}:
            request = view.initialize_request(RequestFactory().generic(method, path, headers={"Accept": kind}))
            view.get_content_negotiator().select_renderer(request, view.get_renderers())


def test_a_client_of_the_schema_is_answered_and_another_told_what_there_is(api: ApiClient) -> None:
    schema = Client().get("/api/v1/schema", headers={"Accept": "application/json"})
    assert schema["Content-Type"] == "application/json"
    problems = {"Accept": "application/problem+json"}
    assert api.put("items/hat", {}).status_code == 200
    assert api.delete("items/hat", **problems).status_code == 204
    assert api.delete("items/hat", **problems).status_code == 404
    assert api.get("ads/reports.csv", Accept="text/csv")["Content-Type"].startswith("text/csv")
    refused = api.get("items", Accept="text/csv")
    assert refused.status_code == 406
    assert refused.json()["detail"] == "the answer is application/json; name it in Accept, or leave Accept out"


def test_writes_document_the_idempotency_key(schema: dict[str, Any]) -> None:
    named = {
        name
        for name, operation in operations(schema)
        for each in operation.get("parameters", [])
        if each["name"] == "Idempotency-Key"
    }

    assert {"PUT /api/v1/items/{item_id}", "POST /api/v1/items/batch"} <= named
    assert not any(name.startswith("GET") for name in named)


def test_a_list_documents_its_page(schema: dict[str, Any]) -> None:
    parameters = {each["name"] for each in schema["paths"]["/api/v1/items"]["get"]["parameters"]}

    assert parameters == {"available", "category", "cursor", "filter", "limit", "search"}
    assert {"results", "next_cursor"} <= schema["components"]["schemas"]["PaginatedItemList"]["properties"].keys()


def test_the_documentation_loads_nothing_from_outside() -> None:
    page = Client().get("/api/v1/docs").content.decode()

    assert "swagger-ui" in page
    assert re.findall(r"""(?:src|href|url)\s*[=:(]\s*["']?(?:https?:)?//""", page) == []


def test_every_field_says_what_it_is(schema: dict[str, Any]) -> None:
    silent = [
        f"{shape}.{name}"
        for shape, body in schema["components"]["schemas"].items()
        for name, field in body.get("properties", {}).items()
        if not any("description" in part for part in (field, *field.get("allOf", ())))
    ]

    assert silent == []


def test_every_entry_of_the_glossary_is_in_use(schema: dict[str, Any]) -> None:
    said = {
        field.get("description")
        for body in schema["components"]["schemas"].values()
        for field in body.get("properties", {}).values()
    }

    assert [name for name, text in GLOSSARY.items() if text not in said] == []


def test_no_operation_takes_a_parameter_for_the_format(schema: dict[str, Any]) -> None:
    taking = [
        name
        for name, operation in operations(schema)
        if any(each["name"] == "format" for each in operation.get("parameters", []))
    ]

    assert taking == []
