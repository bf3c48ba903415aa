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
from coverslip.training.batches import ArrayInputs, balanced_order, epoch_order, split_batches
from coverslip.training.callbacks import Callback
from coverslip.training.config import TrainingConfig
from coverslip.training.forward import compute_logits
from coverslip.training.loop import train_network

CPU = torch.device("cpu")


def images(count=60, classes=3, seed=0):
    """Return float32 images (count, 2, 6, 6) whose brightness depends on the class."""
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


def train(network, config=None, data=None, classes=3, **options):
    values, labels = data or images()
    return train_network(
        network, ArrayInputs(values), labels, classes, config or TrainingConfig(), device=CPU, **options
    )


def weights(network):
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def same(one, two):
    return all(torch.equal(one[name], two[name]) for name in one)


class Notes(Progress):
    def __init__(self):
        self.lines = []

    def note(self, text):
        self.lines.append(text)


def test_a_network_learns_and_its_history_is_complete():
    values, labels = images(90)
    result = train_network(
        cnn(), ArrayInputs(values[:60]), labels[:60], 3, TrainingConfig(epochs=8, lr=0.01, batch_size=8),
        validation=(ArrayInputs(values[60:]), labels[60:]), device=CPU,
    )  # fmt: skip
    assert result.history["epoch"].to_list() == list(range(1, 9)) and result.history["step"].to_list()[-1] == 64
    assert result.history["validation_accuracy"][-1] > 0.9 and result.history.null_count().sum_horizontal()[0] == 0
    assert result.stopped == "completed all 8 epochs" and not result.network.training


def test_without_a_validation_set_its_columns_are_null_and_the_last_weights_are_kept():
    result = train(linear(), TrainingConfig(epochs=2))
    assert result.history["validation_loss"].null_count() == 2 and result.best_epoch == 2


def test_the_order_is_a_function_of_seed_and_epoch():
    first, second = epoch_order(20, 0, 0), epoch_order(20, 0, 1)
    assert sorted(first) == list(range(20)) and first.tolist() != second.tolist()
    assert epoch_order(20, 0, 1).tolist() == second.tolist() != epoch_order(20, 1, 1).tolist()


def test_every_epoch_uses_every_image_once():
    calls = []

    class Recorded(ArrayInputs):
        def take(self, rows, epoch, device):
            if epoch is not None:
                calls.append((epoch, rows.tolist()))
            return super().take(rows, epoch, device)

    values, labels = images(10)
    train_network(linear(), Recorded(values), labels, 3, TrainingConfig(epochs=2, batch_size=4), device=CPU)
    for epoch in (0, 1):
        assert sorted(row for number, rows in calls for row in rows if number == epoch) == list(range(10))
    assert [len(rows) for _, rows in calls[:3]] == [4, 4, 2]


def test_equal_seeds_lead_to_equal_weights_and_other_seeds_to_others():
    data = images()
    one, two = (weights(train(cnn(), TrainingConfig(epochs=2), data).network) for _ in range(2))
    assert same(one, two)
    assert not same(one, weights(train(cnn(), TrainingConfig(epochs=2, seed=1), data).network))


def test_training_does_not_change_the_state_of_the_global_generator():
    network = linear()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(network, TrainingConfig(epochs=1))
    assert torch.equal(torch.rand(3), expected)


def test_logits_do_not_depend_on_the_batch_size_and_the_mode_is_restored():
    values, _ = images(10)
    network = cnn().train()
    logits = compute_logits(network, ArrayInputs(values), batch_size=4, device=CPU)
    assert logits.shape == (10, 3) and logits.dtype == np.float32 and network.training
    expected = compute_logits(network, ArrayInputs(values), device=CPU)
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    selected = compute_logits(network, ArrayInputs(values), np.array([7, 2]), device=CPU)
    np.testing.assert_allclose(selected, expected[[7, 2]], atol=1e-5)


