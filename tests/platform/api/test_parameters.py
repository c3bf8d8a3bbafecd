"""A misspelt parameter would silently list everything, so that each is refused with those that there are."""

import pytest
from django.test import Client

from tests.conftest import ApiClient

PREFIX = "/api/v1/"


def addresses_with_parameters() -> list[str]:
    """Those of the schema that read parameters and take no part of their path from the client."""
    paths = Client().get(f"{PREFIX}schema").json()["paths"]
    return [
        path.removeprefix(PREFIX)
        for path, methods in paths.items()
        if "{" not in path and any(each["in"] == "query" for each in methods.get("get", {}).get("parameters", []))
    ]


def test_a_parameter_that_is_unknown_is_refused_everywhere(api: ApiClient) -> None:
    taken = [path for path in addresses_with_parameters() if api.get(f"{path}?no_such=1").status_code != 400]

    assert taken == []


def test_those_that_are_known_are_named(api: ApiClient) -> None:
    answer = api.get("risk/cases?state=open")

    [problem] = answer.json()["errors"]
    assert problem["field"] == "state"
    assert problem["message"].startswith("is not a parameter; known are status, ")
    assert problem["message"].endswith(", limit, cursor")


@pytest.mark.parametrize("address", ["risk/cases?status=", "training-runs?model=&limit=5", "items?limit=&cursor="])
def test_an_empty_one_counts_as_left_out(api: ApiClient, address: str) -> None:
    assert api.get(address).status_code == 200


def test_also_a_write_refuses_one_that_is_unknown(api: ApiClient) -> None:
    example = {"text": "where is my parcel", "intent": "order_status"}

    answer = api.post("intent-examples?creat_intents=true", {"examples": [example]})

    assert answer.status_code == 400
    assert answer.json()["detail"] == "creat_intents: is not a parameter; known are create_intents"
