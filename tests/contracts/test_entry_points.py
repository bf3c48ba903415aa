"""All entry points return the same predictions, for a trained model and for an external ONNX model."""

import io
import json
import re

import numpy as np
import polars as pl
import pytest

from coverslip import api
from coverslip.api.exporting import export
from coverslip.core.progress import Stage
from coverslip.core.runs import Run
from coverslip.data.decoding import PixelFormat, decode_all
from coverslip.data.sources.source import Files
from coverslip.inference.model_files import load_predictor

CLOSE = 1e-4  # all entry points of Coverslip
LIMITATION = re.compile("no (prediction )?sets")  # of every external model
END_TO_END = 0.01  # the exported file contains its own resize, which can round a pixel to the next grey level


@pytest.fixture(scope="module")
def tested(small_run):
    """Return the folder of the run's test images, and the table of their predictions."""
    rows = pl.read_csv(small_run.predictions_file)
    root = (small_run.folder / json.loads(small_run.audit_file.read_text())["root"]).resolve()
    return root, rows


@pytest.fixture(scope="module")
def expected(small_run, tested):
    """Return the predictions of `Predictor` for the test images."""
    root, rows = tested
    return by_name(api.predict(small_run.folder, [root / path for path in rows["path"]]))


@pytest.fixture(scope="module")
def predict(small_run):
    """Return a function that sends files to ``POST /v1/predict`` of the run."""
    from coverslip.serving.server import ServeConfig, open_service

    service = open_service(small_run, ServeConfig())
    yield client_of(service)
    service.close()


def client_of(service):
    from fastapi.testclient import TestClient

    from coverslip.serving.app import create_app

    client = TestClient(create_app(service), base_url="http://127.0.0.1:8000")

    def call(files, **query):
        form = [("files", (path.name, path.read_bytes(), "image/png")) for path in files]
        answer = client.post("/v1/predict", files=form, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()["images"]

    return call


def by_name(table):
    """Return {file name: (label, probabilities, set, familiar)} of a table of predictions."""
    names = [column for column in table.columns if column.startswith("p:")]
    return {
        row["path"].rpartition("/")[2]: (
            row["predicted"],
            [row[name] for name in names],
            row["set"],
            row["familiar"],
        )
        for row in table.iter_rows(named=True)
    }


def assert_same(actual, expected, close=CLOSE):
    """Assert equal labels, sets and familiarity, and nearly equal probabilities."""
    assert actual.keys() == expected.keys() and actual
    for name, (label, shares, members, familiar) in expected.items():
        assert actual[name][0] == label, name
        np.testing.assert_allclose(actual[name][1], shares, atol=close, err_msg=name)
        assert actual[name][2:] == (members, familiar), name


def test_the_predictions_of_the_run_are_those_of_the_predictor(small_run, tested, expected):
    assert_same(by_name(tested[1]), expected)
    accuracy = small_run.read_json(small_run.test_file)["scores"]["accuracy"]["value"]
    correct = [expected[row["path"].rpartition("/")[2]][0] == row["label"] for row in tested[1].iter_rows(named=True)]
    assert np.mean(correct) == pytest.approx(accuracy)


def test_the_command_predict_returns_them(small_run, tested, expected, coverslip, tmp_path):
    root, rows = tested
    paths = [root / path for path in rows["path"]]
    output = coverslip("predict", small_run.folder, *paths).done().out
    assert_same(by_name(pl.read_csv(io.StringIO(output))), expected)


def test_evaluate_writes_them_with_the_same_score(small_run, tested, expected, tmp_path):
    root, rows = tested
    table = rows.select(pl.format("{}/{}", pl.lit(str(root)), "path").alias("path"), "label")
    table.write_csv(tmp_path / "table.csv")
    evaluation = api.evaluate(small_run.folder, tmp_path / "table.csv", tmp_path / "again")
    assert_same(by_name(pl.read_csv(evaluation.predictions_file)), expected)
    scores = [run.read_json(run.test_file)["scores"]["accuracy"]["value"] for run in (small_run, evaluation)]
    assert scores[0] == pytest.approx(scores[1])


def test_the_server_returns_them(predict, tested, expected):
    root, rows = tested
    answers = [answer for path in rows["path"] for answer in predict([root / path])]
    actual = {
        answer["file"]: (
            answer["label"],
            list(answer["probabilities"].values()),
            None if answer["set"] is None else " | ".join(answer["set"]),
            answer["familiar"],
        )
        for answer in answers
    }
    assert_same(actual, expected)
    batch = predict([root / path for path in rows["path"]][:3])
    for single, batched in zip(answers, batch, strict=False):
        shares = [list(answer["probabilities"].values()) for answer in (single, batched)]
        np.testing.assert_allclose(*shares, atol=CLOSE)


def test_explain_explains_the_same_class(small_run, tested, expected):
    root, rows = tested
    files = [root / path for path in rows["path"][:2]]
    for image in api.explain(small_run.folder, files, trust=False).images:
        label, shares, _, _ = expected[image.name.rpartition("/")[2]]
        assert image.predicted == label and image.confidence == pytest.approx(max(shares), abs=CLOSE)


def test_the_exported_file_returns_them_from_decoded_pixels(leaves, tested, tmp_path):
    import onnxruntime
    from PIL import Image

    root, rows = tested
    # A small network, because exporting that of the other tests takes half a minute.
    run = api.train(
        leaves, tmp_path / "tiny", model_network="cnn-full", model_filters=(8, 12), input_size=32, training_epochs=2
    )
    expected = by_name(api.predict(run.folder, [root / path for path in rows["path"]]))
    export(run.folder, tmp_path / "onnx", images=[root / path for path in rows["path"]])
    session = onnxruntime.InferenceSession(str(tmp_path / "onnx" / "model.onnx"))
    names = [output.name for output in session.get_outputs()]
    classes, actual = api.load(run.folder).task.classes, {}
    for path in rows["path"]:
        pixels = np.asarray(Image.open(root / path).convert("RGB"))[None]
        outputs = dict(zip(names, session.run(None, {"pixels": pixels}), strict=True))
        members = " | ".join(name for name, inside in zip(classes, outputs["set"][0], strict=True) if inside)
        actual[path.rpartition("/")[2]] = (
            classes[int(outputs["label"][0])],
            outputs["probabilities"][0].tolist(),
            members,
            bool(outputs["familiar"][0]),
        )
    assert_same(actual, expected, END_TO_END)
    # As an external model, it receives images that are already resized, so nothing is rounded twice.
    reopened = by_name(api.predict(tmp_path / "onnx", [root / path for path in rows["path"]]))
    assert_same({name: (*row[:3], expected[name][3]) for name, row in reopened.items()}, expected)


@pytest.fixture(scope="module")
def external_model(tmp_path_factory):
    """Return the folder of a linear ONNX classifier of channels-last images, and the same classifier in NumPy."""
    from onnx import TensorProto, helper, numpy_helper, save_model

    rng = np.random.default_rng(0)
    weight = rng.normal(0, 0.2, (16 * 12 * 3, 3)).astype(np.float32)
    weight -= weight.mean(axis=0)  # otherwise brightness would decide
    bias = np.float32([0.1, -0.2, 0])
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("Gemm", ["flat", "weight", "bias"], ["scores"]),
    ]
    graph = helper.make_graph(
        nodes,
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 16, 12, 3])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(bias, "bias")],
    )
    folder = tmp_path_factory.mktemp("external")
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    save_model(model, str(folder / "model.onnx"))

    def numpy_model(pixels):
        logits = (pixels.astype(np.float64) / 127.5 - 1).reshape(len(pixels), -1) @ weight + bias
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    return folder, numpy_model


