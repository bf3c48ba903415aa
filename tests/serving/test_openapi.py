"""The service conforms to its OpenAPI description, checked with schemathesis."""

import pytest

from coverslip.serving.app import create_app

schemathesis = pytest.importorskip("schemathesis")
from schemathesis.engine import events, from_schema  # noqa: E402


@pytest.fixture
def description(client):
    return client.get("/openapi.json").json()


def test_the_description_has_examples_and_all_error_responses(description):
    predict = description["paths"]["/v1/predict"]["post"]
    assert predict["requestBody"]["content"]["multipart/form-data"]["schema"]["required"] == ["files"]
    responses = predict["responses"]
    assert {"200", "401", "403", "413", "415", "422", "429", "503"} <= set(responses)
    example = responses["200"]["content"]["application/json"]["example"]
    assert example["images"][0]["label"] == "rust" and "p:rust" in responses["200"]["content"]["text/csv"]["example"]
    assert "threshold" not in example  # three classes; FastAPI omits null values
    schemas = description["components"]["schemas"]
    assert "class_name" in schemas["Predictions"]["properties"]["threshold"]["description"]
    assert set(schemas["DecisionThreshold"]["properties"]) == {"class_name", "value"}
    assert set(schemas["OperatingPoint"]["properties"]) >= {"class_name", "value", "sensitivity", "measured_on"}
    properties = schemas["Answer"]["properties"]
    assert {"set", "map", "familiar", "unfamiliarity", "nearest", "error"} <= set(properties)


def test_the_service_conforms_to_its_description(small_service):
    app = create_app(small_service)
    schema = schemathesis.openapi.from_asgi("/openapi.json", app, headers={"host": "localhost"})
    schema.config.update(headers={"host": "localhost"})
    schema.config.generation.update(max_examples=4, deterministic=True, database="none")
    # A schema cannot describe which bytes are an image: most requests that it allows are refused with 415 or 422.
    schema.config.checks.update(excluded_check_names=["positive_data_acceptance"])
    requests, problems = 0, []
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            requests += len(event.recorder.interactions)
            for checks in event.recorder.checks.values():
                problems += [(check.name, check.failure_info) for check in checks if check.failure_info is not None]
        elif isinstance(event, events.NonFatalError | events.FatalError):
            problems.append((type(event).__name__, event))
    assert problems == [] and requests > 40
