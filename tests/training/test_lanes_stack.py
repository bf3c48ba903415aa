"""A stack of lanes: removing lanes, saving and loading, and invalid arguments."""

import json
import sys

import numpy as np
import pytest
import torch
from torch import nn

from coverslip.core.errors import UserError
from coverslip.models.catalog import build_network
from coverslip.models.design import Design
from coverslip.training.batches import ArrayInputs
from coverslip.training.config import TrainingConfig
from coverslip.training.lanes import Stack, can_stack, stack_key, stacking_is_faster
from coverslip.training.lanes.stack_state import stack_file
from coverslip.training.lanes.workers import run_parallel

CPU = torch.device("cpu")
CLASSES = 3


def images(count=60, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    values = rng.normal(90 + 30 * labels[:, None, None, None], 40, (count, 3, 8, 8))
    return values.clip(0, 255).astype(np.uint8), labels


def network(name="mlp", seed=0, **options):
    torch.manual_seed(seed)
    defaults = {"hidden": (12, 6)} if name == "mlp" else {"filters": (4, 6)} if name.startswith("cnn") else {}
    return build_network(Design(network=name, size=(8, 8), **(defaults | options)), CLASSES)


def settings(**changes):
    return TrainingConfig(**({"epochs": 4, "batch_size": 8, "lr": 0.003} | changes))


def stack(configs, name="mlp", options=(), **arguments):
    x, y = images()
    validation = ArrayInputs(images(30, 1)[0]), images(30, 1)[1]
    options = options or [{}] * len(configs)
    networks = [network(name, seed, **option) for seed, option in enumerate(options)]
    arguments = {"validation": validation, "device": CPU} | arguments
    return Stack(networks, configs, ArrayInputs(x), y, CLASSES, **arguments)


def lane_weights(one, lane):
    return {name: tensor.clone() for name, tensor in one.weights(lane).items()}


def same(one, other):
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)


def test_remaining_lanes_continue_unchanged():
    configs = [settings(seed=seed) for seed in range(4)]
    full, shrinking = stack(configs), stack(configs)
    for _ in range(2):
        full.run_epoch(), shrinking.run_epoch()
    shrinking.keep([3, 1])
    assert shrinking.lanes == [3, 1]
    expected = {entry.lane: entry for entry in full.run_epoch()}
    for entry in shrinking.run_epoch():
        assert entry.train_loss == pytest.approx(expected[entry.lane].train_loss, abs=1e-5)
        assert entry.epoch == 3
    for lane in (1, 3):
        for name, value in full.weights(lane).items():
            torch.testing.assert_close(shrinking.weights(lane)[name], value, atol=1e-4, rtol=1e-4)
    with pytest.raises(UserError, match="lane 0 is not in the stack"):
        shrinking.weights(0)
    shrinking.keep([])
    assert shrinking.run_epoch() == [] and shrinking.logits(ArrayInputs(images()[0])).shape == (0, 60, CLASSES)


@pytest.mark.parametrize("seeds", [(0, 0, 0), (0, 1, 2)])
@pytest.mark.parametrize("kind", ["mlp", "cnn-full"])
def test_a_diverging_lane_leaves_and_the_others_are_bit_identical(kind, seeds):
    stable = [settings(seed=seed, optimizer="sgd") for seed in seeds]
    diverging = [stable[0], settings(seed=seeds[1], lr=1e30, optimizer="sgd"), stable[2]]
    one, two = stack(stable, kind), stack(diverging, kind)
    before, after = one.run_epoch(), two.run_epoch()
    assert "the loss became" in after[1].failure and "1e+30" in after[1].failure
    assert after[1].train_loss is None and after[1].validation_loss is None
    assert two.lanes == [0, 2] and [before[0], before[2]] == [after[0], after[2]]
    one.keep([0, 2])
    one.run_epoch(), two.run_epoch()
    assert all(same(lane_weights(one, lane), lane_weights(two, lane)) for lane in (0, 2))


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_loaded_stack_continues_bit_identically(tmp_path, optimizer):
    configs = [settings(seed=seed, optimizer=optimizer) for seed in range(3)]
    options = [{"dropout": 0.3, "batch_norm": True, "hidden": (12, 6 - seed)} for seed in range(3)]
    rows = [np.arange(60), np.arange(45), np.arange(7, 60)]
    one, other = (stack(configs, options=options, rows=rows) for _ in range(2))
    one.run_epoch()
    one.keep([0, 2])
    one.run_epoch()
    one.save(tmp_path)
    other.load(tmp_path)
    assert other.lanes == [0, 2] and other.epoch == 2
    assert one.run_epoch() == other.run_epoch()
    assert all(same(lane_weights(one, lane), lane_weights(other, lane)) for lane in (0, 2))


def test_a_saved_stack_with_other_settings_or_a_damaged_file_is_refused(tmp_path):
    one = stack([settings(), settings(seed=1)])
    one.save(tmp_path)
    with pytest.raises(UserError, match="settings differ"):
        stack([settings(), settings(seed=2)]).load(tmp_path)
    with pytest.raises(UserError, match="rows differ"):
        stack([settings(), settings(seed=1)], rows=[np.arange(9), np.arange(9)]).load(tmp_path)
    stack_file(tmp_path).write_bytes(stack_file(tmp_path).read_bytes()[:300])
    with pytest.raises(UserError, match="not a saved stack"):
        one.load(tmp_path)
    with pytest.raises(UserError, match="not a saved stack"):
        one.load(tmp_path / "nowhere")


