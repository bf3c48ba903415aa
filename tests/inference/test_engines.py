import subprocess
import sys

import numpy as np
import pytest

from coverslip.core.storage import cache_folder
from coverslip.data.inputs import InputSpec
from coverslip.inference.engine import ENGINES, import_openvino, open_engine
from coverslip.inference.features import FeatureExtractor
from coverslip.models.design import Design
from coverslip.models.freeze import FrozenStages, frozen_stages
from coverslip.models.weights import pretrained_weights


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("COVERSLIP_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


@pytest.fixture(scope="module")
def lite0(home):
    return frozen(3)


def frozen(channels, cut="classifier"):
    design = Design(network="efficientnet-lite0", channels=channels, size=(64, 64))
    return frozen_stages(design, pretrained_weights(design), cut)


SPEC = InputSpec(size=(64, 64), mean=(127 / 255,) * 3, std=(128 / 255,) * 3)


def images(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 64, 64, 3), np.uint8)


@pytest.mark.parametrize("name", list(ENGINES))
@pytest.mark.parametrize(("cut", "numbers"), [("classifier", 1280), ("block5", 4 * 4 * 80)])
def test_every_engine_agrees_with_torch_for_any_number_of_images(name, cut, numbers, home):
    import torch

    prepared = SPEC.prepare(images(19))
    stages = frozen(3, cut)
    engine = open_engine(stages, SPEC, name)
    batches = [prepared[start : start + engine.batch] for start in range(0, 19, engine.batch)]
    features = np.concatenate(list(engine.run(iter(batches))))
    with torch.inference_mode():
        exact = stages.module().double()(torch.from_numpy(prepared).double()).numpy()
    assert features.shape == (19, numbers)
    assert np.abs(features - exact).max() < 1e-3 * np.sqrt(np.mean(exact**2))


CONCURRENT_FIRST_CALLS = """
import builtins, sys, threading, time
import numpy as np
from coverslip.inference.engine import import_openvino
openvino = import_openvino()
compiled = openvino.Core().compile_model(openvino.Core().read_model(sys.argv[1]), "CPU")
requests = [compiled.create_infer_request() for _ in range(2)]
images = np.zeros(requests[0].get_input_tensor().shape, np.float32)
original = builtins.__import__
def slow_import(name, *rest):
    if name.startswith("numpy"):
        time.sleep(0.2)
    return original(name, *rest)
builtins.__import__ = slow_import
threads = [threading.Thread(target=each.infer, args=({0: images},)) for each in requests]
[each.start() for each in threads], [each.join() for each in threads]
"""


def test_concurrent_first_calls_of_openvino_do_not_deadlock(lite0):
    if import_openvino() is None:
        pytest.skip("OpenVINO is not installed")
    open_engine(lite0, SPEC, "openvino", 2)
    model = next(cache_folder().glob("engines/*/model.xml"))
    done = subprocess.run([sys.executable, "-c", CONCURRENT_FIRST_CALLS, str(model)], timeout=40, check=False)
    assert done.returncode == 0


def test_cached_features_are_not_computed_again(lite0):
    extractor, pixels, keys = FeatureExtractor(lite0, SPEC), images(6), [f"{number:032x}" for number in range(6)]
    first = extractor.extract(pixels, range(6), keys, views=2)
    assert (first.shape, first.dtype, extractor.computed) == ((12, 1280), np.float16, 12)
    again = FeatureExtractor(lite0, SPEC)
    np.testing.assert_array_equal(again.extract(pixels, [4, 1], keys, views=2), first[[4, 1, 10, 7]])
    assert again.computed == 0
    more = FeatureExtractor(lite0, SPEC)
    more.extract(pixels, range(6), keys, views=3)
    assert more.computed == 6


def test_the_second_view_is_the_mirrored_image(lite0):
    pixels, keys = images(3, seed=7), [f"a{number:031x}" for number in range(3)]
    features = FeatureExtractor(lite0, SPEC).extract(pixels, range(3), keys, views=2)
    mirrored = FeatureExtractor(lite0, SPEC).extract(pixels[:, :, ::-1], range(3), [f"b{n:031x}" for n in range(3)])
    np.testing.assert_allclose(features[3:], mirrored, atol=1e-3)


def test_an_interrupted_pass_keeps_the_completed_blocks(lite0, monkeypatch):
    monkeypatch.setattr("coverslip.inference.features.BLOCK", 8)
    pixels, keys = images(40, seed=8), [f"c{number:031x}" for number in range(40)]
    extractor = FeatureExtractor(lite0, SPEC)
    original = extractor.engine.run

    def interrupted(batches):
        for number, features in enumerate(original(batches)):
            if number * extractor.engine.batch == 20:
                raise KeyboardInterrupt
            yield features

    monkeypatch.setattr(extractor.engine, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        extractor.extract(pixels, range(40), keys)
    again = FeatureExtractor(lite0, SPEC)
    again.extract(pixels, range(40), keys)
    assert again.computed == 20


def test_other_weights_or_another_input_spec_do_not_share_features(lite0):
    import dataclasses

    pixels, keys = images(2), [f"d{number:031x}" for number in range(2)]
    FeatureExtractor(lite0, SPEC).extract(pixels, range(2), keys)
    other_spec = FeatureExtractor(lite0, dataclasses.replace(SPEC, mean=(0.4,) * 3))
    other_spec.extract(pixels, range(2), keys)
    changed = {name: tensor * 1.01 for name, tensor in lite0.weights.items()}
    retrained = FeatureExtractor(FrozenStages(lite0.build, changed), SPEC)
    retrained.extract(pixels, range(2), keys)
    assert (other_spec.computed, retrained.computed) == (2, 2)


def test_a_grayscale_network_equals_the_color_network_on_gray_images(lite0):
    import torch

    grey = torch.randn(1, 1, 64, 64)
    adapted = frozen(1).module()
    torch.testing.assert_close(adapted(grey), lite0.module()(grey.expand(-1, 3, -1, -1)), atol=1e-4, rtol=1e-4)


CLOSED_NETWORKS = """
import os, signal
import numpy as np
from coverslip.data.inputs import InputSpec
from coverslip.inference.engine import open_engine
from coverslip.models.weights import pretrained

spec = InputSpec(size=(64, 64), mean=(0.5,) * 3, std=(0.5,) * 3)
frozen = pretrained("efficientnet-lite0", 3)
first, second = open_engine(frozen, spec), open_engine(frozen, spec)
for engine in (first, second):
    list(engine.run([np.zeros((1, 3, 64, 64), np.float32)]))
del engine, first
del second
try:
    os.kill(os.getpid(), signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_ctrl_c_works_after_networks_are_closed(lite0):
    """OpenVINO leaves the signal stack of a destroyed network registered, so the next signal would crash."""
    import subprocess
    import sys

    result = subprocess.run([sys.executable, "-c", CLOSED_NETWORKS], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "interrupted\n"), result.stderr
