"""Tests of `render`: reproducible pixels, matching masks, symptoms that increase with severity."""

import numpy as np
import pytest

from coverslip.core.errors import UserError
from coverslip.data.synthetic import class_names, render
from coverslip.data.synthetic.backgrounds import BACKGROUNDS
from coverslip.data.synthetic.diseases import DISEASES, LESION_COVER, Blade, Symptoms
from coverslip.data.synthetic.leaf import draw_anatomy, fit_to_square, leaf_color
from coverslip.data.synthetic.noise import stream
from coverslip.data.synthetic.species import SPECIES

SIZE = 64
CLASSES = [("leaf", name) for name in class_names()] + [("tissue", name) for name in class_names("tissue")]


def blade_of(species: str, side: int = 128, leaf: int = 0) -> Blade:
    rng = stream(0, "test", species, leaf)
    body = draw_anatomy(fit_to_square(SPECIES[species].outline(rng)), rng, side)
    edge = np.where(body.blade > 0.5, np.float32(0.1), np.float32(0))
    return Blade(leaf_color(SPECIES[species], body, edge, rng), body.blade > 0.5, edge, body.from_vein)


@pytest.mark.parametrize(("look", "name"), CLASSES)
def test_every_class_has_an_image_and_a_matching_mask(look, name):
    image = render(look, name, 0, 0, size=SIZE)
    assert image.image.shape == (SIZE, SIZE, 3)
    assert image.image.dtype == np.uint8
    assert image.mask.shape == (SIZE, SIZE)
    assert image.mask.dtype == np.uint8
    assert set(np.unique(image.mask)) <= {0, 1, 2}
    assert 0 <= image.severity <= 1
    assert image.image.std() > 5
    assert (image.mask > 0).mean() > 0.05


@pytest.mark.parametrize(("look", "name"), CLASSES)
def test_the_lesion_mask_is_empty_only_for_healthy_specimens(look, name):
    image = render(look, name, 1, 0, size=128)
    assert (image.mask == 2).any() == (not name.endswith("healthy"))
    assert (image.severity > 0) == (not name.endswith("healthy"))


@pytest.mark.parametrize(("look", "name"), [("leaf", "grape_rust"), ("tissue", "tumor")])
def test_the_same_arguments_give_the_same_pixels_and_different_arguments_do_not(look, name):
    first = render(look, name, 2, 1, size=SIZE)
    again = render(look, name, 2, 1, size=SIZE)
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.mask, again.mask)
    for other in (
        render(look, name, 2, 1, size=SIZE, seed=1),
        render(look, name, 3, 1, size=SIZE),
        render(look, name, 2, 2, size=SIZE),
    ):
        assert (first.image != other.image).mean() > 0.5


def test_shots_of_one_leaf_show_the_same_disease_state_in_another_pose():
    shots = [render("leaf", "bean_rust", 0, shot, size=SIZE) for shot in range(3)]
    assert len({shot.severity for shot in shots}) == 1
    assert len({shot.background for shot in shots}) == 1
    assert not np.array_equal(shots[0].mask > 0, shots[1].mask > 0)


def test_a_larger_image_shows_the_same_scene():
    small = render("leaf", "bean_healthy", 0, 0, size=64)
    large = render("leaf", "bean_healthy", 0, 0, size=128)
    agree = (small.mask > 0) == (large.mask[::2, ::2] > 0)
    assert agree.mean() > 0.95


@pytest.mark.parametrize("size", [32, 33, 300])
def test_any_size_can_be_rendered(size):
    assert render("leaf", "tomato_late_blight", 0, 0, size=size).image.shape == (size, size, 3)
    assert render("tissue", "tumor", 0, 0, size=size).mask.shape == (size, size)


@pytest.mark.parametrize("species", list(SPECIES))
@pytest.mark.parametrize("disease", list(DISEASES))
def test_every_disease_paints_only_inside_the_blade_of_every_species(disease, species):
    blade = blade_of(species)
    before = blade.albedo.copy()
    symptoms = Symptoms(blade)
    DISEASES[disease](symptoms, 0.8, stream(0, "test", disease))
    lesion = symptoms.cover >= LESION_COVER
    assert np.array_equal(blade.albedo, before), "the healthy leaf was modified in place"
    assert np.isfinite(symptoms.albedo).all()
    assert np.isfinite(symptoms.relief).all()
    assert symptoms.cover.min() >= 0
    assert symptoms.cover.max() <= 1
    assert not symptoms.cover[~blade.inside].any()
    assert np.array_equal(symptoms.albedo[~blade.inside], before[~blade.inside])
    change = np.abs(symptoms.albedo - before).mean(axis=-1)
    assert change[lesion].mean() > 0.03
    assert change[lesion].mean() > 1.8 * change[blade.inside & ~lesion].mean()


@pytest.mark.parametrize("disease", list(DISEASES))
def test_a_higher_severity_covers_more_of_the_leaf(disease):
    blade = blade_of("potato")

    def area(severity: float) -> float:
        areas = []
        for leaf in range(6):
            symptoms = Symptoms(blade)
            DISEASES[disease](symptoms, severity, stream(0, "test", disease, leaf))
            areas.append((symptoms.cover >= LESION_COVER)[blade.inside].mean())
        return float(np.mean(areas))

    mild, middle, severe = area(0.2), area(0.5), area(1.0)
    assert 0 < mild < middle < severe < 0.95


def test_a_higher_grade_has_more_tumor_nuclei():
    views = [render("tissue", "tumor", slide, 0, size=96) for slide in range(12)]
    grade = [view.severity for view in views]
    area = [(view.mask == 2).mean() for view in views]
    assert np.corrcoef(grade, area)[0, 1] > 0.7


@pytest.mark.parametrize("name", list(BACKGROUNDS))
def test_every_background_fills_the_image_with_plausible_brightness(name):
    for side in (32, 96):
        scene = BACKGROUNDS[name](np.random.default_rng(0), side)
        assert scene.shape == (side, side, 3)
        assert scene.dtype == np.float32
        assert 0.02 < scene.mean() < 0.95


@pytest.mark.parametrize("classes", range(2, len(class_names()) + 1))
def test_any_number_of_classes_includes_healthy_and_diseased_leaves(classes):
    healthy = [name.endswith("_healthy") for name in class_names("leaf", classes)]
    assert len(healthy) == classes
    assert any(healthy)
    assert not all(healthy)


def test_there_are_at_least_fifteen_distinct_classes():
    names = class_names()
    assert len(set(names)) == len(names) >= 15


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"look": "leaves"}, "did you mean 'leaf'"),
        ({"class_name": "tomato_healty"}, "did you mean 'tomato_healthy'"),
        ({"size": 31}, "size=31 is not 32 to 2048"),
        ({"size": 4000}, "try size=2048"),
        ({"leaf": -1}, "leaf=-1"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_a_wrong_argument_is_named_with_a_fix(arguments, message):
    valid = {"look": "leaf", "class_name": "tomato_healthy", "leaf": 0, "shot": 0}
    with pytest.raises(UserError, match=message):
        render(**(valid | arguments))


def test_too_many_classes_are_refused_with_the_number_available():
    with pytest.raises(UserError, match="2 to 35"):
        class_names("leaf", 36)
    with pytest.raises(UserError, match="classes=1"):
        class_names("leaf", 1)
