"""Do heat maps find the lesions, do they give a shortcut away, and do they depend on what the network has learned?

python benchmarks/explain_trust.py

Three kinds of built-in tomato leaves, 128 px, rendered here with their masks:

* lesions: a healthy class and five diseases; what the leaf lies on tells nothing
* both: the same with the planted shortcut, so that lesions and background both tell the class
* background: only healthy leaves, each on the ground that the shortcut would give one of the six classes

A small network of three blocks is trained on each, anew for every seed, and asked about leaves that it was not trained
on: about 10 minutes on two cores.
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
from coverslip.data.synthetic.image import background_name, ground, shots
from coverslip.data.synthetic.leaf import grow
from coverslip.data.synthetic.specimen import Specimen
from coverslip.evidence.intervals import format_interval
from coverslip.explaining.maps.cam import CAMS, DEFAULT_CAM, cam_grid, cam_taps
from coverslip.explaining.maps.deletion import delete_and_insert
from coverslip.explaining.maps.gradients import GRADIENTS, gradient_map
from coverslip.explaining.maps.occlusion import occlusion
from coverslip.explaining.maps.placement import point
from coverslip.explaining.maps.randomization import ALIKE, Explain, randomize
from coverslip.explaining.maps.scores import mean_score, place_heat, plain_mean
from coverslip.explaining.maps.similarity import flat
from coverslip.explaining.maps.trust import about_background
from coverslip.models.catalog import build_network, network_entry
from coverslip.models.design import DEFAULT_NETWORK, Design
from coverslip.training.arrays import fit_arrays
from measuring import keep_results

HERE = Path(__file__).parent
CLASSES = ("healthy", "early_blight", "bacterial_spot", "late_blight", "powdery_mildew", "rust")
SIZE, FILTERS = 128, (16, 32, 64)
SMALL = 0.20  # lesions that cover less of the leaf than this
TRAIN, TEST = 0, 1  # seeds of the leaves
ASKED = 36  # images for what takes many passes
DRAWS = 3
SLOW = (
    "occlusion",
    "integrated-gradients",
    "smooth-grad",
)  # many passes a map: asked of a quarter of the images, once
NETWORKS, KINDS = ("cnn-full", "cnn"), ("lesions", "both", "background")
HEADLINE = f"{DEFAULT_CAM}, block {len(FILTERS)}"
WANTED = {"pointing": 0.85, "off": 0.60}
POINTING = (
    "{asked} test images of {leaves} leaves with lesions that cover less than {small} % of the leaf, asked about "
    "their true class, right or wrong. A hit: the hottest place lies in a lesion or within 3 % of the side; exact: "
    "in it. By chance: the share of the image where it would be a hit. Trained on {learned} images of other leaves."
)
SHORTCUT = (
    'Grad-CAM at the last layer, all test images, the true class. "lesions": the background tells nothing; "both": '
    'lesions and background tell the class; "background": nothing else does, all leaves are healthy.'
)
SANITY = (
    "Structural similarity (and rank correlation) of maps to those of the same network with its weights in random "
    "order: first the last part alone, then one part more at each step, at last all. Means over images with 95 % "
    "intervals over leaves. In bold: 0.5 or more at some step. Slow methods (many passes a map) took two steps, the "
    "last part and all, and a quarter of the images. Guided backpropagation, Grad-CAM++ and LayerCAM let positive "
    "gradients through only: what they draw depends little on the weights that tell one class from another."
)
FAITH = (
    "Areas under the probability of the true class while the hottest places are blurred away first (deletion: small is "
    "good) or brought back first (insertion: large is good), beside a random order as coarse as the map."
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
        """(N,) whether there are lesions, and they cover less than a fifth of the leaf."""
        lesion, leaf = (self.masks == 2).sum(axis=(1, 2)), (self.masks > 0).sum(axis=(1, 2))
        return (lesion > 0) & (lesion < SMALL * leaf)

    def some(self, rows: Any) -> Leaves:
        return Leaves(self.x[rows], self.masks[rows], self.y[rows], self.leaf[rows])


def render(kind: str, leaves: int, seed: int) -> Leaves:
    """Two photographs of each of so many leaves a class."""
    images, labels, numbers = [], [], []
    for label, condition in enumerate(CLASSES):
        for number in range(leaves):
            one = Specimen("leaf", f"tomato_{condition}", number, seed, SIZE)
            taken = on_its_ground(one, label * leaves + number) if kind == "background" else with_masks(one, kind)
            images += taken
            labels += [label] * len(taken)
            numbers += [label * leaves + number] * len(taken)
    x, masks = (np.stack(each) for each in zip(*images, strict=True))
    return Leaves(x, masks, np.array(labels), np.array(numbers))


def with_masks(one: Specimen, kind: str) -> list[tuple[Any, Any]]:
    return [(image.image, image.mask) for image in shots(one, range(2), shortcut=kind == "both")]


def on_its_ground(one: Specimen, number: int) -> list[tuple[Any, Any]]:
    """A healthy leaf on the ground that the shortcut gives the class of ``one``."""
    leaf = grow(Specimen("leaf", "tomato_healthy", number, one.seed, SIZE))
    name = background_name(one, True)
    return [photograph(leaf, ground(name, one, shot, True), one.chance("shot", shot)) for shot in range(2)]


def train(data: Leaves, network: str, seed: int, epochs: int) -> torch.nn.Module:
    """A network from scratch, as a lesson would train it."""
    torch.manual_seed(seed)
    design = Design(network=network, size=(SIZE, SIZE), filters=FILTERS, batch_norm=True)
    built = build_network(design, len(CLASSES))
    fit_arrays(
        built, data.x, data.y, epochs, lr=3e-3, groups=data.leaf, augment="flips", optimizer="adamw",
        schedule="one-cycle", seed=seed, verbose=0,
    )  # fmt: skip
    return built.eval()


def cam_of(method: str, layer: int) -> Explain:
    """A class activation map at one layer, counted from the first; -1 is the last."""

    def explain(network: torch.nn.Module, images: torch.Tensor, classes: list[int]) -> Any:
        tap = cam_taps(network, tuple(images.shape[1:]), method)[layer]
        return cam_grid(network, images, [[number] for number in classes], method=method, taps=[tap])[0][:, 0]

    return explain


def methods() -> dict[str, Explain]:
    """Every method, the class activation maps at the last layer."""
    cams = {name: cam_of(name, -1) for name in CAMS if name != "cam"}  # plain CAM is Grad-CAM in these networks
    gradients = {name: partial(gradient_map, method=name) for name in GRADIENTS}
    return {**cams, "occlusion": occlusion, **gradients}


def answers(network: torch.nn.Module, data: Leaves) -> Any:
    with torch.inference_mode():
        return np.concatenate([network(part).argmax(1).numpy() for part in data.images.split(64)])


def pointing(network: torch.nn.Module, data: Leaves) -> dict[str, Any]:
    """The pointing game and the share of heat, of every class activation map at every layer, on small lesions."""
    right = answers(network, data) == data.y
    some, right_ones = data.some(data.small), right[data.small]
    lesions, found = some.masks == 2, {}
    for method in (name for name in CAMS if name != "cam"):
        for layer in range(len(FILTERS)):
            maps = cam_of(method, layer)(network, some.images, some.y.tolist())
            exact, area = point(maps, lesions, tolerance=0.0)
            found[f"{method}, block {layer + 1}"] = {
                **vars(place_heat(maps, lesions, some.leaf)),
                "exact": mean_score(exact, some.leaf, counted=True),
                "exact_by_chance": float(area.mean()),
                "right_ones": mean_score(point(maps, lesions)[0][right_ones], some.leaf[right_ones], counted=True),
            }
    return {"accuracy": float(right.mean()), "maps": found}


def off_leaf(network: torch.nn.Module, data: Leaves) -> dict[str, Any]:
    """The share of heat off the leaf, by Grad-CAM at the last layer, and what is said of it."""
    maps = cam_of(DEFAULT_CAM, -1)(network, data.images, data.y.tolist())
    place = place_heat(maps, data.masks == 0, data.leaf)
    accuracy = float((answers(network, data) == data.y).mean())
    return {"accuracy": accuracy, "flat": int(flat(maps).sum()), "says": about_background(place), **vars(place)}


def sanity(
    network: torch.nn.Module, images: torch.Tensor, classes: list[int], leaf: Any, *, skip: str = ""
) -> dict[str, Any]:
    """Similarity to maps of the network with its weights in random order, part by part, of every method."""
    found = {}
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
        found[name] = {
            "last": mean_score(result.similarity[0], leaf[few], least=-1),
            "worst": mean_score(result.similarity[result.worst], leaf[few], least=-1),
            "whole": mean_score(result.similarity[-1], leaf[few], least=-1),
            "ranks": plain_mean(result.ranks[-1]),
            "parts": {part: plain_mean(each) for part, each in zip(result.parts, result.similarity, strict=True)},
            "flat": plain_mean(result.flat[-1]),
        }
    return found


def faith(network: torch.nn.Module, data: Leaves) -> dict[str, Any]:
    """Areas under deletion and insertion, beside those of a random order, of every method."""
    found = {}
    for name, explain in methods().items():
        maps = explain(network, data.images, data.y.tolist())
        curves = delete_and_insert(network, data.images, data.y.tolist(), maps)
        found[name] = {"gain": mean_score(curves.gain, data.leaf, least=-1)}
        for curve in ("deletion", "chance_deletion", "insertion", "chance_insertion"):
            found[name][curve] = plain_mean(curves.area(curve))
    return found


def asked(data: Leaves, rows: Any, most: int = ASKED) -> Leaves:
    """At most so many of these images, spread over the classes."""
    return data.some(rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)])


def pretrained(data: Leaves) -> tuple[torch.nn.Module, torch.Tensor, list[int]]:
    """The default network with its ImageNet weights, these images prepared for it, and what it calls them."""
    entry = network_entry(DEFAULT_NETWORK)
    assert entry.load is not None
    network = entry.load(Design()).eval()
    spec = InputSpec(size=entry.size, mean=(entry.mean,) * 3, std=(entry.std,) * 3)
    images = torch.from_numpy(spec.prepare(fit_batch(data.x, spec.size, spec.fit)))
    with torch.inference_mode():
        return network, images, network(images).argmax(1).tolist()


def as_text(result: dict[str, Any]) -> str:
    """The tables in Markdown."""
    host, seeds = result["machine"], result["seeds"]
    lines = ["# Can the heat maps be trusted?", "", *result["goals"], ""]
    lines += ["## Do they find the lesions?", "", POINTING.format(**result["images"], small=round(100 * SMALL)), ""]
    for name in NETWORKS:
        runs = [result["runs"][f"{name}, lesions, seed {seed}"] for seed in seeds]
        lines += [
            f"`{name}`, accuracy {over([run['pointing']['accuracy'] for run in runs])} (seeds {listed(seeds)}):",
            "",
        ]
        lines += [
            "| | hits | by chance | exact | by chance | where the answer was right | heat | area |",
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
        lines += ["Grad-CAM at the last layer, seed by seed, 95 % over leaves: "]
        lines[-1] += "; ".join(text(run["pointing"]["maps"][HEADLINE]["hits"], counts=True) for run in runs) + "."
        lines.append("")
    lines += ["## Do they give a shortcut away?", "", SHORTCUT, ""]
    lines += ["| network | what tells the class | accuracy | heat off the leaf | area off the leaf | what is said |"]
    lines += ["|" + " --- |" * 6]
    for name in NETWORKS:
        for kind in KINDS:
            runs = [result["runs"].get(f"{name}, {kind}, seed {seed}") for seed in seeds]
            offs = [run["off"] for run in runs if run]
            cells = [over([off["accuracy"] for off in offs]), over([off["heat"]["value"] for off in offs])]
            lines.append(f"| {name} | {kind} | {' | '.join(cells)} | {offs[0]['area']:.2f} | {offs[0]['says']} |")
    lines += ["", "## Do they depend on what was learned?", "", SANITY, ""]
    for name, found in result["sanity"].items():
        order = max((list(each["parts"]) for each in found.values()), key=len)
        lines += [
            f"{name}, its parts from the last on: {', '.join(order)}.",
            "",
            "| method | last part | worst step | all weights | ranks, all weights | step by step |",
        ]
        lines += ["|" + " --- |" * 6]
        for method, each in found.items():
            steps = ", ".join(f"{value:.2f}" for value in each["parts"].values())
            cells = [text(each["last"]), text(each["worst"]), text(each["whole"]), number(each["ranks"]), steps]
            bold = "**" if each["worst"]["value"] >= ALIKE else ""
            lines.append(f"| {bold}{method}{bold} | {' | '.join(cells)} |")
        lines.append("")
    lines += ["## Does what is hot matter to the network?", "", FAITH, ""]
    for name, found in result["faith"].items():
        lines += [f"{name}:", "", "| method | gain over a random order | deletion | random | insertion | random |"]
        lines += ["|" + " --- |" * 6]
        for method, each in found.items():
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
    """Mean, and least to most where there are several."""
    mean = f"{np.mean(values):.2f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.2f} to {max(values):.2f})"


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))


def goals(result: dict[str, Any]) -> list[str]:
    """What was wanted, and what came of it, with its worst case."""
    runs, lines = result["runs"], []
    hits = [run["pointing"]["maps"][HEADLINE]["hits"]["value"] for run in runs.values() if "pointing" in run]
    off = [run["off"]["heat"]["value"] for name, run in runs.items() if ", background," in name]
    for what, values, wanted in (
        ("pointing game of Grad-CAM", hits, WANTED["pointing"]),
        ("heat off the leaf", off, WANTED["off"]),
    ):
        met = "met" if min(values) > wanted else "MISSED"
        lines.append(f"* {what}: {over(values)}, over {wanted} wanted in each of {len(values)} networks: {met}")
    for name, found in result["sanity"].items():
        failed = [method for method, each in found.items() if each["worst"]["value"] >= ALIKE]
        best = [method for method in found if method not in failed]
        lines.append(f"* {name}: under {ALIKE} at every step: {', '.join(best)}; not so: {', '.join(failed) or 'none'}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2, help="networks of each kind (one where both tell the class)")
    parser.add_argument("--leaves", type=int, default=60, help="leaves a class to learn from; a third of that is asked")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--out", type=Path, default=HERE / "results", help="folder of explain_trust.json and .md")
    options = parser.parse_args()
    seeds = list(range(options.seeds))
    learned = {kind: render(kind, options.leaves, TRAIN) for kind in KINDS}
    tested = {kind: render(kind, options.leaves // 3, TEST) for kind in KINDS}
    small = tested["lesions"].some(tested["lesions"].small)
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
                print(f"   points at lesions: {text(run['pointing']['maps'][HEADLINE]['hits'])}", flush=True)
                if seed == 0:
                    some = asked(small, np.arange(len(small.y)))
                    result["sanity"][f"`{name}`"] = sanity(network, some.images, some.y.tolist(), some.leaf)
                    result["faith"][f"`{name}`"] = faith(network, some)
    some = asked(small, np.arange(len(small.y)), ASKED // 3)
    result["sanity"][f"`{DEFAULT_NETWORK}` with its ImageNet weights"] = sanity(
        *pretrained(some), some.leaf, skip="occlusion"
    )
    result["goals"] = goals(result)
    keep_results(options.out / "explain_trust.json", result, as_text(result))
    print(as_text(result))


if __name__ == "__main__":
    main()
