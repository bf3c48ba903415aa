import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from coverslip.core.errors import UserError
from coverslip.core.progress import Progress
from coverslip.training.batches import ArrayInputs
from coverslip.training.callbacks import Callback, checkpointing
from coverslip.training.config import TrainingConfig
from coverslip.training.loop import train_network

CPU = torch.device("cpu")
CONFIGS = {
    "momentum": {"optimizer": "sgd", "momentum": 0.9, "nesterov": True, "clip": 1.0, "l2": 1e-3},
    "adamw, ema": {"ema": 0.9, "accumulate": 2, "label_smoothing": 0.1},
    "sampling, best": {"balance": "sampling", "optimizer": "adam", "loss": "focal", "patience": 4},
}


def images():
    rng = np.random.default_rng(0)
    labels = rng.choice(3, 61, p=[0.6, 0.3, 0.1])
    return (rng.normal(size=(61, 2, 6, 6)) + labels[:, None, None, None]).astype(np.float32), labels


def cnn():
    torch.manual_seed(0)
    body = [nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.ReLU()]
    return nn.Sequential(*body, nn.Flatten(), nn.Dropout(0.3), nn.Linear(24, 3))


def train(config, checkpoint=None, data=None, network=None, **options):
    values, labels = data or images()
    validation = (ArrayInputs(values[:20]), labels[:20])
    network = network or cnn()
    return train_network(
        network,
        ArrayInputs(values),
        labels,
        3,
        config,
        validation=validation,
        checkpoint=checkpoint,
        device=CPU,
        **options,
    )


def assert_same(one, two):
    """Check that weights are bit-identical, and histories equal."""
    first, second = one.network.state_dict(), two.network.state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert one.history.drop("seconds").equals(two.history.drop("seconds"))
    assert (one.best_epoch, one.stopped) == (two.best_epoch, two.stopped)


class Interrupt(Callback):
    def __init__(self, step):
        self.step = step

    def step_end(self, state):
        if state.step == self.step:
            raise KeyboardInterrupt


class Notes(Progress):
    def __init__(self):
        self.lines = []

    def note(self, text):
        self.lines.append(text)


@pytest.mark.parametrize("step", [1, 8, 11])  # in the first epoch, at its end, in the second or third
@pytest.mark.parametrize("how", CONFIGS)
def test_a_resumed_training_is_bit_identical_to_an_uninterrupted_one(tmp_path, how, step):
    config = TrainingConfig(epochs=4, lr=0.02, batch_size=8, seed=3, **CONFIGS[how])
    expected = train(config)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path, callbacks=[Interrupt(step)])
    notes = Notes()
    torch.manual_seed(99)  # must not depend on the state of the global generator
    assert_same(train(config, tmp_path, progress=notes), expected)
    assert any(f"after step {step} of" in line for line in notes.lines)


def test_a_finished_training_takes_no_further_step(tmp_path):
    config = TrainingConfig(epochs=2, lr=0.02)
    first = train(config, tmp_path)

    class Never(Callback):
        def step_end(self, state):
            raise AssertionError("a step was taken")

    assert_same(train(config, tmp_path, callbacks=[Never()]), first)


def test_a_training_that_stopped_early_is_not_continued(tmp_path):
    config = TrainingConfig(epochs=30, lr=0.1, patience=2, schedule="constant")
    first = train(config, tmp_path)
    assert len(first.history) < 30 and "did not improve" in first.stopped
    assert_same(train(config, tmp_path), first)


