"""Whatever the OpenAPI document allows, and what it does not: never an error of the server."""

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error

FEW = settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_no_request_breaks_the_server(url, mode):
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) > 15
    for operation in operations:
        if mode is GenerationMode.NEGATIVE and not operation.body:
            continue  # nothing in it can be wrong

        @FEW
        @given(operation.as_strategy(generation_mode=mode))
        def ask(case):
            response = case.call()
            case.validate_response(response, checks=[not_a_server_error])
            assert response.status_code < 400 or response.json()

        ask()


def test_the_document_describes_every_route_with_an_example(url):
    document = httpx2.get(f"{url}/openapi.json").json()
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert operation["description"], path
            sent = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if sent:
                name = sent["schema"].get("$ref", "").rpartition("/")[2]
                fields = (document["components"]["schemas"][name] if name else sent["schema"])["properties"]
                assert any("examples" in field for field in fields.values()), path
