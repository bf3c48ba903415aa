"""The script that is written beside an exported file: all that a stranger needs to use it."""

from __future__ import annotations

from coverslip.data.inputs import InputSpec
from coverslip.exporting.formats import Format

FILE = "use_model.py"

OPEN = {
    "onnx": (
        "import onnxruntime",
        'session = onnxruntime.InferenceSession(str(home / "model.onnx"), providers=["CPUExecutionProvider"])',
        'session.run(None, {"pixels": batch})',
    ),
    "torch": ("import torch", 'model = torch.jit.load(str(home / "model.pt"))', "model(torch.from_numpy(batch))"),
    "openvino": (
        "import openvino",
        'model = openvino.compile_model(home / "model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})',
        "model([batch]).values()",
    ),
}

COLOR = '''\
def read(path):
    """Decoded pixels, uint8 (height, width, 3): upright, transparency over white."""
    image = ImageOps.exif_transpose(Image.open(path))
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return np.array(image.convert("RGB"))
'''

GREY = '''\
def read(path):
    """Decoded pixels, uint8 (height, width, 1): upright, transparency over white."""
    image = ImageOps.exif_transpose(Image.open(path))
    if image.mode not in ("1", "L", "LA"):
        raise ValueError("it is not grey with 8 bits, as the model's pictures are")
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return np.array(image.convert("L"))[:, :, None]
'''

ANY = '''\
def read(path):
    """Decoded pixels, DEPTH (height, width, CHANNELS), from a grey picture or a NumPy file of just that."""
    pixels = np.load(path) if path.endswith(".npy") else np.array(ImageOps.exif_transpose(Image.open(path)))
    pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
    pixels = pixels.astype(np.uint16) * 257 if (pixels.dtype.name, "DEPTH") == ("uint8", "uint16") else pixels
    if (pixels.dtype.name, pixels.shape[2:]) != ("DEPTH", (CHANNELS,)):
        raise ValueError(f"it is {pixels.dtype} {pixels.shape}; the model takes DEPTH (height, width, CHANNELS)")
    return pixels
'''

WHOLE = '''\
"""Name the class of pictures:  pip install PACKAGES;  python use_model.py PICTURE..."""

import json
import sys
from pathlib import Path

import numpy as np
IMPORT
from PIL import Image, ImageOps

if len(sys.argv) < 2:
    sys.exit(__doc__)
home = Path(__file__).resolve().parent
about = json.loads((home / "model.json").read_text(encoding="utf-8"))
limit, failed = about["threshold"], False
OPEN


READ

for path in sys.argv[1:]:
    try:
        batch = read(path)[None]  # one picture is a batch of one
    except Exception as error:
        print(f"{path}: cannot be read: {error}")
        failed = True
        continue
    found = RUN
    answer = {output["name"]: np.asarray(each)[0] for output, each in zip(about["outputs"], found)}
    label = int(answer["label"])
    line = f"{path}: {about['classes'][label]} {answer['probabilities'][label]:.3f}"
    if limit and answer["probabilities"][label] < 0.5:  # the less probable class is named
        line += f" ({limit['class_name']} is said from {limit['value']:.3g} up)"
    if "set" in answer:
        line += ", set: " + " | ".join(name for name, inside in zip(about["classes"], answer["set"]) if inside)
    print(line + (", unlike anything it was trained on" if not answer.get("familiar", True) else ""))
sys.exit(failed)
'''


def script(format_: Format, spec: InputSpec) -> str:
    """The text of ``use_model.py`` for a format and a kind of pictures."""
    eight = spec.depth == "uint8"
    read = COLOR if eight and spec.channels == 3 else GREY if eight and spec.channels == 1 else ANY
    library, opened, run = OPEN[format_.name]
    parts = {
        "READ": read.rstrip() + "\n",
        "PACKAGES": format_.packages,
        "IMPORT": library,
        "OPEN": opened,
        "RUN": run,
        "CHANNELS": str(spec.channels),
        "DEPTH": spec.depth,
    }
    text = WHOLE
    for name, part in parts.items():
        text = text.replace(name, part)
    return text