SCRIPT = """
import sys
import time
sys.path.insert(0, sys.argv[1])
import importlib
test = importlib.import_module("test_checkpoint")
from coverslip.training.callbacks import checkpointing
checkpointing.INTERVAL = 0.0
class Slow(test.Callback):
    def step_end(self, state):
        print(state.step, flush=True)
        time.sleep(0.02)
test.train(test.TrainingConfig(epochs=4, lr=0.02, batch_size=8, ema=0.9), test.Path(sys.argv[2]), callbacks=[Slow()])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9")
def test_a_killed_and_resumed_training_is_bit_identical_to_an_uninterrupted_one(tmp_path):
    threads = str(torch.get_num_threads())
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(Path(__file__).parent), str(tmp_path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": threads},
        text=True,
    )
    while int(process.stdout.readline()) < 13:
        pass
    process.send_signal(signal.SIGKILL)
    process.communicate()
    config, notes = TrainingConfig(epochs=4, lr=0.02, batch_size=8, ema=0.9), Notes()
    assert_same(train(config, tmp_path, progress=notes), train(config))
    assert "after step 1" in "".join(notes.lines)
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".tmp"] == ["state.safetensors"]


def stop(tmp_path, config, **named):
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path, callbacks=[Interrupt(2)], **named)
    return (tmp_path / "state.safetensors").read_bytes()


def test_other_settings_are_refused_with_the_difference_and_the_checkpoint_remains(tmp_path):
    before = stop(tmp_path, TrainingConfig(epochs=3, lr=0.01))
    with pytest.raises(
        UserError, match=r"cannot be resumed: lr changed from 0\.01 to 0\.02\n  fix: use the same settings"
    ):
        train(TrainingConfig(epochs=3, lr=0.02), tmp_path)
    with pytest.raises(UserError, match="epochs changed from 3 to 4"):
        train(TrainingConfig(epochs=4, lr=0.01), tmp_path)
    assert (tmp_path / "state.safetensors").read_bytes() == before


def test_other_data_or_another_network_is_refused_with_the_difference(tmp_path):
    config, (values, labels) = TrainingConfig(epochs=3), images()
    stop(tmp_path, config, identity={"split": "a"})
    same_split = {"identity": {"split": "a"}}
    with pytest.raises(UserError, match="split changed from 'a' to 'b'"):
        train(config, tmp_path, identity={"split": "b"})
    with pytest.raises(UserError, match="split changed from 'a' to None"):
        train(config, tmp_path)
    with pytest.raises(UserError, match="images changed from '61' to '60'"):
        train(config, tmp_path, (values[:60], labels[:60]), **same_split)
    with pytest.raises(UserError, match="cannot be resumed: labels changed"):
        train(config, tmp_path, (values, labels[::-1]), **same_split)
    with pytest.raises(UserError, match="first images changed"):
        train(config, tmp_path, (values + 1, labels), **same_split)
    with pytest.raises(UserError, match="shapes of the network changed"):
        train(config, tmp_path, network=nn.Sequential(nn.Flatten(), nn.Linear(72, 3)), **same_split)
    frozen = cnn()
    frozen[0].requires_grad_(False)
    with pytest.raises(UserError, match="trained layers changed"):
        train(config, tmp_path, network=frozen, **same_split)
    train(config, tmp_path, **same_split)


def test_another_number_of_threads_is_noted(tmp_path, monkeypatch):
    stop(tmp_path, TrainingConfig(epochs=2))
    monkeypatch.setattr("coverslip.training.checkpoint.machine", lambda: {"torch": torch.__version__, "threads": "64"})
    notes = Notes()
    train(TrainingConfig(epochs=2), tmp_path, progress=notes)
    assert any("to 64: the last digits may differ" in line for line in notes.lines)


@pytest.mark.parametrize("content", [b"", b"no tensors", b"\x08\0\0\0\0\0\0\0{}      "])
def test_a_damaged_checkpoint_is_refused(tmp_path, content):
    (tmp_path / "state.safetensors").write_bytes(content)
    with pytest.raises(UserError, match=r"is not a checkpoint: .*\n  fix: delete it"):
        train(TrainingConfig(epochs=1), tmp_path)


def test_a_full_disk_leaves_the_last_complete_checkpoint(tmp_path, monkeypatch):
    """The error occurs in the middle of a write, as on a full disk."""
    config, written = TrainingConfig(epochs=4, lr=0.02), []
    expected, write = train(config), Path.write_bytes

    def write_until_full(self, data):
        written.append(self)
        if len(written) < 3:
            return write(self, data)
        write(self, data[:1000])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", write_until_full)
        patch.setattr(checkpointing, "MAX_OVERHEAD", 1e9)  # save after every epoch
        with pytest.raises(UserError, match="became full"):
            train(config, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["state.safetensors"]
    notes = Notes()
    assert_same(train(config, tmp_path, progress=notes), expected)
    assert any("after step 4 of 8 (epoch 3)" in line for line in notes.lines)


def test_a_non_finite_loss_is_never_saved(tmp_path):
    config = TrainingConfig(epochs=3, lr=1e30, optimizer="sgd", schedule="constant")
    with pytest.raises(UserError, match="at step"):
        train(config, tmp_path)
    assert not list(tmp_path.iterdir())


def test_non_finite_weights_are_not_saved_even_if_the_loss_is_finite(tmp_path):
    class Overflow(Callback):
        def step_end(self, state):
            if state.step == 3:
                with torch.no_grad():
                    next(state.network.parameters()).fill_(torch.inf)
                raise KeyboardInterrupt

    config = TrainingConfig(epochs=3, lr=0.02)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path, callbacks=[Overflow()])
    notes = Notes()
    assert_same(train(config, tmp_path, progress=notes), train(config))
    assert any("after step 2 of 6" in line for line in notes.lines)


def test_a_checkpoint_contains_tensors_and_json_only(tmp_path):
    from safetensors import safe_open

    train(TrainingConfig(epochs=1), tmp_path)
    with safe_open(tmp_path / "state.safetensors", "pt") as opened:
        content = json.loads(opened.metadata()["state"])
    assert content["epoch"] == 1 and content["recipe"]["optimizer"] == "adamw"


def test_tied_weights_can_be_resumed(tmp_path):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.one = nn.Linear(72, 72)
            self.two = nn.Linear(72, 72)
            self.two.weight = self.one.weight
            self.last = nn.Linear(72, 3)

        def forward(self, images):
            return self.last(self.two(self.one(images.flatten(1)).relu()))

    config = TrainingConfig(epochs=2, lr=0.01, ema=0.9)
    expected = train(config, network=Tied())
    stop(tmp_path, config, network=Tied())
    assert_same(train(config, tmp_path, network=Tied()), expected)


def test_checkpoints_are_skipped_if_saving_takes_most_of_the_time(tmp_path, monkeypatch):
    saved, save = [], checkpointing.CheckpointCallback.save

    def slow(self, state):
        save(self, state)
        saved.append(state.step)
        self.duration = 0.05

    monkeypatch.setattr(checkpointing.CheckpointCallback, "save", slow)
    train(TrainingConfig(epochs=20), tmp_path)
    assert saved[0] == 2 and saved[-1] == 40 and len(saved) < 5
