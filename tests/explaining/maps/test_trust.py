"""What is said of a map must be true where the answer is known: planted lesions, planted backgrounds, fixed maps."""

import json
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from coverslip.core.errors import UserError
from coverslip.explaining.maps.deletion import delete_and_insert
from coverslip.explaining.maps.placement import fit_masks, frame, heat_inside, point
from coverslip.explaining.maps.randomization import parts_of, randomize
from coverslip.explaining.maps.scores import mean_score, place_heat
from coverslip.explaining.maps.similarity import agreement, as_drawn, rank_correlation, stretched, structural_similarity
from coverslip.explaining.maps.trust import about_background, about_border, check_maps

SIDE = 16


class RedAgainstGreen(nn.Module):
    """Scores two classes by where the image is red and where it is green; its own map is known."""

    def __init__(self):
        super().__init__()
        self.look = nn.Conv2d(3, 2, 1)
        with torch.no_grad():
            self.look.weight.copy_(torch.tensor([[9.0, -3.0, 0.0], [-3.0, 9.0, 0.0]])[:, :, None, None])
            self.look.bias.zero_()

    def forward(self, images):
        return self.look(images).mean(dim=(2, 3)) * 5


def activation_map(network, images, classes):
    with torch.no_grad():
        return network.look(images).relu()[torch.arange(len(images)), classes].numpy()


def edge_map(network, images, classes):
    """A map that asks the network nothing."""
    gray = images.mean(dim=1)
    return (gray - gray.mean(dim=(1, 2), keepdim=True)).abs().numpy()


def nothing(network, images, classes):
    return np.zeros((len(images), 4, 4), np.float32)


@pytest.fixture
def spots():
    """Twelve dark images with a red spot, where each spot is, and the class."""
    chance = np.random.default_rng(0)
    images, masks = np.full((12, 3, SIDE, SIDE), 0.2, np.float32), np.zeros((12, SIDE, SIDE), bool)
    images += 0.05 * chance.random(images.shape, np.float32)
    for number in range(12):
        top, left = chance.integers(2, 10, 2)
        masks[number, top : top + 4, left : left + 4] = True
        images[number, 0][masks[number]] = 1.0
    return torch.from_numpy(images), masks, [0] * 12


def test_a_map_that_shows_the_cause_passes_every_check(spots):
    images, masks, classes = spots
    groups = [f"leaf {number}" for number in (0, 0, *range(1, 11))]
    trust = check_maps(
        RedAgainstGreen(), images, classes, activation_map, method="activations", masks={"spot": masks}, subject=masks,
        others={"edges": edge_map}, groups=groups,
    )  # fmt: skip
    assert trust.places["spot"].hits["value"] == 1 and trust.places["spot"].hits["low"] > 0.5
    assert trust.places["spot"].gain["low"] > 0.1
    assert trust.gain["low"] > 0
    assert trust.off.gain["high"] < 0
    said = " ".join(trust.sentences())
    assert "the hottest place lies in the spot in 1.00" in said.lower()
    assert "what is hot matters" in said and "less than chance" in said
    assert trust.similarity["groups"] == 11
    json.dumps(trust.as_json(), allow_nan=False)


def test_a_map_that_asks_the_network_nothing_is_found_out(spots):
    images, _, classes = spots
    trust = check_maps(RedAgainstGreen(), images, classes, edge_map, method="edges")
    assert trust.similarity["value"] == pytest.approx(1) and not trust.depends_on_weights
    assert "no reason for the answer" in trust.sentences()[0]


def test_the_network_itself_is_left_as_it_was(spots):
    images, _, classes = spots
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 14 * 14, 2)).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    check_maps(network, images, classes, edge_map, method="edges")
    assert network.training and all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_weights_are_put_in_random_order_from_the_end_part_by_part(spots):
    images, _, classes = spots
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 14 * 14, 2))
    seen = []

    def look(given, *_):
        seen.append([given[0].weight.detach().clone(), given[3].weight.detach().clone()])
        return np.zeros((12, 2, 2), np.float32)

    found = randomize(network, images, classes, look, draws=1)
    trained, last, both = seen
    assert found.parts == ("3", "0")
    assert torch.equal(trained[0], last[0]) and not torch.equal(trained[1], last[1])
    assert not torch.equal(trained[0], both[0]) and torch.equal(last[1], both[1])
    assert torch.equal(trained[0].flatten().sort().values, both[0].flatten().sort().values)  # the same numbers


