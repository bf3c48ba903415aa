"""One trained model, the same images, every door: the same answers. And a model from elsewhere at the same doors."""

import io
import json

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

CLOSE = 1e-4  # every door within Coverslip
END_TO_END = 0.01  # the exported file resizes by itself, where a pixel may be rounded to the next grey level


@pytest.fixture(scope="module")
def tested(small_run):
    """Paths of the run's test images, below the folder that they are in."""
    rows = pl.read_csv(small_run.predictions_file)
    root = (small_run.folder / json.loads(small_run.audit_file.read_text())["root"]).resolve()
    return root, rows


@pytest.fixture(scope="module")
def wanted(small_run, tested):
    """What `Predictor` says of the test images."""
    root, rows = tested
    return by_name(api.predict(small_run.folder, [root / path for path in rows["path"]]))


@pytest.fixture(scope="module")
def ask(small_run):
    """``POST /v1/predict`` of the run."""
    from coverslip.serving.server import Wishes, open_service

    service = open_service(small_run, Wishes())
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
    """File name -> label, probabilities, set, familiar, of a table as every door writes it."""
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


def same(found, wanted, close=CLOSE):
    """Label, set and familiarity are the same, probabilities nearly."""
    assert found.keys() == wanted.keys() and found
    for name, (label, shares, members, familiar) in wanted.items():
        assert found[name][0] == label, name
        np.testing.assert_allclose(found[name][1], shares, atol=close, err_msg=name)
        assert found[name][2:] == (members, familiar), name


def test_the_run_itself_wrote_what_the_predictor_says(small_run, tested, wanted):
    same(by_name(tested[1]), wanted)
    accuracy = small_run.read_json(small_run.test_file)["scores"]["accuracy"]["value"]
    right = [wanted[row["path"].rpartition("/")[2]][0] == row["label"] for row in tested[1].iter_rows(named=True)]
    assert np.mean(right) == pytest.approx(accuracy)


def test_the_command_writes_it(small_run, tested, wanted, coverslip, tmp_path):
    root, rows = tested
    paths = [root / path for path in rows["path"]]
    same(by_name(pl.read_csv(io.StringIO(coverslip("predict", small_run.folder, *paths).done().out))), wanted)


def test_evaluate_writes_it_and_scores_it(small_run, tested, wanted, tmp_path):
    root, rows = tested
    table = rows.select(pl.format("{}/{}", pl.lit(str(root)), "path").alias("path"), "label")
    table.write_csv(tmp_path / "table.csv")
    there = api.evaluate(small_run.folder, tmp_path / "table.csv", tmp_path / "again")
    same(by_name(pl.read_csv(there.predictions_file)), wanted)
    scores = [run.read_json(run.test_file)["scores"]["accuracy"]["value"] for run in (small_run, there)]
    assert scores[0] == pytest.approx(scores[1])


def test_the_server_answers_it(ask, tested, wanted):
    root, rows = tested
    answers = [each for path in rows["path"] for each in ask([root / path])]
    found = {
        each["file"]: (
            each["label"],
            list(each["probabilities"].values()),
            None if each["set"] is None else " | ".join(each["set"]),
            each["familiar"],
        )
        for each in answers
    }
    same(found, wanted)
    together = ask([root / path for path in rows["path"]][:3])
    for one, other in zip(answers, together, strict=False):
        np.testing.assert_allclose(*(list(each["probabilities"].values()) for each in (one, other)), atol=CLOSE)


def test_explain_speaks_of_the_same_class(small_run, tested, wanted):
    root, rows = tested
    files = [root / path for path in rows["path"][:2]]
    for each in api.explain(small_run.folder, files, trust=False).images:
        label, shares, _, _ = wanted[each.name.rpartition("/")[2]]
        assert each.predicted == label and each.confidence == pytest.approx(max(shares), abs=CLOSE)