@pytest.mark.parametrize(("keep_best", "epoch"), [(True, 2), (False, 3)])
def test_keep_best_restores_the_best_epoch(monkeypatch, keep_best, epoch):
    accuracies, after = [0.5, 0.9, 0.7], []
    monkeypatch.setattr(
        "coverslip.training.callbacks.ValidationCallback._evaluate",
        lambda self, state, *_: {"validation_loss": 1.0, "validation_accuracy": accuracies[state.epoch - 1]},
    )

    class Keep(Callback):
        def epoch_end(self, state):
            after.append(weights(state.network))

    config = TrainingConfig(epochs=3, monitor="validation_accuracy", keep_best=keep_best)
    result = train(cnn(), config, validation=(ArrayInputs(images()[0]), images()[1]), callbacks=[Keep()])
    assert result.best_epoch == epoch and same(weights(result.network), after[epoch - 1])


def test_early_stopping_waits_for_patience_epochs_and_restores_the_best(monkeypatch):
    losses = [1.0, 0.5, 0.6, 0.5, 0.7, 0.1]
    monkeypatch.setattr(
        "coverslip.training.callbacks.ValidationCallback._evaluate",
        lambda self, state, *_: {"validation_loss": losses[state.epoch - 1], "validation_accuracy": 0.5},
    )
    result = train(cnn(), TrainingConfig(epochs=6, patience=3), validation=(ArrayInputs(images()[0]), images()[1]))
    assert len(result.history) == 5 and result.best_epoch == 2
    assert result.stopped == "validation loss did not improve for 3 epochs"


def test_early_stopping_on_a_quantity_that_is_not_measured_is_refused():
    with pytest.raises(UserError, match=r"not measured \(measured: train_loss, train_accuracy"):
        train(linear(), TrainingConfig(patience=3))
    with pytest.raises(UserError, match="did you mean 'validation_loss'"):
        TrainingConfig(patience=3, monitor="validation_los")


def test_plain_sgd_equals_an_explicit_update():
    values, labels = images(30)
    network = linear()
    weight, bias = network[1].weight.detach().numpy().copy(), network[1].bias.detach().numpy().copy()
    config = TrainingConfig(
        epochs=3, lr=0.1, batch_size=0, optimizer="sgd", momentum=0.0, weight_decay=0.0, schedule="constant"
    )
    result = train(network, config, (values, labels))
    flat, targets = values.reshape(30, -1).astype(np.float64), np.eye(3)[labels]
    for _ in range(3):
        logits = flat @ weight.T + bias
        powers = np.exp(logits - logits.max(1, keepdims=True))
        error = (powers / powers.sum(1, keepdims=True) - targets) / 30
        weight, bias = weight - 0.1 * error.T @ flat, bias - 0.1 * error.sum(0)
    np.testing.assert_allclose(result.network[1].weight.detach().numpy(), weight, atol=1e-5)
    np.testing.assert_allclose(result.network[1].bias.detach().numpy(), bias, atol=1e-5)
    assert result.history["step"].to_list() == [1, 2, 3]  # batch gradient descent: one step per epoch


def test_gradients_left_by_the_caller_are_cleared():
    marked = linear()
    for each in marked.parameters():
        each.grad = torch.ones_like(each)
    assert same(
        weights(train(marked, TrainingConfig(epochs=1)).network),
        weights(train(linear(), TrainingConfig(epochs=1)).network),
    )


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("count", [48, 45])
def test_two_accumulated_batches_of_eight_equal_one_of_sixteen(optimizer, count):
    data = images(count)
    result = [
        train(
            cnn(norm=False, dropout=0.0), TrainingConfig(epochs=2, lr=0.01, optimizer=optimizer, l2=0.01, **how), data
        )
        for how in ({"batch_size": 8, "accumulate": 2}, {"batch_size": 16})
    ]
    one, two = (weights(each.network) for each in result)
    assert all(torch.allclose(one[name], two[name], atol=2e-6) for name in one)
    assert result[0].history["step"].to_list() == result[1].history["step"].to_list()