def test_two_steps_tell_the_last_part_from_all_others(spots):
    images, _, classes = spots
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(4 * 12 * 12, 2))
    found = randomize(network, images, classes, edge_map, draws=1, layer_by_layer=False)
    assert found.parts == ("3", "all others") and found.similarity.shape == (2, 12)


def test_one_layer_is_one_step_and_no_layer_is_refused(spots):
    images, _, classes = spots
    linear = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE**2, 2))
    assert randomize(linear, images, classes, edge_map, draws=1, layer_by_layer=False).parts == ("1",)
    with pytest.raises(UserError, match="no weights"):
        randomize(nn.Flatten(), images, classes, edge_map)


def test_weights_that_belong_to_no_part_are_not_forgotten():
    network = RedAgainstGreen()
    network.extra = nn.Parameter(torch.arange(5.0))
    assert parts_of(network) == {"look": ["look.weight", "look.bias"], "the rest": ["extra"]}


def test_signals_do_not_fade_in_a_deep_network_out_of_order(spots):
    images, _, classes = spots
    sizes = [3] + 16 * [8]
    blocks = [nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU()) for a, b in pairwise(sizes)]
    network = nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2)).eval()

    def last_block(given, images, _):
        with torch.no_grad():
            return given[:16](images).mean(dim=1).numpy()

    found = randomize(network, images, classes, last_block, draws=1, layer_by_layer=False)
    assert found.flat[-1].max() == 0


def test_a_flat_map_is_not_praised_for_changing(spots):
    images, masks, classes = spots
    trust = check_maps(
        RedAgainstGreen(), images, classes, nothing, method="nothing", masks={"spot": masks}, subject=masks
    )
    assert trust.flat == 12 and not trust.depends_on_weights
    assert trust.places["spot"].hits["value"] == 0 and trust.places["spot"].heat["value"] is None
    said = " ".join(trust.sentences())
    assert "12 of 12 maps are flat" in said and "nothing is said of what they depend on" in said
    json.dumps(trust.as_json(), allow_nan=False)


@pytest.mark.filterwarnings("error")
def test_one_black_image_is_answered_without_an_interval():
    images = torch.zeros(1, 3, SIDE, SIDE)
    trust = check_maps(
        RedAgainstGreen(), images, [0], edge_map, method="edges", masks={"spot": np.zeros((1, SIDE, SIDE), bool)}
    )
    assert trust.gain["low"] is None and trust.gain["value"] == pytest.approx(0)
    assert "what is hot matters" not in " ".join(trust.sentences())
    assert "No image has an area 'spot'" in " ".join(trust.sentences())


def test_heat_on_a_planted_background_is_called_that(spots):
    _, masks, _ = spots
    chance = np.random.default_rng(0).random(masks.shape, np.float32)
    heat = np.where(masks, 0.05 * chance, chance)
    assert "looks at the background" in about_background(place_heat(heat, ~masks))
    assert "about what chance gives" in about_background(place_heat(chance, ~masks))


def test_the_border_is_tied_to_what_the_audit_found():
    edges = np.broadcast_to(frame((SIDE, SIDE)), (8, SIDE, SIDE))
    chance = np.random.default_rng(0).random(edges.shape, np.float32)
    on_border, inside = place_heat(chance * edges + 0.1, edges), place_heat(chance * ~edges, edges)
    warns = [{"name": "border", "verdict": "warns"}]
    assert "where the audit found" in about_border(on_border, warns)
    assert "do not show that the network uses it" in about_border(inside, warns)
    assert "look whether something there" in about_border(on_border)
    assert "audit" not in about_border(inside)


