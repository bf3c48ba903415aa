"""ONNX models from elsewhere: what they give is what Coverslip says, and what is wrong with one is said in words."""

import json
import os

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save_model
from PIL import Image

from coverslip import api
from coverslip.core.errors import UserError
from coverslip.core.runs import ForeignRun, Run
from coverslip.inference.foreign import load_foreign

CLASSES = ["blight", "healthy", "rust"]
SIZE = (8, 10)


def value(name, shape, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def write(folder, nodes, taken, given, weights=(), name="model.onnx", domains=("", "ai.onnx.ml")):
    """An ONNX file of these nodes; weights by name."""
    tensors = [numpy_helper.from_array(array, key) for key, array in dict(weights).items()]
    graph = helper.make_graph(nodes, "model", taken, given, tensors)
    versions = {"": 18, "ai.onnx.ml": 3}
    opsets = [helper.make_opsetid(domain, versions.get(domain, 1)) for domain in domains]
    folder.mkdir(exist_ok=True)
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    save_model(model, str(folder / name))
    return model


def describe(folder, classes=CLASSES, kind="scores", name="", **taken):
    """``model.json`` beside it."""
    given = {"size": SIZE, "range": [0, 1], **taken}
    content = {"classes": classes, "input": given, "output": {"kind": kind, "name": name}}
    (folder / "model.json").write_text(json.dumps(content))


def linear(folder, shape, outputs=3, kind=TensorProto.FLOAT, last="", dtype=np.float32, batch="n", seed=0):
    """A linear classifier of images of this shape, and its scores in NumPy, given what goes in."""
    rng, length = np.random.default_rng(seed), int(np.prod(shape))
    weight = rng.normal(0, 0.3, (length, outputs)).astype(dtype)
    weight -= weight.mean(axis=0)
    real = TensorProto.DOUBLE if dtype == np.float64 else TensorProto.FLOAT
    nodes = [
        helper.make_node("Cast", ["x"], ["real"], to=real),
        helper.make_node("Flatten", ["real"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weight"], ["scores"]),
    ]
    nodes += [helper.make_node(last, ["scores"], ["y"])] if last else [helper.make_node("Identity", ["scores"], ["y"])]
    write(folder, nodes, [value("x", [batch, *shape], kind)], [value("y", [batch, outputs], real)], {"weight": weight})
    return lambda given: given.reshape(len(given), -1).astype(np.float64) @ weight


def softmax(scores):
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.fixture
def squares(tmp_path):
    """Five images of noise of the very size, so that nothing is resized: (paths, uint8 (5, H, W, 3))."""
    pixels = np.random.default_rng(1).integers(0, 256, (5, *SIZE, 3), np.uint8)
    (tmp_path / "squares").mkdir()
    paths = [tmp_path / "squares" / f"{number}.png" for number in range(5)]
    for path, each in zip(paths, pixels, strict=True):
        Image.fromarray(each).save(path)
    return paths, pixels


def said(model, paths):
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
def test_every_layout_gives_what_the_file_gives_in_numpy(tmp_path, squares, case):
    about, made, prepare = LAYOUTS[case]
    folder, (paths, pixels) = tmp_path / "model", squares
    scores = linear(folder, **made)
    if prepare is None:
        prepare = (lambda x: x / 127.5 - 1) if "range" in about else lambda x: unit(x).astype(np.float16)
    describe(folder, kind="probabilities" if "last" in made else "scores", **about)
    wanted = softmax(scores(prepare(pixels)))
    assert wanted.max() > 0.9 and len(set(wanted.argmax(axis=1))) > 1  # it could go wrong
    np.testing.assert_allclose(said(folder, paths), wanted, atol=2e-5)


def test_grey_images_without_an_axis_of_channels(tmp_path, squares):
    folder, (paths, pixels) = tmp_path / "model", squares
    scores = linear(folder, SIZE)
    for path, each in zip(paths, pixels, strict=True):
        Image.fromarray(each[:, :, 0]).save(path)
    describe(folder, layout="NHW", channels="grey")
    np.testing.assert_allclose(said(folder, paths), softmax(scores(unit(pixels[:, :, :, 0]))), atol=2e-5)


@pytest.mark.parametrize("last", ["", "Sigmoid"])
def test_one_output_speaks_for_the_second_of_two_classes(tmp_path, squares, last):
    folder, (paths, pixels) = tmp_path / "model", squares
    scores = linear(folder, NHWC, outputs=1, last=last)
    describe(folder, ["healthy", "rust"], "probabilities" if last else "scores", layout="NHWC")
    wanted = 1 / (1 + np.exp(-scores(unit(pixels))))
    np.testing.assert_allclose(said(folder, paths)[:, 1:], wanted, atol=2e-5)


@pytest.mark.parametrize("names", [CLASSES, ["rust", "healthy", "blight"]], ids=["sorted", "in another order"])
def test_scikit_learns_table_of_classes_is_read_by_name(tmp_path, squares, names):
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
    wanted = softmax(unit(pixels).reshape(5, -1) @ weight.T)[:, [CLASSES.index(name) for name in names]]
    np.testing.assert_allclose(said(folder, paths), wanted, atol=2e-5)


def test_a_missing_description_is_written_to_be_filled_in(tmp_path, squares, coverslip):
    folder, (paths, pixels) = tmp_path / "model", squares
    scores = linear(folder, NHWC)
    coverslip("predict", folder, paths[0]).refused("one to fill in was written", "classes", "input.range")
    written = json.loads((folder / "model.json").read_text())
    assert written["input"]["size"] == list(SIZE) and written["input"]["layout"] == "NHWC"
    assert len(written["classes"]) == 3 and written["input"]["channels"] == "RGB"
    coverslip("predict", folder, paths[0]).refused("not filled in", "output.kind", "help")
    written["classes"], written["output"]["kind"] = CLASSES, "scores"
    written["input"] |= {"range": [0, 1], "fit": "squash"}
    (folder / "model.json").write_text(json.dumps(written))
    np.testing.assert_allclose(said(folder / "model.onnx", paths), softmax(scores(unit(pixels))), atol=2e-5)


REFUSED = {
    "other size": ({"size": [16, 16]}, "takes 'x' .*8 x 10 x 3.*says 16 x 16 x 3"),
    "other layout": ({"layout": "NCHW"}, "says 3 x 8 x 10"),
    "too few classes": ({"classes": ["a", "b"]}, "2 classes"),
    "a class twice": ({"classes": ["a", "b", "a"]}, "'a' twice"),
    "not probabilities": ({"kind": "probabilities"}, "holds no probabilities"),
    "no such output": ({"name": "z"}, "no output 'z'"),
    "a typo": ({"fitt": "pad"}, "no key 'fitt'"),
    "a range that falls": ({"range": [1, 0]}, "does not rise"),
    "a deviation of 0": ({"std": [0, 1, 1]}, "cannot be divided"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_description_that_does_not_agree_with_the_file_is_refused(tmp_path, case):
    wrong, words = REFUSED[case]
    linear(tmp_path / "model", NHWC)
    describe(tmp_path / "model", **{"layout": "NHWC", **wrong})
    with pytest.raises(UserError, match=words):
        api.load(tmp_path / "model")


def spoilt(tmp_path, case):
    """A folder with an ONNX file that is not to be used."""
    folder = tmp_path / "model"
    taken, given = [value("x", ["n", *NHWC])], [value("y", ["n", 3])]
    flat = helper.make_node("Flatten", ["x"], ["flat"])
    weights = {"w": np.zeros((240, 3), np.float32)}
    product = helper.make_node("MatMul", ["flat", "w"], ["y"])
    if case == "text":
        folder.mkdir()
        (folder / "model.onnx").write_text("not a model")
    elif case in ("outside", "missing"):
        model = write(folder, [flat, product], taken, given, weights)
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", "../secret" if case == "outside" else "weights.bin"
        (tmp_path / "secret").write_bytes(bytes(2880))
        (folder / "model.onnx").write_bytes(model.SerializeToString())
    elif case == "custom":
        own = helper.make_node("Fancy", ["flat"], ["y"], domain="my.company")
        write(folder, [flat, own], taken, given, domains=("", "my.company"))
    elif case == "two inputs":
        more = helper.make_node("Add", ["p", "q"], ["y"])
        product = helper.make_node("MatMul", ["flat", "w"], ["p"])
        write(folder, [flat, product, more], [*taken, value("q", ["n", 3])], given, weights)
    elif case == "nan":
        weights["w"] += np.nan
        write(folder, [flat, product], taken, given, weights)
    elif case == "two outputs":
        twice = helper.make_node("Identity", ["y"], ["z"])
        write(folder, [flat, product, twice], taken, [*given, value("z", ["n", 3])], weights)
    elif case == "text in":
        same = helper.make_node("Identity", ["x"], ["y"])
        write(folder, [same], [value("x", [1], TensorProto.STRING)], [value("y", [1], TensorProto.STRING)])
    elif case == "several":
        write(folder, [flat, product], taken, given, weights, "one.onnx")
        write(folder, [flat, product], taken, given, weights, "two.onnx")
    describe(folder, layout="NHWC")
    return folder


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("text", "is not an ONNX file"),
        ("outside", "'../secret', which is outside its folder"),
        ("missing", "'weights.bin', which is not beside it"),
        ("custom", "operators of its own: my.company.Fancy"),
        ("two inputs", "takes 2 inputs"),
        ("nan", "gives NaN or infinity"),
        ("two outputs", "not clear.*output.name"),
        ("text in", "which no image is"),
        ("several", "holds 2 ONNX files"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_words(tmp_path, case, words):
    with pytest.raises(UserError, match=f"(?s){words}"):
        api.load(spoilt(tmp_path, case))


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_weights_are_not_read_through_a_link_that_leads_out(tmp_path):
    folder = spoilt(tmp_path, "missing")
    (folder / "weights.bin").symlink_to(tmp_path / "secret")
    with pytest.raises(UserError, match="outside its folder"):
        api.load(folder)


@pytest.mark.parametrize("name", ["model.keras", "model.pt", "model.pkl"])
def test_files_that_could_run_code_are_not_opened(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x80\x04")
    with pytest.raises(UserError, match=r"(?s)is not ONNX.*make it ONNX"):
        api.load(tmp_path / name)


def test_an_image_without_an_answer_is_named_as_such(tmp_path, squares):
    folder, (paths, _) = tmp_path / "model", squares
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"]),
        helper.make_node("Sub", ["flat", "most"], ["below"]),
        helper.make_node("Sqrt", ["below"], ["root"]),  # of what is below 0: NaN
        helper.make_node("MatMul", ["root", "w"], ["y"]),
    ]
    weights = {"w": np.ones((240, 3), np.float32), "most": np.float32([0.0])}
    write(folder, nodes, [value("x", ["n", *NHWC])], [value("y", ["n", 3])], weights)
    describe(folder, layout="NHWC")
    assert len(api.predict(folder, paths)) == 5
    describe(folder, layout="NHWC", mean=[0.1])
    with pytest.raises(UserError, match="NaN"):
        api.predict(folder, paths)


@pytest.fixture
def spotted(tmp_path, paint):
    """A model that answers how red, green or blue the upper left corner is, and its images."""
    mask = np.zeros((*SIZE, 3, 3), np.float32)
    mask[:4, :5, range(3), range(3)] = 0.5
    nodes = [helper.make_node("Flatten", ["x"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["y"])]
    folder = tmp_path / "model"
    taken = [value("x", ["n", *NHWC])]
    write(folder, nodes, taken, [value("y", ["n", 3])], {"w": mask.reshape(240, 3)})
    describe(folder, layout="NHWC")
    return folder, paint(blight=4, healthy=4, rust=4)


def test_it_is_evaluated_compared_and_reported(spotted, tmp_path):
    folder, images = spotted
    other = tmp_path / "other"
    linear(other, NHWC)
    describe(other, layout="NHWC")
    runs = [api.evaluate(each, images, tmp_path / f"e{number}") for number, each in enumerate((folder, other))]
    test = runs[0].read_json(runs[0].test_file)
    assert test["scores"]["accuracy"]["value"] == 1 and test["sets"] is None and test["familiarity"] is None
    assert any("not trained by this program" in each for each in test["warnings"])
    page = runs[0].report_file.read_text()
    assert "model.onnx (an ONNX file)" in page and "pretrained weights" not in page
    assert "temperature of" not in page
    found = api.compare([run.folder for run in runs], tmp_path / "compared")
    assert len(found["runs"]) == 2 and found["shared"]["images"] == 12
    assert (tmp_path / "compared" / "comparison.html").is_file()


def test_it_is_explained_by_occlusion_and_nothing_else(spotted, coverslip, tmp_path):
    folder, _ = spotted
    pixels = np.full((*SIZE, 3), 100, np.uint8)
    pixels[1:3, 1:4] = 250, 0, 0
    image = tmp_path / "spot.png"
    Image.fromarray(pixels).save(image)
    found = api.explain(folder, image)
    heat = found.heatmaps[0].values
    height, width = heat.shape
    assert heat[: height // 2, : width // 2].sum() > 0.8 * heat.sum() > 0
    assert found.method == "occlusion" and any("not tested" in note for note in found.notes)
    for wish in (["--method", "grad-cam"], ["--method", "gradient"], ["--layer", "y"], ["--ideal"], ["--filters", "y"]):
        coverslip("explain", folder, image, *wish).refused("occlusion", "ONNX")
    coverslip("explain", folder, "--test").refused("no test set")
    coverslip("export", folder).refused("ONNX file already")
    said = coverslip("explain", folder / "model.onnx", image, "--out", tmp_path / "explained").done()
    assert "--test" not in said.out


def test_several_models_in_one_folder_have_a_description_each(spotted):
    folder, _ = spotted
    (folder / "model.onnx").rename(folder / "corner.onnx")
    (folder / "model.json").rename(folder / "corner.json")
    linear(folder, NHWC)
    with pytest.raises(UserError, match=r"model\.json"):
        api.load(folder)
    run = Run.open(folder / "corner.onnx")
    assert isinstance(run, ForeignRun) and load_foreign(run).task.classes == tuple(CLASSES)