def test_clipping_limits_the_norm_of_the_gradient():
    norms = {}
    for clip in (0.0, 0.01):
        network = linear()
        before = network[1].weight.detach().clone()
        config = TrainingConfig(epochs=1, lr=1.0, batch_size=0, optimizer="sgd", momentum=0.0, clip=clip,
                        weight_decay=0.0, schedule="constant")  # fmt: skip
        train(network, config)
        norms[clip] = float((network[1].weight.detach() - before).norm())
    assert norms[0.01] <= 0.01 + 1e-6 < norms[0.0]


def test_frozen_weights_and_statistics_of_frozen_batch_norm_do_not_change():
    network = cnn()
    network[0].requires_grad_(False)
    network[1].requires_grad_(False)
    before = weights(network)
    after = weights(train(network, TrainingConfig(epochs=2, lr=0.01)).network)
    kept = {name for name in before if torch.equal(before[name], after[name])}
    assert kept == {name for name in before if name[0] in "01"}


def test_a_network_without_trainable_parameters_is_refused():
    with pytest.raises(UserError, match="no trainable parameters"):
        train(linear().requires_grad_(False))


def test_with_batch_norm_a_last_batch_of_one_image_is_merged():
    assert [len(rows) for rows in split_batches(np.arange(9), 4, True)] == [4, 5]
    assert [len(rows) for rows in split_batches(np.arange(9), 4, False)] == [4, 4, 1]
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(72, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))
    for accumulate in (1, 2, 3):
        result = train(network, TrainingConfig(epochs=1, batch_size=4, accumulate=accumulate), images(9))
        assert math.isfinite(result.history["train_loss"][0])
    assert train(linear(), TrainingConfig(epochs=1, batch_size=1), images(5)).history["step"].to_list() == [5]


def test_batch_norm_with_one_image_per_batch_is_refused():
    with pytest.raises(UserError, match="batch has one\n  fix: set batch_size to 2"):
        train(cnn(), TrainingConfig(batch_size=1))
    with pytest.raises(UserError, match="batch has one"):
        train(cnn(), TrainingConfig(), images(1))
    frozen = cnn()
    frozen[1].requires_grad_(False)
    train(frozen, TrainingConfig(batch_size=1, epochs=1))  # frozen batch norm does not use the statistics of the batch


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([0, 1, 3], "label 3 of the training images is out of range for 3 classes"),
        ([0, -1, 2], "label -1"),
        ([0, 1], "the labels of 3 training images have shape .2,."),
        ([0.0, 1.0, 2.0], "not integers"),
    ],
)
def test_invalid_labels_are_refused(labels, words):
    with pytest.raises(UserError, match=words):
        train(linear(), data=(images(3)[0], np.array(labels)))


def test_an_empty_training_or_validation_set_is_refused():
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
        (linear(classes=2), r"shape \(2, 2\) for 2 images; 3 classes require \(2, 3\)"),
        (nn.Conv2d(2, 3, 3), r"logits of shape \(2, 3, 4, 4\)"),
        (nn.Conv2d(3, 3, 3), r"rejects inputs of shape \(2, 2, 6, 6\)"),
        (Tuple(), "returns a tuple"),
    ],
)
def test_a_network_with_wrong_inputs_or_outputs_is_refused_before_the_first_step(network, words):
    with pytest.raises(UserError, match=words):
        train(network)


def test_a_non_finite_loss_is_an_error_with_the_step_and_the_likely_cause():
    with pytest.raises(UserError, match=r"at step [2-9]: the learning rate 1e\+30 is probably too high") as caught:
        train(cnn(), TrainingConfig(lr=1e30, optimizer="sgd", schedule="constant"))
    assert "lower the learning rate" in caught.value.fix
    values, labels = images()
    invalid = epoch_order(60, 0, 1)[7]  # in the first step of the second epoch, with batches of eight
    values[invalid, 0, 0, 0] = np.nan

    class NanInEpochTwo(ArrayInputs):
        def take(self, rows, epoch, device):
            result = super().take(rows, epoch, device)
            return result if epoch == 1 else result.nan_to_num(0)

    with pytest.raises(UserError, match="at step 9: an image of that step contains NaN"):
        train_network(linear(), NanInEpochTwo(values), labels, 3, TrainingConfig(batch_size=8), device=CPU)
    values, labels = images()
    with pytest.raises(UserError, match="nan in epoch 1"):
        train(linear(), validation=(ArrayInputs(values * np.nan), labels))


