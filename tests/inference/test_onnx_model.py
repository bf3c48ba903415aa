"""ONNX models of other programs: predictions equal those of the model, and invalid models are refused."""

import json
import os

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save_model
from PIL import Image

from coverslip import api
from coverslip.core.errors import UserError
from coverslip.core.runs import OnnxRun, Run
from coverslip.inference.onnx_model import load_onnx

CLASSES = ["blight", "healthy", "rust"]
SIZE = (8, 10)


def value(name, shape, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def write(folder, nodes, inputs, outputs, weights=(), name="model.onnx", domains=("", "ai.onnx.ml")):
    """Write an ONNX file with the given nodes and weights (by name)."""
    tensors = [numpy_helper.from_array(array, key) for key, array in dict(weights).items()]
    graph = helper.make_graph(nodes, "model", inputs, outputs, tensors)
    versions = {"": 18, "ai.onnx.ml": 3}
    opsets = [helper.make_opsetid(domain, versions.get(domain, 1)) for domain in domains]
    folder.mkdir(exist_ok=True)
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    save_model(model, str(folder / name))
    return model


def describe(folder, classes=CLASSES, kind="logits", name="", **options):
    """Write the ``model.json`` of a model."""
    inputs = {"size": SIZE, "range": [0, 1], **options}
    content = {"classes": classes, "input": inputs, "output": {"kind": kind, "name": name}}
    (folder / "model.json").write_text(json.dumps(content))


def linear(folder, shape, outputs=3, kind=TensorProto.FLOAT, last="", dtype=np.float32, batch="n", seed=0):
    """Write a linear classifier of images of this shape, and return its logits as a NumPy function of the inputs."""
    rng, length = np.random.default_rng(seed), int(np.prod(shape))
    weight = rng.normal(0, 0.3, (length, outputs)).astype(dtype)
    weight -= weight.mean(axis=0)
    real = TensorProto.DOUBLE if dtype == np.float64 else TensorProto.FLOAT
    nodes = [
        helper.make_node("Cast", ["x"], ["real"], to=real),
        helper.make_node("Flatten", ["real"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["logits"]),
    ]
    nodes.append(helper.make_node(last or "Identity", ["logits"], ["y"]))
    write(folder, nodes, [value("x", [batch, *shape], kind)], [value("y", [batch, outputs], real)], {"weight": weight})
    return lambda inputs: inputs.reshape(len(inputs), -1).astype(np.float64) @ weight


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.fixture
def squares(tmp_path):
    """Return five noise images of the input size, so that nothing is resized: (paths, uint8 (5, H, W, 3))."""
    pixels = np.random.default_rng(1).integers(0, 256, (5, *SIZE, 3), np.uint8)
    (tmp_path / "squares").mkdir()
    paths = [tmp_path / "squares" / f"{number}.png" for number in range(5)]
    for path, image in zip(paths, pixels, strict=True):
        Image.fromarray(image).save(path)
    return paths, pixels


def predicted(model, paths):
    return api.predict(model, paths).select("^p:.*$").to_numpy()


def unit(pixels):
    return pixels / 255


NCHW, NHWC = (3, *SIZE), (*SIZE, 3)
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
LAYOUTS = {
    "PyTorch, ImageNet": (
        {"layout": "NCHW", "mean": MEAN, "std": STD},
        {"shape": NCHW},
        lambda x: ((unit(x) - MEAN) / STD).transpose(0, 3, 1, 2),
    ),
    "Keras, -1 to 1, softmax": ({"layout": "NHWC", "range": [-1, 1]}, {"shape": NHWC, "last": "Softmax"}, None),
    "OpenCV, bytes": (
        {"layout": "NHWC", "channels": "BGR", "range": [0, 255]},
        {"shape": NHWC, "kind": TensorProto.UINT8},
        lambda x: x[..., ::-1] * 1.0,
    ),
    "scikit-learn, doubles": (
        {"layout": "flat"},
        {"shape": (240,), "dtype": np.float64, "kind": TensorProto.DOUBLE},
        unit,
    ),
    "flattened by PyTorch": ({"layout": "flat-CHW"}, {"shape": (240,)}, lambda x: unit(x).transpose(0, 3, 1, 2)),
    "batches of two": ({"layout": "NHWC"}, {"shape": NHWC, "batch": 2}, unit),
    "half precision in": ({"layout": "NHWC"}, {"shape": NHWC, "kind": TensorProto.FLOAT16}, None),
}


@pytest.mark.parametrize("case", LAYOUTS)
def test_predictions_equal_those_in_numpy_for_every_layout(tmp_path, squares, case):
    options, architecture, prepare = LAYOUTS[case]
    folder, (paths, pixels) = tmp_path / "model", squares
    logits = linear(folder, **architecture)
    if prepare is None:
        prepare = (lambda x: x / 127.5 - 1) if "range" in options else lambda x: unit(x).astype(np.float16)
    describe(folder, kind="probabilities" if "last" in architecture else "logits", **options)
    expected = softmax(logits(prepare(pixels)))
    assert expected.max() > 0.9 and len(set(expected.argmax(axis=1))) > 1  # the test is not trivial
    np.testing.assert_allclose(predicted(folder, paths), expected, atol=2e-5)


def test_grayscale_images_without_a_channel_axis(tmp_path, squares):
    folder, (paths, pixels) = tmp_path / "model", squares
    logits = linear(folder, SIZE)
    for path, image in zip(paths, pixels, strict=True):
        Image.fromarray(image[:, :, 0]).save(path)
    describe(folder, layout="NHW", channels="grey")
    np.testing.assert_allclose(predicted(folder, paths), softmax(logits(unit(pixels[:, :, :, 0]))), atol=2e-5)


@pytest.mark.parametrize("last", ["", "Sigmoid"])
def test_a_single_output_refers_to_the_second_class(tmp_path, squares, last):
    folder, (paths, pixels) = tmp_path / "model", squares
    logits = linear(folder, NHWC, outputs=1, last=last)
    describe(folder, ["healthy", "rust"], "probabilities" if last else "logits", layout="NHWC")
    expected = 1 / (1 + np.exp(-logits(unit(pixels))))
    np.testing.assert_allclose(predicted(folder, paths)[:, 1:], expected, atol=2e-5)


@pytest.mark.parametrize("names", [CLASSES, ["rust", "healthy", "blight"]], ids=["sorted", "in another order"])
def test_class_maps_of_scikit_learn_are_read_by_name(tmp_path, squares, names):
    folder, (paths, pixels) = tmp_path / "model", squares
    weight = np.random.default_rng(0).normal(0, 0.2, (3, 240)).astype(np.float32)
    nodes = [
        helper.make_node(
            "LinearClassifier",
            ["x"],
            ["label", "shares"],
            domain="ai.onnx.ml",
            classlabels_strings=CLASSES,
            coefficients=weight.ravel().tolist(),
            intercepts=[0.0] * 3,
            post_transform="SOFTMAX",
        ),
        helper.make_node("ZipMap", ["shares"], ["table"], domain="ai.onnx.ml", classlabels_strings=CLASSES),
    ]
    kind = helper.make_map_type_proto(TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    table = helper.make_value_info("table", helper.make_sequence_type_proto(kind))
    write(folder, nodes, [value("x", ["n", 240])], [value("label", ["n"], TensorProto.STRING), table])
    describe(folder, names, "probabilities", layout="flat")
    expected = softmax(unit(pixels).reshape(5, -1) @ weight.T)[:, [CLASSES.index(name) for name in names]]
    np.testing.assert_allclose(predicted(folder, paths), expected, atol=2e-5)


def test_a_template_is_written_if_the_description_is_missing(tmp_path, squares, coverslip):
    folder, (paths, pixels) = tmp_path / "model", squares
    logits = linear(folder, NHWC)
    coverslip("predict", folder, paths[0]).refused("a template was written", "classes", "input.range")
    template = json.loads((folder / "model.json").read_text())
    assert template["input"]["size"] == list(SIZE) and template["input"]["layout"] == "NHWC"
    assert len(template["classes"]) == 3 and template["input"]["channels"] == "RGB"
    coverslip("predict", folder, paths[0]).refused("incomplete", "output.kind", "help")
    template["classes"], template["output"]["kind"] = CLASSES, "logits"
    template["input"] |= {"range": [0, 1], "fit": "squash"}
    (folder / "model.json").write_text(json.dumps(template))
    np.testing.assert_allclose(predicted(folder / "model.onnx", paths), softmax(logits(unit(pixels))), atol=2e-5)


REFUSED = {
    "other size": ({"size": [16, 16]}, "takes 'x' .*8 x 10 x 3.*describes 16 x 16 x 3"),
    "other layout": ({"layout": "NCHW"}, "describes 3 x 8 x 10"),
    "too few classes": ({"classes": ["a", "b"]}, "2 classes"),
    "a class twice": ({"classes": ["a", "b", "a"]}, "'a', which is duplicated"),
    "not probabilities": ({"kind": "probabilities"}, "does not contain probabilities"),
    "no such output": ({"name": "z"}, "no output 'z'"),
    "a typo": ({"fitt": "pad"}, "no key 'fitt'"),
    "a decreasing range": ({"range": [1, 0]}, "low < high"),
    "a deviation of 0": ({"std": [0, 1, 1]}, "is not positive"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_description_that_disagrees_with_the_file_is_refused(tmp_path, case):
    invalid, message = REFUSED[case]
    linear(tmp_path / "model", NHWC)
    describe(tmp_path / "model", **{"layout": "NHWC", **invalid})
    with pytest.raises(UserError, match=message):
        api.load(tmp_path / "model")


def invalid_model(tmp_path, case):
    """Write a folder with an ONNX file that must be refused."""
    folder = tmp_path / "model"
    inputs, outputs = [value("x", ["n", *NHWC])], [value("y", ["n", 3])]
    flat = helper.make_node("Flatten", ["x"], ["flat"])
    weights = {"w": np.zeros((240, 3), np.float32)}
    product = helper.make_node("MatMul", ["flat", "w"], ["y"])
    if case == "text":
        folder.mkdir()
        (folder / "model.onnx").write_text("not a model")
    elif case in ("outside", "missing"):
        model = write(folder, [flat, product], inputs, outputs, weights)
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", "../secret" if case == "outside" else "weights.bin"
        (tmp_path / "secret").write_bytes(bytes(2880))
        (folder / "model.onnx").write_bytes(model.SerializeToString())
    elif case == "custom":
        fancy = helper.make_node("Fancy", ["flat"], ["y"], domain="my.company")
        write(folder, [flat, fancy], inputs, outputs, domains=("", "my.company"))
    elif case == "two inputs":
        more = helper.make_node("Add", ["p", "q"], ["y"])
        product = helper.make_node("MatMul", ["flat", "w"], ["p"])
        write(folder, [flat, product, more], [*inputs, value("q", ["n", 3])], outputs, weights)
    elif case == "nan":
        weights["w"] += np.nan
        write(folder, [flat, product], inputs, outputs, weights)
    elif case == "two outputs":
        twice = helper.make_node("Identity", ["y"], ["z"])
        write(folder, [flat, product, twice], inputs, [*outputs, value("z", ["n", 3])], weights)
    elif case == "text in":
        same = helper.make_node("Identity", ["x"], ["y"])
        write(folder, [same], [value("x", [1], TensorProto.STRING)], [value("y", [1], TensorProto.STRING)])
    elif case == "several":
        write(folder, [flat, product], inputs, outputs, weights, "one.onnx")
        write(folder, [flat, product], inputs, outputs, weights, "two.onnx")
    describe(folder, layout="NHWC")
    return folder


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("text", "is not an ONNX file"),
        ("outside", "'../secret', which is outside its folder"),
        ("missing", "'weights.bin', which does not exist"),
        ("custom", "custom operators: my.company.Fancy"),
        ("two inputs", "has 2 inputs"),
        ("nan", "returns NaN or infinity"),
        ("two outputs", "2 of them qualify.*output.name"),
        ("text in", "not an image type"),
        ("several", "contains 2 ONNX files"),
    ],
)
def test_an_invalid_file_is_refused(tmp_path, case, message):
    with pytest.raises(UserError, match=f"(?s){message}"):
        api.load(invalid_model(tmp_path, case))


@pytest.mark.skipif(os.name == "nt", reason="symlinks need privileges on Windows")
def test_external_weights_are_not_read_through_a_symlink_to_outside(tmp_path):
    folder = invalid_model(tmp_path, "missing")
    (folder / "weights.bin").symlink_to(tmp_path / "secret")
    with pytest.raises(UserError, match="outside its folder"):
        api.load(folder)


@pytest.mark.parametrize("name", ["model.keras", "model.pt", "model.pkl"])
def test_formats_that_can_contain_code_are_not_opened(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x80\x04")
    with pytest.raises(UserError, match=r"(?s)is not an ONNX.*convert it"):
        api.load(tmp_path / name)


def test_a_model_that_returns_nan_is_refused(tmp_path, squares):
    folder, (paths, _) = tmp_path / "model", squares
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("Sub", ["flat", "most"], ["below"]),
        helper.make_node("Sqrt", ["below"], ["root"]),  # NaN below 0
        helper.make_node("MatMul", ["root", "w"], ["y"]),
    ]
    weights = {"w": np.ones((240, 3), np.float32), "most": np.float32([0.0])}
    write(folder, nodes, [value("x", ["n", *NHWC])], [value("y", ["n", 3])], weights)
    describe(folder, layout="NHWC")
    assert len(api.predict(folder, paths)) == 5
    describe(folder, layout="NHWC", mean=[0.1])
    with pytest.raises(UserError, match="NaN"):
        api.predict(folder, paths)


def test_the_name_scores_of_version_0_1_is_accepted_for_logits(tmp_path, squares):
    folder, (paths, pixels) = tmp_path / "model", squares
    logits = linear(folder, NHWC)
    describe(folder, kind="scores", layout="NHWC")
    np.testing.assert_allclose(predicted(folder, paths), softmax(logits(unit(pixels))), atol=2e-5)


@pytest.fixture
def spotted(tmp_path, paint):
    """Return a model that predicts the color of the upper left corner, and images."""
    mask = np.zeros((*SIZE, 3, 3), np.float32)
    mask[:4, :5, range(3), range(3)] = 0.5
    nodes = [helper.make_node("Flatten", ["x"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["y"])]
    folder = tmp_path / "model"
    inputs = [value("x", ["n", *NHWC])]
    write(folder, nodes, inputs, [value("y", ["n", 3])], {"w": mask.reshape(240, 3)})
    describe(folder, layout="NHWC")
    return folder, paint(blight=4, healthy=4, rust=4)


def test_an_onnx_model_is_evaluated_compared_and_reported(spotted, tmp_path):
    folder, images = spotted
    other = tmp_path / "other"
    linear(other, NHWC)
    describe(other, layout="NHWC")
    runs = [api.evaluate(model, images, tmp_path / f"e{number}") for number, model in enumerate((folder, other))]
    test = runs[0].read_json(runs[0].test_file)
    assert test["scores"]["accuracy"]["value"] == 1 and test["sets"] is None and test["familiarity"] is None
    assert any("not trained with Coverslip" in warning for warning in test["warnings"])
    page = runs[0].report_file.read_text()
    assert "model.onnx (an ONNX file)" in page and "pretrained weights" not in page
    assert "temperature of" not in page
    comparison = api.compare([run.folder for run in runs], tmp_path / "compared")
    assert len(comparison["runs"]) == 2 and comparison["shared"]["images"] == 12
    assert (tmp_path / "compared" / "comparison.html").is_file()


def test_an_onnx_model_is_explained_by_occlusion_only(spotted, coverslip, tmp_path):
    folder, _ = spotted
    pixels = np.full((*SIZE, 3), 100, np.uint8)
    pixels[1:3, 1:4] = 250, 0, 0
    image = tmp_path / "spot.png"
    Image.fromarray(pixels).save(image)
    explanation = api.explain(folder, image)
    heat = explanation.heatmaps[0].values
    height, width = heat.shape
    assert heat[: height // 2, : width // 2].sum() > 0.8 * heat.sum() > 0
    assert explanation.method == "occlusion" and explanation.trust is None
    assert any("ONNX" in note for note in explanation.notes)
    for options in (
        ["--method", "grad-cam"],
        ["--method", "gradient"],
        ["--layer", "y"],
        ["--ideal"],
        ["--filters", "y"],
    ):
        coverslip("explain", folder, image, *options).refused("occlusion", "ONNX")
    coverslip("explain", folder, "--test").refused("test set")
    coverslip("export", folder).refused("ONNX")
    result = coverslip("explain", folder / "model.onnx", image, "--out", tmp_path / "explained").done()
    assert "--test" not in result.out


def test_each_of_several_models_in_a_folder_has_its_own_description(spotted):
    folder, _ = spotted
    (folder / "model.onnx").rename(folder / "corner.onnx")
    (folder / "model.json").rename(folder / "corner.json")
    linear(folder, NHWC)
    with pytest.raises(UserError, match=r"model\.json"):
        api.load(folder)
    run = Run.open(folder / "corner.onnx")
    assert isinstance(run, OnnxRun) and load_onnx(run).task.classes == tuple(CLASSES)
