"""Duplicates are found after any common change to a file; other images are not reported."""

import re

import numpy as np
import polars as pl
import pytest
from PIL import Image

from coverslip.auditing import fingerprints as fingerprints_module
from coverslip.auditing.chains import link_copies
from coverslip.auditing.duplicates import Duplicates, find_duplicates
from coverslip.auditing.fingerprints import closest_pairs, fingerprints
from coverslip.data.cache import read_pixels
from coverslip.data.scan import scan
from coverslip.data.synthetic import write_leaves

Turn = Image.Transpose
COPIES = {
    "jpeg30": (lambda im: im, 30),
    "jpeg95": (lambda im: im, 95),
    "half": (lambda im: im.resize((im.width // 2, im.height // 2), Image.Resampling.LANCZOS), 90),
    "double": (lambda im: im.resize((im.width * 2, im.height * 2), Image.Resampling.BILINEAR), 90),
    "mirror": (lambda im: im.transpose(Turn.FLIP_LEFT_RIGHT), 90),
    "turn90": (lambda im: im.transpose(Turn.ROTATE_90), 90),
    "turn180": (lambda im: im.transpose(Turn.ROTATE_180), 90),
    "both": (lambda im: im.resize((90, 90)).transpose(Turn.TRANSVERSE), 50),
    "crop": (lambda im: im.crop((3, 2, im.width - 4, im.height - 5)), 90),
}


def noise(*shape, seed=0, low=0, high=256):
    return np.random.default_rng(seed).integers(low, high, shape, np.uint8)


def scene(seed, height=96, width=96):
    """Return random patches of color, which resemble no other image."""
    coarse = Image.fromarray(noise(12, 12, 3, seed=seed))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


def duplicates_of(folder, **options):
    table = scan(folder)
    cache = read_pixels(table, (96, 96), **options)
    return table.paths, find_duplicates(cache.facts, cache.pixels, fit=options.get("fit", "pad"))


def save(folder, **images):
    for number, (name, image) in enumerate(images.items()):
        home = folder / "ab"[number % 2]
        home.mkdir(parents=True, exist_ok=True)
        opened = image if isinstance(image, Image.Image) else Image.fromarray(image)
        opened.save(home / f"{name}.png")
    return folder


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """Write 60 leaves of 128 pixels, and three copies of each kind."""
    folder = write_leaves(
        tmp_path_factory.mktemp("duplicates") / "leaves", classes=4, leaves=15, shots=1, size=128
    ).parent
    images = sorted((folder / "images").rglob("*.jpg"))
    for number, (kind, (change, quality)) in enumerate(COPIES.items()):
        for path in images[number::12][:3]:
            with Image.open(path) as image:
                change(image.convert("RGB")).save(path.with_name(f"{path.stem}+{kind}.jpg"), quality=quality)
    return folder / "images"


def test_every_kind_of_copy_is_found_and_nothing_else(planted):
    paths, duplicates = duplicates_of(planted)
    pairs = {frozenset(re.sub(r".*/|\.jpg", "", paths[row]) for row in ends[:2]) for ends in duplicates.near}
    names = [re.sub(r".*/|\.jpg", "", path) for path in paths]
    expected = {frozenset((name, name.partition("+")[0])) for name in names if "+" in name}
    assert len(expected) == 3 * len(COPIES)
    assert pairs == expected
    assert duplicates.exact == [] and duplicates.chains == []
    assert duplicates.sets == sorted([one, other] for one, other, _ in duplicates.near)
    assert all(0.9 < similarity <= 1 and one < other for one, other, similarity in duplicates.near)


def test_the_result_does_not_depend_on_the_order_of_the_rows(planted):
    cache = read_pixels(scan(planted), (96, 96))
    before = find_duplicates(cache.facts, cache.pixels)
    order = np.random.default_rng(0).permutation(len(cache.facts))
    after = find_duplicates(cache.facts[order], cache.pixels[order])
    back = sorted((*sorted((int(order[one]), int(order[other]))), value) for one, other, value in after.near)
    assert back == before.near


def test_shots_of_one_leaf_are_not_duplicates(tmp_path):
    table = write_leaves(tmp_path / "leaves", classes=2, leaves=5, shots=4, size=96)
    _, duplicates = duplicates_of(table.parent / "images")
    assert duplicates == Duplicates()


def test_exact_copies_form_one_set_and_only_one_of_them_is_compared(tmp_path):
    one, other = scene(1), scene(2)
    mirrored = one.transpose(Turn.FLIP_LEFT_RIGHT)
    paths, duplicates = duplicates_of(
        save(tmp_path, one=one, two=one, three=one, left=other, right=other, turned=mirrored, lone=scene(3))
    )
    row = {path[2:-4]: number for number, path in enumerate(paths)}
    ones = sorted(row[name] for name in ("one", "two", "three"))
    others = sorted(row[name] for name in ("left", "right"))
    assert duplicates.exact == sorted([ones, others])
    assert [pair[:2] for pair in duplicates.near] == [tuple(sorted((ones[0], row["turned"])))]
    assert duplicates.sets == sorted([sorted([*ones, row["turned"]]), others])


def test_two_images_are_enough(tmp_path):
    paths, duplicates = duplicates_of(save(tmp_path, one=scene(1), other=scene(1).transpose(Turn.ROTATE_270)))
    assert duplicates.sets == [[0, 1]] and len(paths) == 2


def test_a_wide_image_and_its_rotated_copy_are_duplicates(tmp_path):
    wide = scene(1, height=60, width=110)
    images = {"wide": wide, "tall": wide.transpose(Turn.ROTATE_90), "lone": scene(2, height=60, width=110)}
    for fit in ("pad", "squash"):
        paths, duplicates = duplicates_of(save(tmp_path, **images), fit=fit)
        assert [sorted(paths[row][2:-4] for row in rows) for rows in duplicates.sets] == [["tall", "wide"]]


def test_blank_images_are_duplicates_only_if_they_are_equal(tmp_path):
    blank = {f"white{seed}": noise(50, 50, 3, seed=seed, low=251, high=254) for seed in range(6)}
    _, duplicates = duplicates_of(
        save(tmp_path, **blank, black=np.zeros((50, 50, 3), np.uint8), void=np.zeros((50, 50, 3), np.uint8))
    )
    assert len(duplicates.exact) == 1 and duplicates.sets == duplicates.exact and duplicates.near == []


def test_images_with_the_same_background_are_not_duplicates(tmp_path):
    ground = np.asarray(scene(1)).copy()
    images = {}
    for seed in range(8):
        images[f"subject{seed}"] = ground.copy()
        images[f"subject{seed}"][30:66, 30:66] = np.asarray(scene(100 + seed, 36, 36))
    _, duplicates = duplicates_of(save(tmp_path, **images))
    assert duplicates == Duplicates()


@pytest.mark.parametrize("channels", [1, 3, 5])
def test_sixteen_bits_and_any_number_of_channels_are_supported(tmp_path, channels):
    import tifffile

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for seed in range(4):
        image = np.asarray(scene(seed)).astype(np.uint16)[:, :, [0, 1, 2, 1, 0][:channels]] * 12
        meta = {"photometric": "minisblack", "planarconfig": "contig"} if channels > 1 else {}
        tifffile.imwrite(tmp_path / "a" / f"{seed}.tif", image, **meta)
        if seed == 0:
            tifffile.imwrite(tmp_path / "b" / "copy.tif", np.ascontiguousarray(image[:, ::-1]), **meta)
    paths, duplicates = duplicates_of(tmp_path)
    assert [[paths[row] for row in rows] for rows in duplicates.sets] == [["a/0.tif", "b/copy.tif"]]


def test_unreadable_images_are_excluded(tmp_path):
    save(tmp_path, one=scene(1), two=scene(1).transpose(Turn.ROTATE_180))
    (tmp_path / "a" / "broken.jpg").write_bytes(b"nothing")
    (tmp_path / "a" / "broken2.jpg").write_bytes(b"nothing")
    paths, duplicates = duplicates_of(tmp_path)
    assert [[paths[row] for row in rows] for rows in duplicates.sets] == [["a/one.png", "b/two.png"]]


def test_there_are_no_duplicates_if_nothing_is_readable():
    facts = pl.DataFrame({"status": ["empty"]})
    assert find_duplicates(facts, np.zeros((1, 8, 8, 3), np.uint8)) == Duplicates()


def test_a_fingerprint_is_the_same_for_all_eight_orientations():
    thumbnail = np.asarray(scene(5, 32, 32))[:, :, 0]
    orientations = [np.rot90(image, turns) for image in (thumbnail, thumbnail.T) for turns in range(4)]
    prints = fingerprints(np.stack(orientations))
    np.testing.assert_allclose(prints @ prints.T, 1, atol=1e-4)


def test_the_search_finds_what_comparing_all_pairs_finds(monkeypatch):
    monkeypatch.setattr(fingerprints_module, "ROWS", 7)
    monkeypatch.setattr(fingerprints_module, "COLUMNS", 10)
    monkeypatch.setattr(fingerprints_module, "MAX_PENDING", 40)
    prints = np.random.default_rng(0).standard_normal((60, 6)).astype(np.float32)
    prints /= np.linalg.norm(prints, axis=1, keepdims=True)
    similarity = prints @ prints.T - 3 * np.eye(60)
    expected = set()
    for row in range(60):
        best = np.argsort(-similarity[row])[:4]
        expected |= {tuple(sorted((row, int(other)))) for other in best if similarity[row, other] > 0.5}
    assert set(map(tuple, closest_pairs(prints, 0.5, 4).tolist())) == expected


def test_many_similar_images_give_few_candidates():
    prints = np.ones((3000, 4), np.float32) / 2 + np.random.default_rng(0).normal(0, 1e-3, (3000, 4)).astype(np.float32)
    assert len(closest_pairs(prints, 0.5, 5)) <= 3000 * 5


class Neighbors:
    """Numbered images; two are copies if their numbers differ by at most ``reach``."""

    def __init__(self, count, reach):
        self.count, self.reach = count, reach

    def __len__(self):
        return self.count

    def confirm_copies(self, pairs):
        copies = pairs[np.abs(pairs[:, 0] - pairs[:, 1]) <= self.reach]
        return copies, np.ones(len(copies), np.float32)


def linked(length, reach, among):
    """Link ``length`` images, each known to be a copy of the next."""
    pairs = np.array([(one, one + 1) for one in range(length - 1)], np.int64)
    return link_copies(pairs, np.ones(len(pairs), np.float32), Neighbors(among, reach))


def test_a_chain_of_similar_images_is_reported_and_not_joined():
    sets, chains = linked(100, reach=1, among=1000)
    assert chains == [list(range(100))]
    assert max(map(len, sets)) <= 3


def test_many_copies_of_one_image_form_one_set_even_if_not_all_pairs_were_candidates():
    assert linked(41, reach=50, among=1000) == ([list(range(41))], [])


def test_a_set_of_more_than_half_of_all_images_is_not_joined():
    assert linked(60, reach=60, among=60) == ([], [list(range(60))])