def test_averaged_weights_are_the_moving_average_and_are_used_for_validation():
    seen = []

    class Watch(Callback):
        def step_end(self, state):
            seen.append(state.network[1].weight.detach().clone())

    values, labels = images()
    data = (ArrayInputs(values), labels)
    network = linear()
    average = network[1].weight.detach().clone()
    result = train(
        network, TrainingConfig(epochs=2, ema=0.5, lr=0.05, keep_best=False), validation=data, callbacks=[Watch()]
    )
    for step, weight in enumerate(seen, start=1):
        average = torch.lerp(average, weight, 1 - min(0.5, (1 + step) / (10 + step)))
    assert result.best_epoch == 2 and torch.allclose(result.network[1].weight, average, atol=1e-6)
    accuracy = (compute_logits(result.network, data[0], device=CPU).argmax(1) == labels).mean()
    assert result.history["validation_accuracy"][-1] == pytest.approx(accuracy)


def test_callbacks_are_called_in_order_and_can_stop_training():
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

    result = train(linear(), TrainingConfig(epochs=5), callbacks=[Watch()])
    assert seen == ["fit_start", "epoch_start", "step_end", "step_end", "epoch_end 1", "fit_end"]
    assert result.stopped == "enough" and len(result.history) == 1


def test_a_callback_can_stop_training_within_an_epoch():
    class Stop(Callback):
        def step_end(self, state):
            if state.step == 3:
                state.stopped = "the time is up"

    result = train(linear(), TrainingConfig(epochs=5, batch_size=30), callbacks=[Stop()])
    assert result.history["step"].to_list() == [2, 3] and result.stopped == "the time is up"


def test_fit_end_is_called_after_errors_of_training_and_of_other_callbacks():
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


def test_ctrl_c_acts_after_the_step_and_a_second_one_at_once():
    class Press(Callback):
        def epoch_start(self, state):
            os.kill(os.getpid(), signal.SIGINT)
            self.continued = True

    before = signal.getsignal(signal.SIGINT)
    press = Press()
    with pytest.raises(KeyboardInterrupt):
        train(linear(), callbacks=[press])
    assert press.continued and signal.getsignal(signal.SIGINT) is before

    class PressTwice(Callback):
        def epoch_start(self, state):
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            self.continued = True

    twice = PressTwice()
    with pytest.raises(KeyboardInterrupt):
        train(linear(), callbacks=[twice])
    assert not hasattr(twice, "continued") and signal.getsignal(signal.SIGINT) is before


def test_training_works_in_another_thread():
    result = []
    thread = threading.Thread(target=lambda: result.append(train(linear(), TrainingConfig(epochs=1))))
    thread.start()
    thread.join()
    assert len(result) == 1


def test_balanced_order_draws_equally_from_every_class():
    labels = np.repeat([0, 1, 2], [80, 15, 5])
    drawn = balanced_order(labels, 0, 0)
    assert len(drawn) == 100 and np.ptp(np.bincount(labels[drawn])) <= 1
    assert np.bincount(drawn)[95:].min() >= 6  # each of the five images is drawn about a fifth of 33 times
    frequent = drawn[labels[drawn] == 0]
    assert len(np.unique(frequent)) == len(frequent)  # without replacement
    assert drawn.tolist() != balanced_order(labels, 0, 1).tolist()


def test_auto_precision_is_reported_and_measuring_changes_no_weights():
    notes = Notes()
    data = images()
    result = train(cnn(), TrainingConfig(epochs=1, precision="auto"), data, progress=notes)
    assert any(line.startswith("precision: ") for line in notes.lines)
    chosen = notes.lines[-1].split()[1]
    assert same(
        weights(train(cnn(), TrainingConfig(epochs=1, precision=chosen), data).network), weights(result.network)
    )


