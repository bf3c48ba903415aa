"""Errors when more than a head is trained: the two lines of the message, and nothing is left behind."""

import shutil

import pytest
import torch

COURSE = ("--model", "cnn", "--set", "input.size=32", "--epochs", "2")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((*COURSE, "--lr", "0"), ["lr=0", "0.001"]),
        ((*COURSE, "--lr", "-1"), ["lr=-1"]),
        ((*COURSE, "--lr", "inf"), ["lr=inf"]),
        ((*COURSE, "--set", "training.batch_size=1", "--set", "model.batch_norm=true"), ["batch"]),
        ((*COURSE, "--set", "training.class_weights=[1, 1]"), ["2", "3"]),
        ((*COURSE, "--set", "training.monitor=val_acc"), ["val_acc", "validation_accuracy"]),
        ((*COURSE, "--set", "augment.rotat=20"), ["rotat", "rotate"]),
        ((*COURSE, "--lr", "1e30", "--set", "training.optimizer=sgd"), ["step", "learning rate"]),
        (
            ("--model", "cnn", "--set", "input.size=8", "--set", "model.filters=[8,8,8,8,8]"),
            ["too small", "at least 32"],
        ),
        (("--depth", "tial"), ["tial", "did you mean 'tail'"]),
        (("--depth", "head", "--find-lr"), ["head", "no learning rate"]),
        (("--model", "vit_tiny_patch16_22"), ["vit_tiny_patch16_22", "vit_tiny_patch16_224"]),
        (("--augment", "wild"), ["wild", "strong"]),
        (("--lr", "0.1", "--augment", "light"), ["--lr and --augment", "--depth tail"]),
        ((*COURSE, "--from-scratch", "--depth", "head"), ["'cnn'", "random"]),
        ((*COURSE, "--set", "model.weights=nowhere.pth"), ["'nowhere.pth' does not exist"]),
    ],
)
def test_a_training_that_cannot_work_is_refused(coverslip, leaves, tmp_path, options, words):
    problem, fix = coverslip("train", leaves, "--out", tmp_path / "run", *options).refused()
    for word in words:
        assert word.lower() in f"{problem} {fix}".lower()
    assert not (tmp_path / "run").exists(), "the corrected command must be able to use the folder"


@pytest.fixture
def start_from(coverslip, leaves, tmp_path):
    """Return a function that trains the whole network from a file of weights."""
    command = ("train", leaves, "--out", tmp_path / "run", *COURSE, "--depth", "all")
    return lambda weights: coverslip(*command, "--set", f"model.weights={weights}")


def test_weights_that_fit_only_partly_are_refused(start_from, tmp_path):
    from coverslip.models.catalog import build_network
    from coverslip.models.design import Design

    state = build_network(Design(network="cnn", size=(32, 32)), 3).state_dict()
    name = next(iter(state))
    state[f"{name}_old"] = state.pop(name)
    torch.save(state, tmp_path / "weights.pth")
    start_from(tmp_path / "weights.pth").refused("weights.pth", name)


def test_weights_that_would_execute_code_are_refused(start_from, tmp_path):
    class Harmful:
        def __reduce__(self):
            return (tmp_path.joinpath("harm").mkdir, ())

    torch.save({"layer": Harmful()}, tmp_path / "weights.pth")
    start_from(tmp_path / "weights.pth").refused("weights.pth")
    assert not (tmp_path / "harm").exists()


def test_resuming_with_other_images_is_refused(coverslip, images, tmp_path, monkeypatch):
    """A checkpoint belongs to its images: it cannot be resumed after one of them was deleted."""
    from coverslip.training.callbacks import CheckpointCallback

    epoch_end = CheckpointCallback.epoch_end

    def save_and_stop(self, state):
        self.every = 0.0
        epoch_end(self, state)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(CheckpointCallback, "epoch_end", save_and_stop)
        command = ("train", images, "--out", tmp_path / "run", "--model", "cnn", "--set", "input.size=32")
        assert coverslip(*command, "--epochs", "20").code == 130
    assert any((tmp_path / "run" / "checkpoints").iterdir())
    shutil.copytree(tmp_path / "run", tmp_path / "same")
    next(images.rglob("*.jpg")).unlink()
    coverslip("train", "--resume", tmp_path / "run").refused("images")
    assert any((tmp_path / "run" / "checkpoints").iterdir()), "the checkpoints are kept"
