"""Test heat maps: do they find lesions, do they reveal a shortcut, and do they depend on the learned weights?

python benchmarks/explain_trust.py

Three data sets of synthetic tomato leaves, 128 px, rendered with their masks:

* lesions: a healthy class and five diseases; the background is uninformative
* both: the same with the shortcut, so that lesions and background both predict the class
* background: only healthy leaves, each on the background that the shortcut would give one of the six classes

A small network of three blocks is trained on each data set with every seed, and its maps are computed for leaves that
it was not trained on. This takes about 10 minutes on two cores.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from coverslip.core.devices import machine
from coverslip.data.inputs import InputSpec, fit_batch
from coverslip.data.synthetic.camera import photograph
from coverslip.data.synthetic.image import background_name, background_scene, shots
from coverslip.data.synthetic.leaf import grow
from coverslip.data.synthetic.specimen import Specimen
from coverslip.evidence.intervals import format_interval
from coverslip.explaining.maps.cam import CAMS, DEFAULT_CAM, cam_grid, cam_taps
from coverslip.explaining.maps.deletion import delete_and_insert
from coverslip.explaining.maps.gradients import GRADIENTS, gradient_map
from coverslip.explaining.maps.occlusion import occlusion
from coverslip.explaining.maps.placement import pointing_game
from coverslip.explaining.maps.randomization import MAX_SIMILARITY, MapFunction, randomize
from coverslip.explaining.maps.sanity import background_sentence
from coverslip.explaining.maps.scores import mean_score, measure_placement, plain_mean
from coverslip.explaining.maps.similarity import flat
from coverslip.models.catalog import build_network, network_entry
from coverslip.models.design import DEFAULT_NETWORK, Design
from coverslip.training.arrays import fit_arrays
from measuring import keep_results

HERE = Path(__file__).parent
CLASSES = ("healthy", "early_blight", "bacterial_spot", "late_blight", "powdery_mildew", "rust")
SIZE, FILTERS = 128, (16, 32, 64)
SMALL = 0.20  # largest fraction of the leaf covered by small lesions
TRAIN, TEST = 0, 1  # seeds of the rendered leaves
ASKED = 36  # images for methods with many passes
DRAWS = 3
SLOW = (
    "occlusion",
    "integrated-gradients",
    "smooth-grad",
)  # methods with many passes per map: used on a quarter of the images, once
NETWORKS, KINDS = ("cnn-full", "cnn"), ("lesions", "both", "background")
HEADLINE = f"{DEFAULT_CAM}, block {len(FILTERS)}"
WANTED = {"pointing": 0.85, "off": 0.60}
POINTING = (
    "{asked} test images of {leaves} leaves with lesions that cover less than {small} % of the leaf; maps of "
    "their true class, whether predicted or not. A hit: the maximum is in a lesion or within 3 % of the side; exact: "
    "in a lesion. By chance: fraction of the image that would be a hit. Trained on {learned} images of other leaves."
)
SHORTCUT = (
    'Grad-CAM at the last layer, all test images, the true class. "lesions": uninformative background; "both": '
    'lesions and background predict the class; "background": only the background does, all leaves are healthy.'
)
SANITY = (
    "Structural similarity (and rank correlation) of maps to those of the same network with its weights in random "
    "order: first only the last part, then one more part at each step, finally all. Means over images with 95 % "
    "confidence intervals over leaves. In bold: 0.5 or more at some step. Slow methods (many passes per map) used two "
    "steps, the last part and all, and a quarter of the images. Guided backpropagation, Grad-CAM++ and LayerCAM pass "
    "only positive gradients: their maps depend little on the weights that distinguish the classes."
)
FAITH = (
    "Areas under the probability of the true class while the positions with the highest values are blurred first "
    "(deletion: small is good) or restored first (insertion: large is good), compared with a random order of the same "
    "resolution."
)


@dataclass(frozen=True)
class Leaves:
    """N rendered images."""

    x: Any  # uint8 (N, S, S, 3)
    masks: Any  # uint8 (N, S, S): 0 background, 1 leaf, 2 lesion
    y: Any  # (N,)
    leaf: Any  # (N,) number of the leaf

    @property
    def images(self) -> torch.Tensor:
        return torch.from_numpy(self.x.transpose(0, 3, 1, 2).astype(np.float32) / 255)

    @property
    def small(self) -> Any:
        """Return which images have lesions that cover less than a fifth of the leaf, bool (N,)."""
        lesion, leaf = (self.masks == 2).sum(axis=(1, 2)), (self.masks > 0).sum(axis=(1, 2))
        return (lesion > 0) & (lesion < SMALL * leaf)

    def subset(self, rows: Any) -> Leaves:
        return Leaves(self.x[rows], self.masks[rows], self.y[rows], self.leaf[rows])


def render(kind: str, leaves: int, seed: int) -> Leaves:
    """Render two photographs of each leaf of each class."""
    images, labels, numbers = [], [], []
    for label, condition in enumerate(CLASSES):
        for number in range(leaves):
            specimen = Specimen("leaf", f"tomato_{condition}", number, seed, SIZE)
            taken = (
                on_class_background(specimen, label * leaves + number)
                if kind == "background"
                else with_masks(specimen, kind)
            )
            images += taken
            labels += [label] * len(taken)
            numbers += [label * leaves + number] * len(taken)
    x, masks = (np.stack(each) for each in zip(*images, strict=True))
    return Leaves(x, masks, np.array(labels), np.array(numbers))


def with_masks(specimen: Specimen, kind: str) -> list[tuple[Any, Any]]:
    return [(image.image, image.mask) for image in shots(specimen, range(2), shortcut=kind == "both")]


def on_class_background(specimen: Specimen, number: int) -> list[tuple[Any, Any]]:
    """Photograph a healthy leaf on the background that the shortcut gives the class of ``specimen``."""
    leaf = grow(Specimen("leaf", "tomato_healthy", number, specimen.seed, SIZE))
    name = background_name(specimen, True)
    return [
        photograph(leaf, background_scene(name, specimen, shot, True), specimen.rng("shot", shot)) for shot in range(2)
    ]


def train(data: Leaves, network: str, seed: int, epochs: int) -> torch.nn.Module:
    """Train a network from scratch, as in the lessons."""
    torch.manual_seed(seed)
    design = Design(network=network, size=(SIZE, SIZE), filters=FILTERS, batch_norm=True)
    built = build_network(design, len(CLASSES))
    fit_arrays(
        built, data.x, data.y, epochs, lr=3e-3, groups=data.leaf, augment="flips", optimizer="adamw",
        schedule="one-cycle", seed=seed, verbose=0,
    )  # fmt: skip
    return built.eval()


def cam_of(method: str, layer: int) -> MapFunction:
    """Return the method of a class activation map at one layer, counted from the first; -1 is the last."""

    def explain(network: torch.nn.Module, images: torch.Tensor, classes: list[int]) -> Any:
        tap = cam_taps(network, tuple(images.shape[1:]), method)[layer]
        return cam_grid(network, images, [[number] for number in classes], method=method, taps=[tap])[0][:, 0]

    return explain


def methods() -> dict[str, MapFunction]:
    """Return all methods, class activation maps at the last layer."""
    cams = {name: cam_of(name, -1) for name in CAMS if name != "cam"}  # plain CAM equals Grad-CAM in these networks
    gradients = {name: partial(gradient_map, method=name) for name in GRADIENTS}
    return {**cams, "occlusion": occlusion, **gradients}


def answers(network: torch.nn.Module, data: Leaves) -> Any:
    with torch.inference_mode():
        return np.concatenate([network(part).argmax(1).numpy() for part in data.images.split(64)])


def pointing(network: torch.nn.Module, data: Leaves) -> dict[str, Any]:
    """Return pointing game and fraction of heat on small lesions, for every class activation map and layer."""
    right = answers(network, data) == data.y
    subset, right_ones = data.subset(data.small), right[data.small]
    lesions, result_of = subset.masks == 2, {}
    for method in (name for name in CAMS if name != "cam"):
        for layer in range(len(FILTERS)):
            maps = cam_of(method, layer)(network, subset.images, subset.y.tolist())
            exact, area = pointing_game(maps, lesions, tolerance=0.0)
            result_of[f"{method}, block {layer + 1}"] = {
                **vars(measure_placement(maps, lesions, subset.leaf)),
                "exact": mean_score(exact, subset.leaf, counted=True),
                "exact_by_chance": float(area.mean()),
                "right_ones": mean_score(
                    pointing_game(maps, lesions)[0][right_ones], subset.leaf[right_ones], counted=True
                ),
            }
    return {"accuracy": float(right.mean()), "maps": result_of}


def off_leaf(network: torch.nn.Module, data: Leaves) -> dict[str, Any]:
    """Return the fraction of heat outside the leaf, by Grad-CAM at the last layer, and its interpretation."""
    maps = cam_of(DEFAULT_CAM, -1)(network, data.images, data.y.tolist())
    place = measure_placement(maps, data.masks == 0, data.leaf)
    accuracy = float((answers(network, data) == data.y).mean())
    return {"accuracy": accuracy, "flat": int(flat(maps).sum()), "says": background_sentence(place), **vars(place)}


def sanity(
    network: torch.nn.Module, images: torch.Tensor, classes: list[int], leaf: Any, *, skip: str = ""
) -> dict[str, Any]:
    """Return the similarity to maps of the network with shuffled weights, part by part, for every method."""
    result_of = {}
    for name, explain in methods().items():
        if name == skip:
            continue
        few = slice(None, None, 4 if name in SLOW else 1)
        result = randomize(
            network,
            images[few],
            classes[few],
            explain,
            draws=1 if name in SLOW else DRAWS,
            layer_by_layer=name not in SLOW,
        )
        result_of[name] = {
            "last": mean_score(result.similarity[0], leaf[few], least=-1),
            "worst": mean_score(result.similarity[result.worst], leaf[few], least=-1),
            "whole": mean_score(result.similarity[-1], leaf[few], least=-1),
            "ranks": plain_mean(result.ranks[-1]),
            "parts": {part: plain_mean(each) for part, each in zip(result.parts, result.similarity, strict=True)},
            "flat": plain_mean(result.flat[-1]),
        }
    return result_of


def faith(network: torch.nn.Module, data: Leaves) -> dict[str, Any]:
    """Return the areas under deletion and insertion, and those of a random order, for every method."""
    result_of = {}
    for name, explain in methods().items():
        maps = explain(network, data.images, data.y.tolist())
        curves = delete_and_insert(network, data.images, data.y.tolist(), maps)
        result_of[name] = {"gain": mean_score(curves.gain, data.leaf, least=-1)}
        for curve in ("deletion", "chance_deletion", "insertion", "chance_insertion"):
            result_of[name][curve] = plain_mean(curves.area(curve))
    return result_of


def evenly_spaced(data: Leaves, rows: Any, most: int = ASKED) -> Leaves:
    """Return at most this many of the images, evenly from all classes."""
    return data.subset(rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)])


def pretrained(data: Leaves) -> tuple[torch.nn.Module, torch.Tensor, list[int]]:
    """Return the default network with ImageNet weights, the images prepared for it, and its predicted classes."""
    entry = network_entry(DEFAULT_NETWORK)
    assert entry.load is not None
    network = entry.load(Design()).eval()
    spec = InputSpec(size=entry.size, mean=(entry.mean,) * 3, std=(entry.std,) * 3)
    images = torch.from_numpy(spec.prepare(fit_batch(data.x, spec.size, spec.fit)))
    with torch.inference_mode():
        return network, images, network(images).argmax(1).tolist()


def as_text(result: dict[str, Any]) -> str:
    """Return the results as Markdown tables."""
    host, seeds = result["machine"], result["seeds"]
    lines = ["# Reliability of the heat maps", "", *result["goals"], ""]
    lines += ["## Do the maps find the lesions?", "", POINTING.format(**result["images"], small=round(100 * SMALL)), ""]
    for name in NETWORKS:
        runs = [result["runs"][f"{name}, lesions, seed {seed}"] for seed in seeds]
        lines += [
            f"`{name}`, accuracy {over([run['pointing']['accuracy'] for run in runs])} (seeds {listed(seeds)}):",
            "",
        ]
        lines += [
            "| | hits | by chance | exact | by chance | where the prediction was right | heat | area |",
            "|" + " --- |" * 8,
        ]
        for kind in runs[0]["pointing"]["maps"]:
            places = [run["pointing"]["maps"][kind] for run in runs]
            cells = [over([place["hits"]["value"] for place in places]), f"{places[0]['hits_by_chance']:.2f}"]
            cells += [over([place["exact"]["value"] for place in places]), f"{places[0]['exact_by_chance']:.2f}"]
            cells += [over([place["right_ones"]["value"] for place in places])]
            cells += [over([place["heat"]["value"] for place in places]), f"{places[0]['area']:.2f}"]
            lines.append(f"| {kind} | {' | '.join(cells)} |")
        lines.append("")
        lines += ["Grad-CAM at the last layer for each seed, 95 % confidence intervals over leaves: "]
        lines[-1] += "; ".join(text(run["pointing"]["maps"][HEADLINE]["hits"], counts=True) for run in runs) + "."
        lines.append("")
    lines += ["## Do the maps reveal a shortcut?", "", SHORTCUT, ""]
    lines += [
        "| network | what predicts the class | accuracy | heat outside the leaf | area outside the leaf "
        "| interpretation |"
    ]
    lines += ["|" + " --- |" * 6]
    for name in NETWORKS:
        for kind in KINDS:
            runs = [result["runs"].get(f"{name}, {kind}, seed {seed}") for seed in seeds]
            offs = [run["off"] for run in runs if run]
            cells = [over([off["accuracy"] for off in offs]), over([off["heat"]["value"] for off in offs])]
            lines.append(f"| {name} | {kind} | {' | '.join(cells)} | {offs[0]['area']:.2f} | {offs[0]['says']} |")
    lines += ["", "## Do the maps depend on the learned weights?", "", SANITY, ""]
    for name, result_of in result["sanity"].items():
        order = max((list(each["parts"]) for each in result_of.values()), key=len)
        lines += [
            f"{name}, its parts, starting with the last: {', '.join(order)}.",
            "",
            "| method | last part | worst step | all weights | ranks, all weights | step by step |",
        ]
        lines += ["|" + " --- |" * 6]
        for method, each in result_of.items():
            steps = ", ".join(f"{value:.2f}" for value in each["parts"].values())
            cells = [text(each["last"]), text(each["worst"]), text(each["whole"]), number(each["ranks"]), steps]
            bold = "**" if each["worst"]["value"] >= MAX_SIMILARITY else ""
            lines.append(f"| {bold}{method}{bold} | {' | '.join(cells)} |")
        lines.append("")
    lines += ["## Do regions with high values matter to the network?", "", FAITH, ""]
    for name, result_of in result["faith"].items():
        lines += [f"{name}:", "", "| method | gain over a random order | deletion | random | insertion | random |"]
        lines += ["|" + " --- |" * 6]
        for method, each in result_of.items():
            areas = [each[curve] for curve in ("deletion", "chance_deletion", "insertion", "chance_insertion")]
            lines.append(f"| {method} | {text(each['gain'])} | {' | '.join(f'{area:.2f}' for area in areas)} |")
        lines.append("")
    lines.append(f"{result['date']}, {host['processor']}, {host['cores']} cores, torch {torch.__version__}.")
    return "\n".join(lines) + "\n"


def text(score: Any, *, counts: bool = False) -> str:
    if score["low"] is None:
        return f"{score['value']:.2f}, n={score['images']}"
    return format_interval(score, 2, counts=counts, group_word="leaves")


def over(values: Sequence[float]) -> str:
    """Return the mean, with the range if there are several values."""
    mean = f"{np.mean(values):.2f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.2f} to {max(values):.2f})"


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))


def goals(result: dict[str, Any]) -> list[str]:
    """Return the requirements and the results, with the worst case."""
    runs, lines = result["runs"], []
    hits = [run["pointing"]["maps"][HEADLINE]["hits"]["value"] for run in runs.values() if "pointing" in run]
    off = [run["off"]["heat"]["value"] for name, run in runs.items() if ", background," in name]
    for quantity, values, required in (
        ("pointing game of Grad-CAM", hits, WANTED["pointing"]),
        ("heat outside the leaf", off, WANTED["off"]),
    ):
        met = "met" if min(values) > required else "MISSED"
        lines.append(
            f"* {quantity}: {over(values)}, required above {required} in each of {len(values)} networks: {met}"
        )
    for name, result_of in result["sanity"].items():
        failed = [method for method, each in result_of.items() if each["worst"]["value"] >= MAX_SIMILARITY]
        best = [method for method in result_of if method not in failed]
        lines.append(
            f"* {name}: below {MAX_SIMILARITY} at every step: {', '.join(best)}; "
            f"not below: {', '.join(failed) or 'none'}"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2, help="networks per data set (one for the data set 'both')")
    parser.add_argument(
        "--leaves", type=int, default=60, help="training leaves per class; a third as many are used for the maps"
    )
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--out", type=Path, default=HERE / "results", help="folder of explain_trust.json and .md")
    options = parser.parse_args()
    seeds = list(range(options.seeds))
    learned = {kind: render(kind, options.leaves, TRAIN) for kind in KINDS}
    tested = {kind: render(kind, options.leaves // 3, TEST) for kind in KINDS}
    small = tested["lesions"].subset(tested["lesions"].small)
    result: dict[str, Any] = {
        "date": date.today().isoformat(),
        "machine": machine(),
        "seeds": seeds,
        "images": {
            "learned": len(learned["lesions"].y),
            "tested": len(tested["lesions"].y),
            "asked": len(small.y),
            "leaves": len(np.unique(small.leaf)),
        },
        "runs": {},
        "sanity": {},
        "faith": {},
    }
    for name in NETWORKS:
        for kind in KINDS:
            for seed in seeds if kind != "both" else seeds[:1]:
                network = train(learned[kind], name, seed, options.epochs)
                run = result["runs"][f"{name}, {kind}, seed {seed}"] = {"off": off_leaf(network, tested[kind])}
                print(f"{name}, {kind}, seed {seed}: {run['off']['says']}", flush=True)
                if kind != "lesions":
                    continue
                run["pointing"] = pointing(network, tested[kind])
                print(f"   pointing game on lesions: {text(run['pointing']['maps'][HEADLINE]['hits'])}", flush=True)
                if seed == 0:
                    subset = evenly_spaced(small, np.arange(len(small.y)))
                    result["sanity"][f"`{name}`"] = sanity(network, subset.images, subset.y.tolist(), subset.leaf)
                    result["faith"][f"`{name}`"] = faith(network, subset)
    subset = evenly_spaced(small, np.arange(len(small.y)), ASKED // 3)
    result["sanity"][f"`{DEFAULT_NETWORK}` with its ImageNet weights"] = sanity(
        *pretrained(subset), subset.leaf, skip="occlusion"
    )
    result["goals"] = goals(result)
    keep_results(options.out / "explain_trust.json", result, as_text(result))
    print(as_text(result))


if __name__ == "__main__":
    main()