def test_an_external_model_gives_the_predictions_of_numpy_at_every_entry_point(
    external_model, small_run, tested, coverslip, tmp_path
):
    from coverslip.serving.server import ServeConfig, open_service

    folder, numpy_model = external_model
    root, rows = tested
    classes = list(load_predictor(Run.open(small_run.folder)).task.classes)
    about = {
        "classes": classes,
        "input": {"size": [16, 12], "fit": "pad", "range": [-1, 1], "layout": "NHWC"},
        "output": {"kind": "scores"},
    }
    (folder / "model.json").write_text(json.dumps(about))
    paths = list(rows["path"])
    chunks = decode_all(Files(root), paths, PixelFormat(3, "uint8"), (16, 12), "pad", Stage(), widen=False)
    shares = numpy_model(np.concatenate([chunk.pixels for chunk in chunks]))
    assert len(set(shares.argmax(axis=1))) > 1
    expected = {
        path.rpartition("/")[2]: (classes[row.argmax()], row.tolist(), None, None)
        for path, row in zip(paths, shares, strict=True)
    }
    files = [root / path for path in paths]
    assert_same(by_name(api.predict(folder, files)), expected)
    result = coverslip("predict", folder / "model.onnx", *files).done()
    assert LIMITATION.search(result.err)
    assert_same(by_name(pl.read_csv(io.StringIO(result.out), schema_overrides={"set": pl.String})), expected)
    evaluation = api.evaluate(folder, root, tmp_path / "evaluated")
    evaluated = by_name(pl.read_csv(evaluation.predictions_file))
    assert_same({name: row for name, row in evaluated.items() if name in expected}, expected)
    assert any(LIMITATION.search(warning) for warning in evaluation.read_json(evaluation.test_file)["warnings"])
    for image in api.explain(folder, files[:2]).images:
        label, row, _, _ = expected[image.name.rpartition("/")[2]]
        assert image.predicted == label and image.confidence == pytest.approx(max(row), abs=CLOSE)
    service = open_service(Run.open(folder), ServeConfig())
    try:
        assert any(LIMITATION.search(warning) for warning in service.model.warnings) and not service.model.calibrated
        answers = client_of(service)(files[:3], explain="true")
    finally:
        service.close()
    assert all(answer["map"]["method"] == "occlusion" for answer in answers)
    actual = {
        answer["file"]: (answer["label"], list(answer["probabilities"].values()), answer["set"], None)
        for answer in answers
    }
    assert_same(actual, {name: expected[name] for name in actual})