def test_the_hottest_place_may_lie_a_little_beside_the_mask_and_chance_knows_it():
    masks = np.zeros((2, 100, 100), bool)
    masks[:, 50, 50] = True
    maps = np.zeros((2, 100, 100), np.float32)
    maps[0, 50, 53] = maps[1, 50, 54] = 1
    hits, chance = point(maps, masks)
    assert hits.tolist() == [1, 0]
    assert chance[0] == pytest.approx(29 / 100**2)  # whole pixels within 3 pixels of one
    assert point(maps, masks, tolerance=0)[0].tolist() == [0, 0]


def test_an_empty_mask_counts_for_nothing():
    masks = np.zeros((3, 4, 4), bool)
    masks[0, 0, 0] = True
    maps = np.ones((3, 2, 2), np.float32)
    maps[:, 0, 0] = 2
    place = place_heat(maps, masks)
    assert place.hits["images"] == place.heat["images"] == 1
    assert np.isnan(heat_inside(maps, masks)[0][1:]).all()


def test_masks_lie_where_the_images_lie():
    from coverslip.data.inputs import fit_batch

    mask = np.zeros((1, 30, 60), np.uint8)
    mask[0, 5:15, 20:50] = 255
    for fit in ("pad", "squash", "crop"):
        image = fit_batch(np.repeat(mask[..., None], 3, axis=-1), (24, 24), fit)[0, :, :, 0].astype(float)
        fitted = fit_masks(mask, (24, 24), fit)[0]
        if fit == "pad":  # its filling is the image's mean color
            image[:6], image[18:] = 0, 0
        assert np.abs((image > 127).astype(int) - (fitted > 0)).sum() <= 12, fit  # at most the outline


def test_similarity_follows_its_formula_where_it_can_be_worked_out():
    dark, bright = np.full((1, 9, 9), 0.2), np.full((1, 9, 9), 0.6)
    expected = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)  # no spread: only the levels count
    assert structural_similarity(dark, bright)[0] == pytest.approx(expected)
    with pytest.raises(ValueError, match="one grid"):
        structural_similarity(dark, bright[:, :4])


def test_unrelated_maps_are_not_alike_and_stretching_a_map_keeps_it_alike():
    chance = np.random.default_rng(0)
    one, two = chance.random((2, 20, 14, 14))
    assert abs(structural_similarity(one, two).mean()) < 0.2
    assert structural_similarity(as_drawn(one * 7), as_drawn(one)).min() == pytest.approx(1)
    assert rank_correlation(one, stretched(one, (56, 56))).min() > 0.9
    alike = agreement({"one": one, "two": two, "flat": np.ones((20, 3, 3))})
    assert alike.shape == (3, 3, 20) and np.isnan(alike[2]).all() and alike[0, 0].min() == pytest.approx(1)


def test_blurring_the_cause_away_costs_more_than_blurring_anything(spots):
    images, masks, classes = spots
    network = RedAgainstGreen()
    good = delete_and_insert(network, images, classes, masks.astype(np.float32))
    bad = delete_and_insert(network, images, classes, (~masks).astype(np.float32))
    assert good.deletion[:, 0] == pytest.approx(good.insertion[:, -1])  # the image itself
    assert (good.gain > 0).all() and (bad.gain < 0).all()
    assert np.array_equal(good.deletion, delete_and_insert(network, images, classes, masks.astype(np.float32)).deletion)


def test_the_interval_of_a_mean_holds_the_truth():
    chance, held = np.random.default_rng(0), 0
    for _ in range(400):
        leaf = np.repeat(chance.beta(2, 3, 20), 4)
        values = np.clip(leaf + 0.1 * chance.standard_normal(80), 0, 1)
        score = mean_score(values, np.repeat(np.arange(20), 4))
        held += score["low"] <= 0.402 <= score["high"]
    assert 0.92 <= held / 400 <= 0.985


def test_few_groups_give_a_number_and_a_reason():
    score = mean_score(np.array([0.1, 0.2, 0.3, np.nan]), ["a", "a", "b", "c"])
    assert score["value"] == pytest.approx(0.2) and score["low"] is None and score["images"] == 3
    assert "too few" in score["reason"]
    assert mean_score(np.array([np.nan]))["value"] is None
