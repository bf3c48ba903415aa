import subprocess
import sys

import numpy as np
import pytest

from coverslip.core.storage import cache_folder
from coverslip.data.inputs import InputSpec
from coverslip.inference.engine import ENGINES, import_openvino, open_engine
from coverslip.inference.features import FeatureExtractor
from coverslip.models.design import Design
from coverslip.models.freeze import Frozen, frozen_part
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
    return frozen_part(design, pretrained_weights(design), cut)


SPEC = InputSpec(size=(64, 64), mean=(127 / 255,) * 3, std=(128 / 255,) * 3)


def some(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 64, 64, 3), np.uint8)


@pytest.mark.parametrize("name", list(ENGINES))
@pytest.mark.parametrize(("cut", "numbers"), [("classifier", 1280), ("block5", 4 * 4 * 80)])
def test_every_engine_gives_the_numbers_of_torch_for_any_number_of_images(name, cut, numbers, home):
    import torch

    images = SPEC.prepare(some(19))
    part = frozen(3, cut)
    engine = open_engine(part, SPEC, name)
    batches = [images[start : start + engine.batch] for start in range(0, 19, engine.batch)]
    found = np.concatenate(list(engine.run(iter(batches))))
    with torch.inference_mode():
        exact = part.module().double()(torch.from_numpy(images).double()).numpy()
    assert found.shape == (19, numbers)
    assert np.abs(found - exact).max() < 1e-3 * np.sqrt(np.mean(exact**2))


FIRST_TOGETHER = """
import builtins, sys, threading, time
import numpy as np
from coverslip.inference.engine import import_openvino
openvino = import_openvino()
compiled = openvino.Core().compile_model(openvino.Core().read_model(sys.argv[1]), "CPU")
requests = [compiled.create_infer_request() for _ in range(2)]
images = np.zeros(requests[0].get_input_tensor().shape, np.float32)
found = builtins.__import__
def slowly(name, *rest):
    if name.startswith("numpy"):
        time.sleep(0.2)
    return found(name, *rest)
builtins.__import__ = slowly
threads = [threading.Thread(target=each.infer, args=({0: images},)) for each in requests]
[each.start() for each in threads], [each.join() for each in threads]
"""


def test_two_threads_that_ask_openvino_first_at_the_same_time_do_not_wait_for_each_other_for_ever(lite0):
    if import_openvino() is None:
        pytest.skip("OpenVINO is not installed")
    open_engine(lite0, SPEC, "openvino", 2)
    kept = next(cache_folder().glob("engines/*/model.xml"))
    done = subprocess.run([sys.executable, "-c", FIRST_TOGETHER, str(kept)], timeout=40, check=False)
    assert done.returncode == 0


def test_what_was_computed_is_not_computed_again(lite0):
    extractor, pixels, keys = FeatureExtractor(lite0, SPEC), some(6), [f"{number:032x}" for number in range(6)]
    first = extractor.extract(pixels, range(6), keys, views=2)
    assert (first.shape, first.dtype, extractor.computed) == ((12, 1280), np.float16, 12)
    again = FeatureExtractor(lite0, SPEC)
    np.testing.assert_array_equal(again.extract(pixels, [4, 1], keys, views=2), first[[4, 1, 10, 7]])
    assert again.computed == 0
    more = FeatureExtractor(lite0, SPEC)
    more.extract(pixels, range(6), keys, views=3)
    assert more.computed == 6


def test_a_second_view_is_the_mirrored_image(lite0):
    pixels, keys = some(3, seed=7), [f"a{number:031x}" for number in range(3)]
    features = FeatureExtractor(lite0, SPEC).extract(pixels, range(3), keys, views=2)
    mirrored = FeatureExtractor(lite0, SPEC).extract(pixels[:, :, ::-1], range(3), [f"b{n:031x}" for n in range(3)])
    np.testing.assert_allclose(features[3:], mirrored, atol=1e-3)


def test_an_interrupted_pass_keeps_the_blocks_that_are_done(lite0, monkeypatch):
    monkeypatch.setattr("coverslip.inference.features.BLOCK", 8)
    pixels, keys = some(40, seed=8), [f"c{number:031x}" for number in range(40)]
    extractor = FeatureExtractor(lite0, SPEC)
    real = extractor.engine.run

    def dies(batches):
        for number, part in enumerate(real(batches)):
            if number * extractor.engine.batch == 20:
                raise KeyboardInterrupt
            yield part

    monkeypatch.setattr(extractor.engine, "run", dies)
    with pytest.raises(KeyboardInterrupt):
        extractor.extract(pixels, range(40), keys)
    again = FeatureExtractor(lite0, SPEC)
    again.extract(pixels, range(40), keys)
    assert again.computed == 20


def test_other_weights_or_another_preparation_are_other_features(lite0):
    import dataclasses

    pixels, keys = some(2), [f"d{number:031x}" for number in range(2)]
    FeatureExtractor(lite0, SPEC).extract(pixels, range(2), keys)
    other_spec = FeatureExtractor(lite0, dataclasses.replace(SPEC, mean=(0.4,) * 3))
    other_spec.extract(pixels, range(2), keys)
    changed = {name: tensor * 1.01 for name, tensor in lite0.weights.items()}
    retrained = FeatureExtractor(Frozen(lite0.build, changed), SPEC)
    retrained.extract(pixels, range(2), keys)
    assert (other_spec.computed, retrained.computed) == (2, 2)


def test_one_grey_channel_is_the_same_as_showing_it_in_color(lite0):
    import torch

    grey = torch.randn(1, 1, 64, 64)
    adapted = frozen(1).module()
    torch.testing.assert_close(adapted(grey), lite0.module()(grey.expand(-1, 3, -1, -1)), atol=1e-4, rtol=1e-4)


CLOSED_IN_ORDER = """
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
    print("heard")
"""


def test_ctrl_c_is_heard_after_networks_are_closed(lite0):
    """OpenVINO leaves the signal stack of a network that is gone; without care the next signal is a crash."""
    import subprocess
    import sys

    said = subprocess.run([sys.executable, "-c", CLOSED_IN_ORDER], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout) == (0, "heard\n"), said.stderr
