"""Objectives: the losses of each task, their targets, and the last layer on the scale of the targets."""

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from coverslip.core.errors import UserError
from coverslip.training.batches import ArrayInputs
from coverslip.training.config import TrainingConfig
from coverslip.training.losses import VALUE_LOSSES
from coverslip.training.objectives import BinaryObjective, ClassObjective, ValueObjective, as_objective

INPUTS = ArrayInputs(np.zeros((4, 1, 2, 2), np.float32))


def test_the_number_of_classes_is_an_objective():
    objective = as_objective(3)
    labels = torch.tensor([0, 2, 1, 1])
    outputs = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    loss = objective.loss(TrainingConfig(), None)(outputs, labels)
    assert loss == pytest.approx(float(cross_entropy(outputs, labels, reduction="sum")))
    assert isinstance(objective, ClassObjective)
    assert objective.correct(outputs, labels).tolist() == (outputs.argmax(1) == labels).tolist()


def test_labels_have_the_mean_binary_cross_entropy_of_an_image():
    objective = BinaryObjective(3)
    targets = torch.from_numpy(objective.check(INPUTS, np.eye(4, 3, dtype=bool), "training"))
    outputs = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    loss = objective.loss(TrainingConfig(), None)(outputs, targets)
    assert loss == pytest.approx(4 * float(binary_cross_entropy_with_logits(outputs, targets)))
    assert objective.correct(torch.tensor([[1.0, -1.0, -1.0]]), targets[:1]).tolist() == [True]


def test_a_focal_loss_with_gamma_0_is_the_cross_entropy_of_labels():
    objective = BinaryObjective(2)
    targets, outputs = torch.eye(2), torch.tensor([[2.0, -1.0], [0.5, 3.0]])
    focal = objective.loss(TrainingConfig(loss="focal", gamma=0.0), None)(outputs, targets)
    assert focal == pytest.approx(float(objective.loss(TrainingConfig(), None)(outputs, targets)))
    assert objective.loss(TrainingConfig(loss="focal"), None)(outputs, targets) < focal


@pytest.mark.parametrize("loss", list(VALUE_LOSSES))
def test_values_are_standardized_and_the_last_layer_is_in_their_unit(loss):
    values = np.array([[100.0, 1.0], [300.0, 2.0], [200.0, 4.0], [400.0, 1.0]])
    objective = ValueObjective.of(values)
    targets = torch.from_numpy(objective.check(INPUTS, values, "training"))
    assert targets.mean(0).abs().max() < 1e-6
    assert objective.loss(TrainingConfig(loss=loss), None)(targets, targets) == 0
    weight, bias = objective.to_target_scale(np.eye(2, dtype=np.float32), np.zeros(2, np.float32))
    np.testing.assert_allclose(targets.numpy() @ weight.T + bias, values, rtol=1e-5)
    assert not objective.counts_correct


@pytest.mark.parametrize(
    ("objective", "targets", "message"),
    [
        (BinaryObjective(2), np.full((4, 2), 2.0), "not between 0 and 1"),
        (BinaryObjective(2), np.zeros((3, 2)), r"shape \(3, 2\)"),
        (ValueObjective((0.0,), (1.0,)), np.array([[0.0], [np.nan], [1.0], [2.0]]), "target 1 of the training images"),
    ],
)
def test_targets_that_do_not_fit_are_refused(objective, targets, message):
    with pytest.raises(UserError, match=message):
        objective.check(INPUTS, targets, "training")
