"""The service against its own description, by schemathesis: what it allows and what it does not."""

import pytest

from coverslip.serving.app import create_app

schemathesis = pytest.importorskip("schemathesis")
from schemathesis.engine import events, from_schema  # noqa: E402


@pytest.fixture
def description(client):
    return client.get("/openapi.json").json()


def test_the_description_has_examples_and_every_failure(description):
    predict = description["paths"]["/v1/predict"]["post"]
    assert predict["requestBody"]["content"]["multipart/form-data"]["schema"]["required"] == ["files"]
    said = predict["responses"]
    assert {"200", "401", "403", "413", "415", "422", "429", "503"} <= set(said)
    example = said["200"]["content"]["application/json"]["example"]
    assert example["images"][0]["label"] == "rust" and "p:rust" in said["200"]["content"]["text/csv"]["example"]
    assert "threshold" not in example  # three classes: FastAPI leaves out what is null
    schemas = description["components"]["schemas"]
    assert "class_name" in schemas["Predictions"]["properties"]["threshold"]["description"]
    assert set(schemas["NamedFrom"]["properties"]) == {"class_name", "value"}
    assert set(schemas["Operating"]["properties"]) >= {"class_name", "value", "sensitivity", "measured_on"}
    properties = schemas["Answer"]["properties"]
    assert {"set", "map", "familiar", "unfamiliarity", "nearest", "error"} <= set(properties)


def test_the_service_keeps_to_its_description(small_service):
    app = create_app(small_service)
    schema = schemathesis.openapi.from_asgi("/openapi.json", app, headers={"host": "localhost"})
    schema.config.update(headers={"host": "localhost"})
    schema.config.generation.update(max_examples=4, deterministic=True, database="none")
    # No schema can say which bytes are an image, so that most of what it allows is refused with 415 or 422.
    schema.config.checks.update(excluded_check_names=["positive_data_acceptance"])
    asked, wrong = 0, []
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            asked += len(event.recorder.interactions)
            for checks in event.recorder.checks.values():
                wrong += [(check.name, check.failure_info) for check in checks if check.failure_info is not None]
        elif isinstance(event, events.NonFatalError | events.FatalError):
            wrong.append((type(event).__name__, event))
    assert wrong == [] and asked > 40
