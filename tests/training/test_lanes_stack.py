"""What a stack does beside training: lanes leave, it is saved and loaded, and refuses what it cannot do."""

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
from coverslip.training.lanes import Stack, can_stack, pays, stack_key
from coverslip.training.lanes.crew import run_together
from coverslip.training.lanes.saving import stack_file

CPU = torch.device("cpu")
CLASSES = 3


def images(count=60, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    values = rng.normal(90 + 30 * labels[:, None, None, None], 40, (count, 3, 8, 8))
    return values.clip(0, 255).astype(np.uint8), labels


def network(name="mlp", seed=0, **options):
    torch.manual_seed(seed)
    usual = {"hidden": (12, 6)} if name == "mlp" else {"filters": (4, 6)} if name.startswith("cnn") else {}
    return build_network(Design(network=name, size=(8, 8), **(usual | options)), CLASSES)


def plan(**changes):
    return TrainingConfig(**({"epochs": 4, "batch_size": 8, "lr": 0.003} | changes))


def stack(plans, name="mlp", options=(), **named):
    x, y = images()
    validation = ArrayInputs(images(30, 1)[0]), images(30, 1)[1]
    options = options or [{}] * len(plans)
    networks = [network(name, seed, **each) for seed, each in enumerate(options)]
    named = {"validation": validation, "device": CPU} | named
    return Stack(networks, plans, ArrayInputs(x), y, CLASSES, **named)


def everything(one, lane):
    return {name: each.clone() for name, each in one.weights(lane).items()}


def same(one, other):
    assert one.keys() == other.keys()
    return all(torch.equal(one[name], other[name]) for name in one)


def test_lanes_that_stay_go_on_as_if_nobody_had_left():
    plans = [plan(seed=seed) for seed in range(4)]
    whole, shrinking = stack(plans), stack(plans)
    for _ in range(2):
        whole.run_epoch(), shrinking.run_epoch()
    shrinking.keep([3, 1])
    assert shrinking.lanes == [3, 1]
    ends = {each.lane: each for each in whole.run_epoch()}
    for each in shrinking.run_epoch():
        assert each.train_loss == pytest.approx(ends[each.lane].train_loss, abs=1e-5)
        assert each.epoch == 3
    for lane in (1, 3):
        for name, value in whole.weights(lane).items():
            torch.testing.assert_close(shrinking.weights(lane)[name], value, atol=1e-4, rtol=1e-4)
    with pytest.raises(UserError, match="lane 0 is not in the stack"):
        shrinking.weights(0)
    shrinking.keep([])
    assert shrinking.run_epoch() == [] and shrinking.scores(ArrayInputs(images()[0])).shape == (0, 60, CLASSES)


@pytest.mark.parametrize("seeds", [(0, 0, 0), (0, 1, 2)])
@pytest.mark.parametrize("kind", ["mlp", "cnn-full"])
def test_a_lane_that_diverges_leaves_and_changes_no_bit_of_the_others(kind, seeds):
    usual = [plan(seed=seed, optimizer="sgd") for seed in seeds]
    wild = [usual[0], plan(seed=seeds[1], rate=1e30, optimizer="sgd"), usual[2]]
    calm, torn = stack(usual, kind), stack(wild, kind)
    before, after = calm.run_epoch(), torn.run_epoch()
    assert "the loss became" in after[1].broken and "1e+30" in after[1].broken
    assert after[1].train_loss is None and after[1].validation_loss is None
    assert torn.lanes == [0, 2] and [before[0], before[2]] == [after[0], after[2]]
    calm.keep([0, 2])
    calm.run_epoch(), torn.run_epoch()
    assert all(same(everything(calm, lane), everything(torn, lane)) for lane in (0, 2))


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_stack_that_was_saved_goes_on_to_the_bit(tmp_path, optimizer):
    plans = [plan(seed=seed, optimizer=optimizer) for seed in range(3)]
    options = [{"dropout": 0.3, "batch_norm": True, "hidden": (12, 6 - seed)} for seed in range(3)]
    rows = [np.arange(60), np.arange(45), np.arange(7, 60)]
    one, other = (stack(plans, options=options, rows=rows) for _ in range(2))
    one.run_epoch()
    one.keep([0, 2])
    one.run_epoch()
    one.save(tmp_path)
    other.load(tmp_path)
    assert other.lanes == [0, 2] and other.epoch == 2
    assert one.run_epoch() == other.run_epoch()
    assert all(same(everything(one, lane), everything(other, lane)) for lane in (0, 2))


def test_a_saved_stack_of_other_settings_or_a_broken_file_is_refused(tmp_path):
    one = stack([plan(), plan(seed=1)])
    one.save(tmp_path)
    with pytest.raises(UserError, match="recipes are not what they were"):
        stack([plan(), plan(seed=2)]).load(tmp_path)
    with pytest.raises(UserError, match="rows are not what they were"):
        stack([plan(), plan(seed=1)], rows=[np.arange(9), np.arange(9)]).load(tmp_path)
    stack_file(tmp_path).write_bytes(stack_file(tmp_path).read_bytes()[:300])
    with pytest.raises(UserError, match="no saved stack"):
        one.load(tmp_path)
    with pytest.raises(UserError, match="no saved stack"):
        one.load(tmp_path / "nowhere")


class Interrupted(ArrayInputs):
    """Ctrl+C at the 20th batch."""

    left = 20

    def take(self, rows, epoch, device):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt
        return super().take(rows, epoch, device)


def test_an_epoch_that_was_interrupted_cannot_be_saved_but_loaded_again(tmp_path):
    x, y = images()
    one = Stack([network(), network(seed=1)], [plan(), plan(seed=1)], Interrupted(x), y, CLASSES, device=CPU)
    one.save(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        while True:
            one.run_epoch()
    with pytest.raises(UserError, match="interrupted"):
        one.save(tmp_path)
    one.load(tmp_path)
    two = Stack([network(), network(seed=1)], [plan(), plan(seed=1)], ArrayInputs(x), y, CLASSES, device=CPU)
    assert one.run_epoch() == two.run_epoch()


def test_networks_given_stay_as_they_are_and_scores_are_told_by_lane():
    networks = [network(seed=seed) for seed in range(2)]
    before = [{name: each.clone() for name, each in one.state_dict().items()} for one in networks]
    x, y = images()
    validation = ArrayInputs(x), y
    one = Stack(networks, [plan(), plan()], ArrayInputs(x), y, CLASSES, validation=validation, device=CPU)
    found = one.run_epoch()
    assert all(same(dict(kept.state_dict()), was) for kept, was in zip(networks, before, strict=True))
    assert sorted(one.watched) == [0, 1] and one.watched[1].shape == (60, CLASSES)
    assert found[1].validation_accuracy == pytest.approx(float((one.watched[1].argmax(1) == y).mean()))


def test_memory_does_not_grow_with_epochs():
    resource = pytest.importorskip("resource")
    one = stack([plan(epochs=400, seed=seed) for seed in range(4)])

    def peak():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 if sys.platform == "darwin" else 1024)

    for _ in range(5):
        one.run_epoch()
    start, held = peak(), len(json.dumps([list(each.shape) for each in one.pile.values()]))
    for _ in range(60):
        one.run_epoch()
    assert peak() - start < 2**14 and len(json.dumps([list(each.shape) for each in one.pile.values()])) == held
    assert peak() - start < 20 * (2**10 if sys.platform == "darwin" else 1)


def test_what_can_be_stacked_and_what_cannot():
    assert can_stack(nn.Linear(4, 2)) and can_stack(network("cnn", batch_norm=True, dropout=0.5))
    frozen = network()
    next(frozen.parameters()).requires_grad = False
    tied = nn.Linear(4, 4)
    refused = [frozen, nn.Sequential(tied, tied), nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 2)), nn.Identity()]
    assert not any(can_stack(each) for each in refused)
    assert not can_stack(network(), plan(accumulate=2)) and not can_stack(network(), plan(ema=0.9))
    assert not pays(network(), 1) and pays(network(), 8)


