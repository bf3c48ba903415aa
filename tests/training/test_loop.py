import math
import os
import signal
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from coverslip.core.errors import UserError
from coverslip.core.progress import Progress
from coverslip.training.batches import ArrayInputs, balanced_order, divide, epoch_order
from coverslip.training.callbacks import Callback
from coverslip.training.config import TrainingConfig
from coverslip.training.loop import score_network, train_network

CPU = torch.device("cpu")


def images(count=60, classes=3, seed=0):
    """Float images (count, 2, 6, 6) whose brightness tells the class."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % classes)
    values = rng.normal(size=(count, 2, 6, 6)) + 2 * labels[:, None, None, None]
    return values.astype(np.float32), labels


def cnn(classes=3, norm=True, dropout=0.2, seed=0):
    torch.manual_seed(seed)
    middle = [nn.BatchNorm2d(4)] if norm else []
    end = [nn.Flatten(), nn.Dropout(dropout), nn.Linear(4 * 16, classes)]
    return nn.Sequential(nn.Conv2d(2, 4, 3), *middle, nn.ReLU(), *end)


def linear(seed=0, classes=3):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(72, classes))


def train(network, config=None, data=None, classes=3, **named):
    values, labels = data or images()
    return train_network(network, ArrayInputs(values), labels, classes, config or TrainingConfig(), device=CPU, **named)


def weights(network):
    return {name: each.clone() for name, each in network.state_dict().items()}


def same(one, two):
    return all(torch.equal(one[name], two[name]) for name in one)


class Notes(Progress):
    def __init__(self):
        self.lines = []

    def note(self, text):
        self.lines.append(text)


def test_it_learns_and_says_what_it_measured():
    values, labels = images(90)
    found = train_network(
        cnn(), ArrayInputs(values[:60]), labels[:60], 3, TrainingConfig(epochs=8, lr=0.01, batch_size=8),
        validation=(ArrayInputs(values[60:]), labels[60:]), device=CPU,
    )  # fmt: skip
    assert found.history["epoch"].to_list() == list(range(1, 9)) and found.history["step"].to_list()[-1] == 64
    assert found.history["validation_accuracy"][-1] > 0.9 and found.history.null_count().sum_horizontal()[0] == 0
    assert found.stopped == "all 8 epochs are done" and not found.network.training


def test_without_a_validation_part_its_columns_are_empty_and_the_last_weights_stay():
    found = train(linear(), TrainingConfig(epochs=2))
    assert found.history["validation_loss"].null_count() == 2 and found.best_epoch == 2


def test_the_order_differs_by_epoch_and_follows_from_the_seed():
    first, second = epoch_order(20, 0, 0), epoch_order(20, 0, 1)
    assert sorted(first) == list(range(20)) and first.tolist() != second.tolist()
    assert epoch_order(20, 0, 1).tolist() == second.tolist() != epoch_order(20, 1, 1).tolist()


def test_every_epoch_sees_every_image_once():
    seen = []

    class Watched(ArrayInputs):
        def take(self, rows, epoch, device):
            if epoch is not None:
                seen.append((epoch, rows.tolist()))
            return super().take(rows, epoch, device)

    values, labels = images(10)
    train_network(linear(), Watched(values), labels, 3, TrainingConfig(epochs=2, batch_size=4), device=CPU)
    for epoch in (0, 1):
        assert sorted(row for own, rows in seen for row in rows if own == epoch) == list(range(10))
    assert [len(rows) for _, rows in seen[:3]] == [4, 4, 2]


def test_the_same_seed_gives_the_same_weights_and_another_one_others():
    data = images()
    one, two = (weights(train(cnn(), TrainingConfig(epochs=2), data).network) for _ in range(2))
    assert same(one, two)
    assert not same(one, weights(train(cnn(), TrainingConfig(epochs=2, seed=1), data).network))


def test_the_users_own_random_numbers_go_on_as_if_nothing_had_been_trained():
    network = linear()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(network, TrainingConfig(epochs=1))
    assert torch.equal(torch.rand(3), expected)


def test_ten_images_at_batch_four_give_ten_rows_and_leave_the_mode_as_it_was():
    values, _ = images(10)
    network = cnn().train()
    scores = score_network(network, ArrayInputs(values), batch_size=4, device=CPU)
    assert scores.shape == (10, 3) and scores.dtype == np.float32 and network.training
    whole = score_network(network, ArrayInputs(values), device=CPU)
    np.testing.assert_allclose(scores, whole, atol=1e-5)
    some = score_network(network, ArrayInputs(values), np.array([7, 2]), device=CPU)
    np.testing.assert_allclose(some, whole[[7, 2]], atol=1e-5)


@pytest.mark.parametrize(("kept", "epoch"), [(True, 2), (False, 3)])
def test_the_best_weights_are_not_overwritten_by_worse_ones(monkeypatch, kept, epoch):
    told, after = [0.5, 0.9, 0.7], []
    monkeypatch.setattr(
        "coverslip.training.callbacks.History._score",
        lambda self, state, *_: {"validation_loss": 1.0, "validation_accuracy": told[state.epoch - 1]},
    )

    class Keep(Callback):
        def epoch_end(self, state):
            after.append(weights(state.network))

    config = TrainingConfig(epochs=3, monitor="validation_accuracy", keep_best=kept)
    found = train(cnn(), config, validation=(ArrayInputs(images()[0]), images()[1]), callbacks=[Keep()])
    assert found.best_epoch == epoch and same(weights(found.network), after[epoch - 1])


def test_early_stopping_waits_as_long_as_it_was_told_and_brings_the_best_back(monkeypatch):
    told = [1.0, 0.5, 0.6, 0.5, 0.7, 0.1]
    monkeypatch.setattr(
        "coverslip.training.callbacks.History._score",
        lambda self, state, *_: {"validation_loss": told[state.epoch - 1], "validation_accuracy": 0.5},
    )
    found = train(cnn(), TrainingConfig(epochs=6, patience=3), validation=(ArrayInputs(images()[0]), images()[1]))
    assert len(found.history) == 5 and found.best_epoch == 2
    assert found.stopped == "no better validation loss for 3 epochs"


def test_early_stopping_on_what_is_not_measured_is_refused_at_the_start():
    with pytest.raises(UserError, match=r"not measured here \(measured: train_loss, train_accuracy"):
        train(linear(), TrainingConfig(patience=3))
    with pytest.raises(UserError, match="did you mean 'validation_loss'"):
        TrainingConfig(patience=3, monitor="validation_los")


def test_plain_sgd_is_the_update_written_by_hand():
    values, labels = images(30)
    network = linear()
    weight, bias = network[1].weight.detach().numpy().copy(), network[1].bias.detach().numpy().copy()
    config = TrainingConfig(
        epochs=3, lr=0.1, batch_size=0, optimizer="sgd", momentum=0.0, weight_decay=0.0, schedule="constant"
    )
    found = train(network, config, (values, labels))
    flat, truth = values.reshape(30, -1).astype(np.float64), np.eye(3)[labels]
    for _ in range(3):
        scores = flat @ weight.T + bias
        shares = np.exp(scores - scores.max(1, keepdims=True))
        error = (shares / shares.sum(1, keepdims=True) - truth) / 30
        weight, bias = weight - 0.1 * error.T @ flat, bias - 0.1 * error.sum(0)
    np.testing.assert_allclose(found.network[1].weight.detach().numpy(), weight, atol=1e-5)
    np.testing.assert_allclose(found.network[1].bias.detach().numpy(), bias, atol=1e-5)
    assert found.history["step"].to_list() == [1, 2, 3]  # batch gradient descent: a step an epoch


def test_gradients_that_a_caller_left_are_not_taken_for_the_first_steps():
    marked = linear()
    for each in marked.parameters():
        each.grad = torch.ones_like(each)
    assert same(
        weights(train(marked, TrainingConfig(epochs=1)).network),
        weights(train(linear(), TrainingConfig(epochs=1)).network),
    )


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("count", [48, 45])
def test_two_batches_of_eight_accumulated_are_one_of_sixteen(optimizer, count):
    data = images(count)
    found = [
        train(
            cnn(norm=False, dropout=0.0), TrainingConfig(epochs=2, lr=0.01, optimizer=optimizer, l2=0.01, **how), data
        )
        for how in ({"batch_size": 8, "accumulate": 2}, {"batch_size": 16})
    ]
    one, two = (weights(each.network) for each in found)
    assert all(torch.allclose(one[name], two[name], atol=2e-6) for name in one)
    assert found[0].history["step"].to_list() == found[1].history["step"].to_list()


def test_clipping_keeps_a_gradient_short():
    lengths = {}
    for clip in (0.0, 0.01):
        network = linear()
        before = network[1].weight.detach().clone()
        config = TrainingConfig(epochs=1, lr=1.0, batch_size=0, optimizer="sgd", momentum=0.0, clip=clip,
                        weight_decay=0.0, schedule="constant")  # fmt: skip
        train(network, config)
        lengths[clip] = float((network[1].weight.detach() - before).norm())
    assert lengths[0.01] <= 0.01 + 1e-6 < lengths[0.0]


def test_frozen_batch_norm_stays_frozen_and_so_do_frozen_weights():
    network = cnn()
    network[0].requires_grad_(False)
    network[1].requires_grad_(False)
    before = weights(network)
    after = weights(train(network, TrainingConfig(epochs=2, lr=0.01)).network)
    kept = {name for name in before if torch.equal(before[name], after[name])}
    assert kept == {name for name in before if name[0] in "01"}


def test_a_network_with_nothing_to_train_is_refused():
    with pytest.raises(UserError, match="nothing in this network can be trained"):
        train(linear().requires_grad_(False))


def test_a_last_batch_of_one_joins_the_one_before_where_there_is_batch_norm():
    assert [len(rows) for rows in divide(np.arange(9), 4, True)] == [4, 5]
    assert [len(rows) for rows in divide(np.arange(9), 4, False)] == [4, 4, 1]
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(72, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))
    for accumulate in (1, 2, 3):
        found = train(network, TrainingConfig(epochs=1, batch_size=4, accumulate=accumulate), images(9))
        assert math.isfinite(found.history["train_loss"][0])
    assert train(linear(), TrainingConfig(epochs=1, batch_size=1), images(5)).history["step"].to_list() == [5]


def test_batch_norm_with_one_image_a_batch_is_refused():
    with pytest.raises(UserError, match="a batch holds one image only\n  fix: give batch_size=2"):
        train(cnn(), TrainingConfig(batch_size=1))
    with pytest.raises(UserError, match="one image only"):
        train(cnn(), TrainingConfig(), images(1))
    frozen = cnn()
    frozen[1].requires_grad_(False)
    train(frozen, TrainingConfig(batch_size=1, epochs=1))  # it learns nothing from a batch


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([0, 1, 3], "label 3 of the training images is not one of 3 classes"),
        ([0, -1, 2], "label -1"),
        ([0, 1], "3 training images have labels of shape .2,."),
        ([0.0, 1.0, 2.0], "not whole numbers"),
    ],
)
def test_labels_that_are_not_classes_are_refused(labels, words):
    with pytest.raises(UserError, match=words):
        train(linear(), data=(images(3)[0], np.array(labels)))


def test_no_images_at_all_are_refused():
    with pytest.raises(UserError, match="there are no training images"):
        train(linear(), data=(images()[0][:0], np.zeros(0, int)))
    with pytest.raises(UserError, match="there are no validation images"):
        train(linear(), validation=(ArrayInputs(images()[0][:0]), np.zeros(0, int)))


class Tuple(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = linear()

    def forward(self, images):
        return self.inner(images), 1


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (linear(classes=2), r"scores of shape \(2, 2\), where 3 classes need \(2, 3\)"),
        (nn.Conv2d(2, 3, 3), r"scores of shape \(2, 3, 4, 4\)"),
        (nn.Conv2d(3, 3, 3), r"does not take inputs of shape \(2, 2, 6, 6\)"),
        (Tuple(), "answers with a tuple"),
    ],
)
def test_a_network_of_another_shape_is_refused_before_the_first_step(network, words):
    with pytest.raises(UserError, match=words):
        train(network)


def test_a_loss_that_is_no_number_stops_with_the_step_and_the_likely_cause():
    with pytest.raises(UserError, match=r"at step [2-9]: most likely the learning rate of 1e\+30 is too high") as told:
        train(cnn(), TrainingConfig(lr=1e30, optimizer="sgd", schedule="constant"))
    assert "lower it" in told.value.fix
    values, labels = images()
    broken = epoch_order(60, 0, 1)[7]  # the first step of the second epoch, at eight images a batch
    values[broken, 0, 0, 0] = np.nan

    class Later(ArrayInputs):
        def take(self, rows, epoch, device):
            found = super().take(rows, epoch, device)
            return found if epoch == 1 else found.nan_to_num(0)

    with pytest.raises(UserError, match="at step 9: an image of that step holds values that are no numbers"):
        train_network(linear(), Later(values), labels, 3, TrainingConfig(batch_size=8), device=CPU)
    values, labels = images()
    with pytest.raises(UserError, match="nan in epoch 1"):
        train(linear(), validation=(ArrayInputs(values * np.nan), labels))


def test_averaged_weights_are_the_average_and_are_what_is_validated():
    seen = []

    class Watch(Callback):
        def step_end(self, state):
            seen.append(state.network[1].weight.detach().clone())

    values, labels = images()
    data = (ArrayInputs(values), labels)
    network = linear()
    average = network[1].weight.detach().clone()
    found = train(
        network, TrainingConfig(epochs=2, ema=0.5, lr=0.05, keep_best=False), validation=data, callbacks=[Watch()]
    )
    for step, weight in enumerate(seen, start=1):
        average = torch.lerp(average, weight, 1 - min(0.5, (1 + step) / (10 + step)))
    assert found.best_epoch == 2 and torch.allclose(found.network[1].weight, average, atol=1e-6)
    right = (score_network(found.network, data[0], device=CPU).argmax(1) == labels).mean()
    assert found.history["validation_accuracy"][-1] == pytest.approx(right)


def test_callbacks_are_called_at_five_moments_and_can_stop():
    seen = []

    class Watch(Callback):
        def fit_start(self, state):
            seen.append("fit_start")

        def epoch_start(self, state):
            seen.append("epoch_start")

        def step_end(self, state):
            seen.append("step_end")

        def epoch_end(self, state):
            seen.append(f"epoch_end {state.history[-1]['epoch']}")
            state.stopped = "enough"

        def fit_end(self, state):
            seen.append("fit_end")

    found = train(linear(), TrainingConfig(epochs=5), callbacks=[Watch()])
    assert seen == ["fit_start", "epoch_start", "step_end", "step_end", "epoch_end 1", "fit_end"]
    assert found.stopped == "enough" and len(found.history) == 1


def test_a_callback_can_stop_in_the_middle_of_an_epoch():
    class Stop(Callback):
        def step_end(self, state):
            if state.step == 3:
                state.stopped = "the time is up"

    found = train(linear(), TrainingConfig(epochs=5, batch_size=30), callbacks=[Stop()])
    assert found.history["step"].to_list() == [2, 3] and found.stopped == "the time is up"


def test_fit_end_comes_after_an_error_too_even_if_another_callback_fails():
    seen = []

    class Fails(Callback):
        def step_end(self, state):
            raise ValueError("mine")

        def fit_end(self, state):
            raise OSError("also mine")

    class Watch(Callback):
        def fit_end(self, state):
            seen.append("fit_end")

    with pytest.raises(OSError, match="also mine"):
        train(linear(), callbacks=[Fails(), Watch()])
    assert seen == ["fit_end"]


def test_ctrl_c_is_heard_after_the_step_and_a_second_one_at_once():
    class Press(Callback):
        def epoch_start(self, state):
            os.kill(os.getpid(), signal.SIGINT)
            self.went_on = True

    before = signal.getsignal(signal.SIGINT)
    press = Press()
    with pytest.raises(KeyboardInterrupt):
        train(linear(), callbacks=[press])
    assert press.went_on and signal.getsignal(signal.SIGINT) is before

    class PressTwice(Callback):
        def epoch_start(self, state):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            self.went_on = True

    twice = PressTwice()
    with pytest.raises(KeyboardInterrupt):
        train(linear(), callbacks=[twice])
    assert not hasattr(twice, "went_on") and signal.getsignal(signal.SIGINT) is before


def test_training_in_another_thread_works():
    found = []
    thread = threading.Thread(target=lambda: found.append(train(linear(), TrainingConfig(epochs=1))))
    thread.start()
    thread.join()
    assert len(found) == 1


def test_balanced_sampling_draws_every_class_alike():
    labels = np.repeat([0, 1, 2], [80, 15, 5])
    drawn = balanced_order(labels, 0, 0)
    assert len(drawn) == 100 and np.ptp(np.bincount(labels[drawn])) <= 1
    assert np.bincount(drawn)[95:].min() >= 6  # an image of five stands for a fifth of its class's share
    assert (
        len(np.unique(drawn[labels[drawn] == 0])) == (labels[drawn] == 0).sum()
    )  # nothing twice where there is plenty
    assert drawn.tolist() != balanced_order(labels, 0, 1).tolist()


def test_precision_that_is_measured_is_told_and_changes_nothing_before_training():
    notes = Notes()
    data = images()
    found = train(cnn(), TrainingConfig(epochs=1, precision="auto"), data, progress=notes)
    assert any(line.startswith("precision: ") for line in notes.lines)
    chosen = notes.lines[-1].split()[1]
    assert same(weights(train(cnn(), TrainingConfig(epochs=1, precision=chosen), data).network), weights(found.network))


def test_precision_is_measured_once_and_then_remembered(monkeypatch, tmp_path):
    from coverslip.training import precision

    monkeypatch.setenv("COVERSLIP_CACHE", str(tmp_path))
    auto, timed = TrainingConfig(epochs=1, precision="auto"), []

    def measured(job):
        timed.append(job)
        return ("bfloat16", "precision: bfloat16 (first)") if len(timed) == 1 else ("float32", "precision: float32")

    monkeypatch.setattr(precision, "choose_precision", measured)
    assert [train(cnn(), auto).precision for _ in range(2)] == ["bfloat16", "bfloat16"] and len(timed) == 1
    assert train(cnn(), replace(auto, batch_size=4)).precision == "float32" and len(timed) == 2  # other steps
    for file in tmp_path.glob("precision/*/*.txt"):
        file.write_text("spoilt")
    assert [train(cnn(), auto).precision for _ in range(2)] == ["float32", "float32"] and len(timed) == 3


@pytest.mark.parametrize(("native", "chosen"), [(True, "bfloat16"), (None, "float32"), (False, "float32")])
def test_what_bfloat16_seems_to_save_on_a_processor_without_it_is_chance(monkeypatch, tmp_path, native, chosen):
    from coverslip.training import precision

    clock = iter(np.cumsum([0.0, 10.0, 0.0, 7.0] * 12))  # bfloat16 takes 7 seconds where float32 takes 10
    monkeypatch.setenv("COVERSLIP_CACHE", str(tmp_path))
    monkeypatch.setattr(precision, "native_bfloat16", lambda: native)
    monkeypatch.setattr(precision, "perf_counter", lambda: next(clock))
    notes = Notes()
    found = train(cnn(), TrainingConfig(epochs=1, precision="auto"), progress=notes)
    assert found.precision == chosen and f"precision: {chosen}" in notes.lines[0]
    assert ("has no bfloat16" in notes.lines[0]) == (native is False)


def test_bfloat16_trains_too():
    found = train(cnn(), TrainingConfig(epochs=3, lr=0.01, precision="bfloat16"))
    assert found.history["train_loss"][-1] < found.history["train_loss"][0]
    assert all(each.dtype == torch.float32 for each in found.network.parameters())


@pytest.mark.parametrize("last", [False, True])
def test_arrays_of_bytes_become_zero_to_one_in_either_order_in_memory(last):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 2, 6, 6), np.uint8)
    array = np.ascontiguousarray(pixels.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2) if last else pixels
    array.flags.writeable = False
    taken = ArrayInputs(array).take(np.array([3, 1]), None, CPU)
    assert taken.shape == (2, 2, 6, 6) and taken.dtype == torch.float32
    np.testing.assert_allclose(taken.numpy(), pixels[[3, 1]] / 255, atol=1e-6)


def test_augmented_images_follow_from_seed_epoch_and_row_and_not_from_the_batch():
    from coverslip.data.augment import PRESETS

    pixels = np.random.default_rng(0).integers(0, 256, (6, 3, 16, 16), np.uint8)
    inputs = ArrayInputs(pixels, PRESETS["light"], seed=1)
    together = inputs.take(np.arange(6), 2, CPU)
    torch.testing.assert_close(inputs.take(np.array([4]), 2, CPU)[0], together[4])
    assert not torch.equal(inputs.take(np.arange(6), 3, CPU), together)
    np.testing.assert_allclose(inputs.take(np.arange(6), None, CPU).numpy(), pixels / 255, atol=1e-6)


def test_mixed_images_train_the_same_way_twice_and_have_no_accuracy():
    from coverslip.data.augment import Augmentation

    how = Augmentation(mixup=0.4)
    one, two = (train(cnn(), TrainingConfig(epochs=2), mix=how) for _ in range(2))
    assert same(weights(one.network), weights(two.network))
    assert one.history["train_accuracy"].null_count() == 2
    assert not same(weights(one.network), weights(train(cnn(), TrainingConfig(epochs=2)).network))
    with pytest.raises(UserError, match=r"measured: train_loss\)"):
        train(cnn(), TrainingConfig(patience=1, monitor="train_accuracy"), mix=how)
