"""Models of every task are served: answers and CSV equal those of `predict`, and the page shows them."""

import io
import threading

import polars as pl
import pytest
from tests.contracts.test_tasks import OPTIONS
from tests.task_data import write_task_images

from coverslip import api
from coverslip.core.progress import SILENT
from coverslip.serving.limits import Limits
from coverslip.serving.server import ServeConfig, open_service
from coverslip.tasks import TASKS

from .browser import chromium, drop, tab

fastapi = pytest.importorskip("fastapi", reason="the extra [serve] is not installed")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write_task_images(tmp_path_factory.mktemp("served") / "plants", images=90)


@pytest.fixture(scope="module", params=list(TASKS))
def served(request, table, tmp_path_factory):
    run = api.train(table, tmp_path_factory.mktemp("runs") / request.param, group="plant", **OPTIONS[request.param])
    service = open_service(run, ServeConfig(limits=Limits()), SILENT)
    yield run, service
    service.close()


@pytest.fixture(scope="module")
def client(served):
    from fastapi.testclient import TestClient

    from coverslip.serving.app import create_app

    return TestClient(create_app(served[1]), base_url="http://127.0.0.1:8000")


@pytest.fixture(scope="module")
def sent(client, table):
    """Return three images and the response for them."""
    paths = [table.parent / f"images/{number:03d}.png" for number in (1, 4, 7)]
    files = [("files", (path.name, path.read_bytes(), "image/png")) for path in paths]
    return paths, files


def test_answers_are_those_of_predict(served, client, sent):
    run, service = served
    rows = api.predict(run.folder, sent[0])
    answers = client.post("/v1/predict", files=sent[1]).json()["images"]
    for row, answer in zip(rows.iter_rows(named=True), answers, strict=True):
        assert answer["task"] == service.model.task
        if answer["task"] == "regression":
            (value,) = answer["values"]
            assert value["name"] == "share"
            assert [value[key] for key in ("value", "low", "high")] == pytest.approx(
                [row[key] for key in ("predicted", "low", "high")], abs=1e-3
            )
        elif answer["task"] == "multilabel":
            assert (";".join(answer["labels"]) or "none") == row["predicted"]
            assert (";".join(answer["set"]) or "none") == row["set"]
            assert answer["probabilities"]["rust"] == pytest.approx(row["p:rust"], abs=1e-3)
        else:
            assert answer["label"] == row["predicted"]
            assert " | ".join(answer["set"]) == row["set"]


def test_the_csv_has_the_columns_of_predict(served, client, sent):
    run, _ = served
    text = client.post("/v1/predict", files=sent[1], params={"format": "csv"}).text
    received = pl.read_csv(io.StringIO(text))
    expected = api.predict(run.folder, sent[0])
    shared = [name for name in expected.columns if name in received.columns]
    assert set(shared) >= {"predicted", "familiar", "error"}
    for name in set(shared) - {"path"}:
        for one, other in zip(received[name].to_list(), expected[name].to_list(), strict=True):
            assert one == (pytest.approx(other, abs=1e-3) if isinstance(other, float) else other), name


def test_the_model_names_its_task_and_the_score_of_its_task(served, client):
    run, _ = served
    model = client.get("/v1/model").json()
    test = run.read_json(run.test_file)
    assert model["task"] == test["task"]
    assert model["score"]["value"] == test["scores"][model["score"]["name"]]["value"]
    assert bool(model["classes"]) == (model["task"] != "regression")
    if model["task"] == "regression":
        assert model["targets"][0]["low"] < model["targets"][0]["high"]


def test_a_file_that_is_no_image_has_an_error_of_the_task(served, client, sent):
    files = [*sent[1], ("files", ("text.png", b"no image", "image/png"))]
    answers = client.post("/v1/predict", files=files).json()["images"]
    assert [answer["error"] is None for answer in answers] == [True, True, True, False]
    assert len({answer["task"] for answer in answers}) == 1
    assert all(neighbor["label"] for neighbor in answers[0]["nearest"]) and answers[0]["nearest"]


def test_the_description_is_a_union_of_answers_by_task(client):
    images = client.get("/openapi.json").json()["components"]["schemas"]["Predictions"]["properties"]["images"]
    assert set(images["items"]["discriminator"]["mapping"]) == set(TASKS)


def test_the_page_shows_the_prediction_of_the_task(served, sent):
    uvicorn = pytest.importorskip("uvicorn", reason="the extra [serve] is not installed")
    from coverslip.serving.addresses import listen
    from coverslip.serving.app import create_app

    run, service = served
    listener = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(create_app(service), log_config=None, access_log=False, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    files = [{"name": path.name, "mimeType": "image/png", "buffer": path.read_bytes()} for path in sent[0]]
    row = api.predict(run.folder, sent[0][:1]).row(0, named=True)
    shown = {"regression": f"{row['predicted']:.3g}"[:4] if service.model.task == "regression" else ""}
    expected = shown.get(service.model.task) or str(row["predicted"]).replace(";", ", ").replace("none", "no label")
    try:
        with chromium() as browser, tab(browser) as page:
            page.goto(f"http://127.0.0.1:{listener.getsockname()[1]}/")
            page.wait_for_selector("body.ready")
            assert service.model.score is not None
            drop(page, files[:1])
            page.wait_for_selector("#answer .evidence")
            assert page.inner_text("#answer-title").startswith(expected)
            drop(page, files)
            page.wait_for_selector("#table tbody tr:nth-child(4) .c4")
            assert page.locator("#table tbody tr").count() == 4
    finally:
        server.should_exit = True
        thread.join(30)
        listener.close()