def test_precision_is_measured_once_and_cached(monkeypatch, tmp_path):
    from coverslip.training import precision

    monkeypatch.setenv("COVERSLIP_CACHE", str(tmp_path))
    auto, timed = TrainingConfig(epochs=1, precision="auto"), []

    def measured(job):
        timed.append(job)
        return ("bfloat16", "precision: bfloat16 (first)") if len(timed) == 1 else ("float32", "precision: float32")

    monkeypatch.setattr(precision, "measure_precision", measured)
    assert [train(cnn(), auto).precision for _ in range(2)] == ["bfloat16", "bfloat16"] and len(timed) == 1
    assert train(cnn(), replace(auto, batch_size=4)).precision == "float32" and len(timed) == 2  # another batch size
    for file in tmp_path.glob("precision/*/*.txt"):
        file.write_text("damaged")
    assert [train(cnn(), auto).precision for _ in range(2)] == ["float32", "float32"] and len(timed) == 3


@pytest.mark.parametrize(("native", "chosen"), [(True, "bfloat16"), (None, "float32"), (False, "float32")])
def test_bfloat16_is_not_chosen_without_native_support(monkeypatch, tmp_path, native, chosen):
    from coverslip.training import precision

    clock = iter(np.cumsum([0.0, 10.0, 0.0, 7.0] * 12))  # seconds: 10 for float32, 7 for bfloat16
    monkeypatch.setenv("COVERSLIP_CACHE", str(tmp_path))
    monkeypatch.setattr(precision, "native_bfloat16", lambda: native)
    monkeypatch.setattr(precision, "perf_counter", lambda: next(clock))
    notes = Notes()
    result = train(cnn(), TrainingConfig(epochs=1, precision="auto"), progress=notes)
    assert result.precision == chosen and f"precision: {chosen}" in notes.lines[0]
    assert ("has no bfloat16" in notes.lines[0]) == (native is False)


def test_bfloat16_training_reduces_the_loss_and_keeps_float32_weights():
    result = train(cnn(), TrainingConfig(epochs=3, lr=0.01, precision="bfloat16"))
    assert result.history["train_loss"][-1] < result.history["train_loss"][0]
    assert all(weight.dtype == torch.float32 for weight in result.network.parameters())


@pytest.mark.parametrize("last", [False, True])
def test_uint8_images_are_scaled_to_one_in_either_memory_layout(last):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 2, 6, 6), np.uint8)
    array = np.ascontiguousarray(pixels.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2) if last else pixels
    array.flags.writeable = False
    inputs = ArrayInputs(array).take(np.array([3, 1]), None, CPU)
    assert inputs.shape == (2, 2, 6, 6) and inputs.dtype == torch.float32
    np.testing.assert_allclose(inputs.numpy(), pixels[[3, 1]] / 255, atol=1e-6)


def test_augmentation_is_a_function_of_seed_epoch_and_row():
    from coverslip.data.augment import PRESETS

    pixels = np.random.default_rng(0).integers(0, 256, (6, 3, 16, 16), np.uint8)
    inputs = ArrayInputs(pixels, PRESETS["light"], seed=1)
    together = inputs.take(np.arange(6), 2, CPU)
    torch.testing.assert_close(inputs.take(np.array([4]), 2, CPU)[0], together[4])
    assert not torch.equal(inputs.take(np.arange(6), 3, CPU), together)
    np.testing.assert_allclose(inputs.take(np.arange(6), None, CPU).numpy(), pixels / 255, atol=1e-6)


def test_mixup_is_reproducible_and_has_no_training_accuracy():
    from coverslip.data.augment import Augmentation

    how = Augmentation(mixup=0.4)
    one, two = (train(cnn(), TrainingConfig(epochs=2), mix=how) for _ in range(2))
    assert same(weights(one.network), weights(two.network))
    assert one.history["train_accuracy"].null_count() == 2
    assert not same(weights(one.network), weights(train(cnn(), TrainingConfig(epochs=2)).network))
    with pytest.raises(UserError, match=r"measured: train_loss\)"):
        train(cnn(), TrainingConfig(patience=1, monitor="train_accuracy"), mix=how)