class Interrupted(ArrayInputs):
    """Inputs that raise KeyboardInterrupt at the 20th batch."""

    left = 20

    def take(self, rows, epoch, device):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return super().take(rows, epoch, device)


def test_after_an_interrupted_epoch_a_stack_cannot_be_saved_but_loaded(tmp_path):
    x, y = images()
    one = Stack([network(), network(seed=1)], [settings(), settings(seed=1)], Interrupted(x), y, CLASSES, device=CPU)
    one.save(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        while True:
            one.run_epoch()
    with pytest.raises(UserError, match="interrupted"):
        one.save(tmp_path)
    one.load(tmp_path)
    two = Stack([network(), network(seed=1)], [settings(), settings(seed=1)], ArrayInputs(x), y, CLASSES, device=CPU)
    assert one.run_epoch() == two.run_epoch()


def test_the_networks_are_not_modified_and_validation_logits_are_by_lane():
    networks = [network(seed=seed) for seed in range(2)]
    before = [{name: each.clone() for name, each in one.state_dict().items()} for one in networks]
    x, y = images()
    validation = ArrayInputs(x), y
    one = Stack(networks, [settings(), settings()], ArrayInputs(x), y, CLASSES, validation=validation, device=CPU)
    metrics = one.run_epoch()
    assert all(same(dict(kept.state_dict()), was) for kept, was in zip(networks, before, strict=True))
    assert sorted(one.validation_logits) == [0, 1] and one.validation_logits[1].shape == (60, CLASSES)
    assert metrics[1].validation_accuracy == pytest.approx(float((one.validation_logits[1].argmax(1) == y).mean()))


def test_memory_does_not_grow_with_epochs():
    resource = pytest.importorskip("resource")
    one = stack([settings(epochs=400, seed=seed) for seed in range(4)])

    def peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 if sys.platform == "darwin" else 1024)

    for _ in range(5):
        one.run_epoch()
    start, held = peak(), len(json.dumps([list(each.shape) for each in one.tensors.values()]))
    for _ in range(60):
        one.run_epoch()
    assert peak() - start < 2**14 and len(json.dumps([list(each.shape) for each in one.tensors.values()])) == held
    assert peak() - start < 20 * (2**10 if sys.platform == "darwin" else 1)


def test_can_stack_accepts_chains_of_supported_layers_only():
    assert can_stack(nn.Linear(4, 2)) and can_stack(network("cnn", batch_norm=True, dropout=0.5))
    frozen = network()
    next(frozen.parameters()).requires_grad = False
    tied = nn.Linear(4, 4)
    refused = [frozen, nn.Sequential(tied, tied), nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 2)), nn.Identity()]
    assert not any(can_stack(each) for each in refused)
    assert not can_stack(network(), settings(accumulate=2)) and not can_stack(network(), settings(ema=0.9))
    assert not stacking_is_faster(network(), 1) and stacking_is_faster(network(), 8)


def test_stack_keys_are_equal_for_compatible_networks():
    key = stack_key(network(), settings())
    alike = [
        settings(lr=0.1, seed=3, epochs=9, l2=0.1, label_smoothing=0.1),
        settings(optimizer="adam", weight_decay=0.0),
    ]
    assert all(stack_key(network(dropout=0.3, hidden=(9, 5)), each) == key for each in alike)
    others = [settings(batch_size=16), settings(optimizer="sgd"), settings(loss="focal"), settings(clip=1.0)]
    assert all(stack_key(network(), each) != key for each in others)
    for options in ({"hidden": (12,)}, {"hidden": (40, 6)}, {"batch_norm": True}, {"activation": "tanh"}):
        assert stack_key(network(**options), settings()) != key
    assert stack_key(nn.LayerNorm(3), settings()) != stack_key(nn.LayerNorm(3), settings())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"configs": [settings(), settings(batch_size=4)]}, "batch sizes differ"),
        ({"configs": [settings(), settings(accumulate=2)]}, "cannot be trained in a stack"),
        ({"configs": [settings()], "rows": [np.array([70])]}, "there are 60 images"),
        ({"configs": [settings()], "rows": [np.array([], np.int64)]}, "row indices"),
        ({"configs": [settings(), settings()], "rows": [np.arange(3)]}, "1 arrays of rows"),
        ({"configs": []}, "0 networks"),
        ({"configs": [settings(), settings()], "options": [{}, {"batch_norm": True}]}, "layers differ"),
    ],
)
def test_invalid_arguments_are_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        stack(**arguments)


def test_all_workers_stop_when_one_fails():
    def fail(stop):
        raise UserError("an image is gone", "look for it")

    def work(stop):
        assert stop.wait(20)
        return 1

    with pytest.raises(UserError, match="gone"):
        run_parallel([fail, work], 2)
    assert run_parallel([lambda stop: 1, lambda stop: 2, lambda stop: 3], 2) == [1, 2, 3]
