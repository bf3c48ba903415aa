"""Sanity checks give the correct verdict for planted lesions, planted backgrounds and fixed maps."""

import json
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from coverslip.core.errors import UserError
from coverslip.explaining.maps.deletion import delete_and_insert
from coverslip.explaining.maps.placement import border_frame, fit_masks, heat_in_mask, pointing_game
from coverslip.explaining.maps.randomization import parts_of, randomize
from coverslip.explaining.maps.sanity import background_sentence, border_sentence, check_maps
from coverslip.explaining.maps.scores import mean_score, measure_placement
from coverslip.explaining.maps.similarity import agreement, as_drawn, rank_correlation, structural_similarity, upsampled

SIDE = 16


class RedVersusGreen(nn.Module):
    """Network whose two logits depend on the red and on the green pixels, so that the correct map is known."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 1)
        with torch.no_grad():
            self.conv.weight.copy_(torch.tensor([[9.0, -3.0, 0.0], [-3.0, 9.0, 0.0]])[:, :, None, None])
            self.conv.bias.zero_()

    def forward(self, images):
        return self.conv(images).mean(dim=(2, 3)) * 5


def activation_map(network, images, classes):
    with torch.no_grad():
        return network.conv(images).relu()[torch.arange(len(images)), classes].numpy()


def edge_map(network, images, classes):
    """Return a map that does not depend on the network."""
    gray = images.mean(dim=1)
    return (gray - gray.mean(dim=(1, 2), keepdim=True)).abs().numpy()


def flat_map(network, images, classes):
    return np.zeros((len(images), 4, 4), np.float32)


@pytest.fixture
def spots():
    """Return twelve dark images with a red spot, masks of the spots, and the class ids."""
    rng = np.random.default_rng(0)
    images, masks = np.full((12, 3, SIDE, SIDE), 0.2, np.float32), np.zeros((12, SIDE, SIDE), bool)
    images += 0.05 * rng.random(images.shape, np.float32)
    for number in range(12):
        top, left = rng.integers(2, 10, 2)
        masks[number, top : top + 4, left : left + 4] = True
        images[number, 0][masks[number]] = 1.0
    return torch.from_numpy(images), masks, [0] * 12


def test_a_map_that_shows_the_cause_passes_every_check(spots):
    images, masks, classes = spots
    groups = [f"leaf {number}" for number in (0, 0, *range(1, 11))]
    checks = check_maps(
        RedVersusGreen(), images, classes, activation_map, method="activations", masks={"spot": masks}, subject=masks,
        others={"edges": edge_map}, groups=groups,
    )  # fmt: skip
    assert checks.places["spot"].hits["value"] == 1 and checks.places["spot"].hits["low"] > 0.5
    assert checks.places["spot"].gain["low"] > 0.1
    assert checks.gain["low"] > 0
    assert checks.off.gain["high"] < 0
    text = " ".join(checks.sentences())
    assert "the hottest pixel is in the spot in 1.00" in text
    assert "better than random" in text and "less than expected by chance" in text
    assert checks.similarity["groups"] == 11
    json.dumps(checks.as_json(), allow_nan=False)


def test_a_map_that_does_not_depend_on_the_network_fails_the_randomization_test(spots):
    images, _, classes = spots
    checks = check_maps(RedVersusGreen(), images, classes, edge_map, method="edges")
    assert checks.similarity["value"] == pytest.approx(1) and not checks.depends_on_weights
    assert "failed" in checks.sentences()[0] and "do not rely on" in checks.sentences()[0]


def test_the_network_is_not_changed(spots):
    images, _, classes = spots
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 14 * 14, 2)).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    check_maps(network, images, classes, edge_map, method="edges")
    assert network.training and all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_weights_are_permuted_part_by_part_from_the_output(spots):
    images, _, classes = spots
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 14 * 14, 2))
    weights = []

    def record(randomized, *_):
        weights.append([randomized[0].weight.detach().clone(), randomized[3].weight.detach().clone()])
        return np.zeros((12, 2, 2), np.float32)

    result = randomize(network, images, classes, record, draws=1)
    trained, last, both = weights
    assert result.parts == ("3", "0")
    assert torch.equal(trained[0], last[0]) and not torch.equal(trained[1], last[1])
    assert not torch.equal(trained[0], both[0]) and torch.equal(last[1], both[1])
    assert torch.equal(trained[0].flatten().sort().values, both[0].flatten().sort().values)  # the same values


def test_two_steps_randomize_the_last_part_and_then_all_others(spots):
    images, _, classes = spots
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(4 * 12 * 12, 2))
    result = randomize(network, images, classes, edge_map, draws=1, layer_by_layer=False)
    assert result.parts == ("3", "all others") and result.similarity.shape == (2, 12)


def test_one_layer_is_one_step_and_no_layer_is_refused(spots):
    images, _, classes = spots
    linear = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE**2, 2))
    assert randomize(linear, images, classes, edge_map, draws=1, layer_by_layer=False).parts == ("1",)
    with pytest.raises(UserError, match="no weights"):
        randomize(nn.Flatten(), images, classes, edge_map)


def test_weights_that_belong_to_no_part_are_included():
    network = RedVersusGreen()
    network.extra = nn.Parameter(torch.arange(5.0))
    assert parts_of(network) == {"conv": ["conv.weight", "conv.bias"], "the rest": ["extra"]}


def test_signals_do_not_vanish_in_a_deep_randomized_network(spots):
    images, _, classes = spots
    sizes = [3] + 16 * [8]
    blocks = [nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU()) for a, b in pairwise(sizes)]
    network = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2)).eval()

    def last_block(randomized, images, _):
        with torch.no_grad():
            return randomized[:16](images).mean(dim=1).numpy()

    result = randomize(network, images, classes, last_block, draws=1, layer_by_layer=False)
    assert result.flat[-1].max() == 0


def test_a_flat_map_does_not_pass_the_randomization_test(spots):
    images, masks, classes = spots
    checks = check_maps(
        RedVersusGreen(), images, classes, flat_map, method="flat", masks={"spot": masks}, subject=masks
    )
    assert checks.flat == 12 and not checks.depends_on_weights
    assert checks.places["spot"].hits["value"] == 0 and checks.places["spot"].heat["value"] is None
    text = " ".join(checks.sentences())
    assert "12 of 12 maps are flat" in text and "cannot be evaluated" in text
    json.dumps(checks.as_json(), allow_nan=False)


@pytest.mark.filterwarnings("error")
def test_a_single_black_image_gives_no_interval():
    images = torch.zeros(1, 3, SIDE, SIDE)
    checks = check_maps(
        RedVersusGreen(), images, [0], edge_map, method="edges", masks={"spot": np.zeros((1, SIDE, SIDE), bool)}
    )
    assert checks.gain["low"] is None and checks.gain["value"] == pytest.approx(0)
    assert "better than random" not in " ".join(checks.sentences())
    assert "No image has the area 'spot'" in " ".join(checks.sentences())


def test_heat_on_a_planted_background_is_reported(spots):
    _, masks, _ = spots
    noise = np.random.default_rng(0).random(masks.shape, np.float32)
    heat = np.where(masks, 0.05 * noise, noise)
    assert "attends to the background" in background_sentence(measure_placement(heat, ~masks))
    assert "about as much as expected by chance" in background_sentence(measure_placement(noise, ~masks))


def test_heat_on_the_border_is_related_to_the_audit():
    edges = np.broadcast_to(border_frame((SIDE, SIDE)), (8, SIDE, SIDE))
    noise = np.random.default_rng(0).random(edges.shape, np.float32)
    on_border, inside = measure_placement(noise * edges + 0.1, edges), measure_placement(noise * ~edges, edges)
    warns = [{"name": "border", "verdict": "warns"}]
    assert "the audit found" in border_sentence(on_border, warns)
    assert "do not show whether the network uses it" in border_sentence(inside, warns)
    assert "Check whether something at the border" in border_sentence(on_border)
    assert "audit" not in border_sentence(inside)


def test_the_pointing_game_has_a_tolerance_that_is_part_of_the_chance_level():
    masks = np.zeros((2, 100, 100), bool)
    masks[:, 50, 50] = True
    maps = np.zeros((2, 100, 100), np.float32)
    maps[0, 50, 53] = maps[1, 50, 54] = 1
    hits, chance = pointing_game(maps, masks)
    assert hits.tolist() == [1, 0]
    assert chance[0] == pytest.approx(29 / 100**2)  # whole pixels within 3 pixels of one
    assert pointing_game(maps, masks, tolerance=0)[0].tolist() == [0, 0]


def test_an_empty_mask_is_ignored():
    masks = np.zeros((3, 4, 4), bool)
    masks[0, 0, 0] = True
    maps = np.ones((3, 2, 2), np.float32)
    maps[:, 0, 0] = 2
    place = measure_placement(maps, masks)
    assert place.hits["images"] == place.heat["images"] == 1
    assert np.isnan(heat_in_mask(maps, masks)[0][1:]).all()


def test_masks_are_aligned_with_the_images():
    from coverslip.data.inputs import fit_batch

    mask = np.zeros((1, 30, 60), np.uint8)
    mask[0, 5:15, 20:50] = 255
    for fit in ("pad", "squash", "crop"):
        image = fit_batch(np.repeat(mask[..., None], 3, axis=-1), (24, 24), fit)[0, :, :, 0].astype(float)
        fitted = fit_masks(mask, (24, 24), fit)[0]
        if fit == "pad":  # the padding has the mean color of the image
            image[:6], image[18:] = 0, 0
        assert np.abs((image > 127).astype(int) - (fitted > 0)).sum() <= 12, fit  # differences only at the outline


def test_structural_similarity_of_constant_maps_follows_its_formula():
    dark, bright = np.full((1, 9, 9), 0.2), np.full((1, 9, 9), 0.6)
    expected = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)  # without variance only the means matter
    assert structural_similarity(dark, bright)[0] == pytest.approx(expected)
    with pytest.raises(ValueError, match="one grid"):
        structural_similarity(dark, bright[:, :4])


def test_unrelated_maps_are_dissimilar_and_resized_maps_are_similar():
    rng = np.random.default_rng(0)
    one, two = rng.random((2, 20, 14, 14))
    assert abs(structural_similarity(one, two).mean()) < 0.2
    assert structural_similarity(as_drawn(one * 7), as_drawn(one)).min() == pytest.approx(1)
    assert rank_correlation(one, upsampled(one, (56, 56))).min() > 0.9
    correlations = agreement({"one": one, "two": two, "flat": np.ones((20, 3, 3))})
    assert (
        correlations.shape == (3, 3, 20)
        and np.isnan(correlations[2]).all()
        and correlations[0, 0].min() == pytest.approx(1)
    )


def test_blurring_the_cause_first_is_better_than_random(spots):
    images, masks, classes = spots
    network = RedVersusGreen()
    good = delete_and_insert(network, images, classes, masks.astype(np.float32))
    bad = delete_and_insert(network, images, classes, (~masks).astype(np.float32))
    assert good.deletion[:, 0] == pytest.approx(good.insertion[:, -1])  # the image itself
    assert (good.gain > 0).all() and (bad.gain < 0).all()
    assert np.array_equal(good.deletion, delete_and_insert(network, images, classes, masks.astype(np.float32)).deletion)


def test_the_interval_of_a_mean_has_the_nominal_coverage():
    rng, covered = np.random.default_rng(0), 0
    for _ in range(400):
        leaf = np.repeat(rng.beta(2, 3, 20), 4)
        values = np.clip(leaf + 0.1 * rng.standard_normal(80), 0, 1)
        score = mean_score(values, np.repeat(np.arange(20), 4))
        covered += score["low"] <= 0.402 <= score["high"]
    assert 0.92 <= covered / 400 <= 0.985


def test_with_few_groups_there_is_a_mean_and_a_reason_but_no_interval():
    score = mean_score(np.array([0.1, 0.2, 0.3, np.nan]), ["a", "a", "b", "c"])
    assert score["value"] == pytest.approx(0.2) and score["low"] is None and score["images"] == 3
    assert "too few" in score["reason"]
    assert mean_score(np.array([np.nan]))["value"] is None