def test_the_exported_file_gives_it_from_decoded_pixels(leaves, tested, tmp_path):
    import onnxruntime
    from PIL import Image

    root, rows = tested
    # A small network: writing that of the other doors takes half a minute.
    run = api.train(
        leaves, tmp_path / "tiny", model_network="cnn-full", model_filters=(8, 12), input_size=32, training_epochs=2
    )
    wanted = by_name(api.predict(run.folder, [root / path for path in rows["path"]]))
    export(run.folder, tmp_path / "onnx", images=[root / path for path in rows["path"]])
    session = onnxruntime.InferenceSession(str(tmp_path / "onnx" / "model.onnx"))
    names = [each.name for each in session.get_outputs()]
    classes, found = api.load(run.folder).task.classes, {}
    for path in rows["path"]:
        pixels = np.asarray(Image.open(root / path).convert("RGB"))[None]
        answer = dict(zip(names, session.run(None, {"pixels": pixels}), strict=True))
        members = " | ".join(name for name, inside in zip(classes, answer["set"][0], strict=True) if inside)
        found[path.rpartition("/")[2]] = (
            classes[int(answer["label"][0])],
            answer["probabilities"][0].tolist(),
            members,
            bool(answer["familiar"][0]),
        )
    same(found, wanted, END_TO_END)
    # Used as a model from elsewhere it gets the images as every door resizes them, so nothing is rounded twice.
    again = by_name(api.predict(tmp_path / "onnx", [root / path for path in rows["path"]]))
    same({name: (*each[:3], wanted[name][3]) for name, each in again.items()}, wanted)


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """A linear classifier of channels-last images as ONNX, and the same in NumPy: (folder, function)."""
    from onnx import TensorProto, helper, numpy_helper, save_model

    rng = np.random.default_rng(0)
    weight = rng.normal(0, 0.2, (16 * 12 * 3, 3)).astype(np.float32)
    weight -= weight.mean(axis=0)  # else brightness would decide
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
    folder = tmp_path_factory.mktemp("stranger")
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    save_model(model, str(folder / "model.onnx"))

    def numpy_model(pixels):
        scores = (pixels.astype(np.float64) / 127.5 - 1).reshape(len(pixels), -1) @ weight + bias
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    return folder, numpy_model


def test_a_model_from_elsewhere_says_at_every_door_what_it_says_in_numpy(
    stranger, small_run, tested, coverslip, tmp_path
):
    from coverslip.serving.server import Wishes, open_service

    folder, numpy_model = stranger
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
    wanted = {
        path.rpartition("/")[2]: (classes[row.argmax()], row.tolist(), None, None)
        for path, row in zip(paths, shares, strict=True)
    }
    files = [root / path for path in paths]
    same(by_name(api.predict(folder, files)), wanted)
    said = coverslip("predict", folder / "model.onnx", *files).done()
    assert "no sets" in said.err and "unlike" in said.err
    same(by_name(pl.read_csv(io.StringIO(said.out), schema_overrides={"set": pl.String})), wanted)
    there = api.evaluate(folder, root, tmp_path / "evaluated")
    same({name: each for name, each in by_name(pl.read_csv(there.predictions_file)).items() if name in wanted}, wanted)
    assert any("no sets" in each for each in there.read_json(there.test_file)["warnings"])
    for each in api.explain(folder, files[:2]).images:
        label, row, _, _ = wanted[each.name.rpartition("/")[2]]
        assert each.predicted == label and each.confidence == pytest.approx(max(row), abs=CLOSE)
    service = open_service(Run.open(folder), Wishes())
    try:
        assert any("no sets" in each for each in service.model.warnings) and not service.model.calibrated
        answers = client_of(service)(files[:3], explain="true")
    finally:
        service.close()
    assert all(each["map"]["method"] == "occlusion" for each in answers)
    found = {each["file"]: (each["label"], list(each["probabilities"].values()), each["set"], None) for each in answers}
    same(found, {name: wanted[name] for name in found})