def test_keys_tell_which_lanes_go_together():
    key = stack_key(network(), plan())
    alike = [plan(lr=0.1, seed=3, epochs=9, l2=0.1, smoothing=0.1), plan(optimizer="adam", weight_decay=0.0)]
    assert all(stack_key(network(dropout=0.3, hidden=(9, 5)), each) == key for each in alike)
    others = [plan(batch_size=16), plan(optimizer="sgd"), plan(loss="focal"), plan(clip=1.0)]
    assert all(stack_key(network(), each) != key for each in others)
    for options in ({"hidden": (12,)}, {"hidden": (40, 6)}, {"batch_norm": True}, {"activation": "tanh"}):
        assert stack_key(network(**options), plan()) != key
    assert stack_key(nn.LayerNorm(3), plan()) != stack_key(nn.LayerNorm(3), plan())


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"plans": [plan(), plan(batch_size=4)]}, "batch size differ"),
        ({"plans": [plan(), plan(accumulate=2)]}, "cannot be trained in a stack"),
        ({"plans": [plan()], "rows": [np.array([70])]}, "there are 60 images"),
        ({"plans": [plan()], "rows": [np.array([], np.int64)]}, "give row numbers"),
        ({"plans": [plan(), plan()], "rows": [np.arange(3)]}, "rows for 1"),
        ({"plans": []}, "0 networks"),
        ({"plans": [plan(), plan()], "options": [{}, {"batch_norm": True}]}, "layers differ"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(named, said):
    with pytest.raises(UserError, match=said):
        stack(**named)


def test_the_crew_stops_when_one_of_it_fails():
    def fail(ending):
        raise UserError("an image is gone", "look for it")

    def work(ending):
        assert ending.wait(20)
        return 1

    with pytest.raises(UserError, match="gone"):
        run_together([fail, work], 2)
    assert run_together([lambda ending: 1, lambda ending: 2, lambda ending: 3], 2) == [1, 2, 3]
