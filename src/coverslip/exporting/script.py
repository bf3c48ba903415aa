"""The script that is written beside an exported file: all that a stranger needs to use it."""

from __future__ import annotations

from coverslip.data.image import MAX_PIXELS
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

OPENED = '''\
def opened(path):
    """The image of a file, upright, and the bits of a channel, which Pillow cuts to 8 in silence."""
    image = Image.open(path)
    if image.width * image.height > MOST:
        raise ValueError(f"it has {image.width:,} x {image.height:,} pixels, more than {MOST // 10**6} million")
    bits = max(getattr(image, "tag_v2", {}).get(258, [8]))  # a TIFF's BitsPerSample
    bits = Path(path).read_bytes()[24] if image.format == "PNG" else bits  # in its header
    return ImageOps.exif_transpose(image), max(bits, 16 if image.mode[0] in "IF" else 8)
'''

COLOR = '''\
def read(path):
    """Decoded pixels, uint8 (height, width, 3): upright, transparency over white."""
    image, bits = opened(path)
    if bits > 8:
        raise ValueError(f"it has {bits} bits a channel, the model was trained on 8")
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return np.array(image.convert("RGB"))
'''

GREY = '''\
def read(path):
    """Decoded pixels, uint8 (height, width, 1): upright, transparency over white."""
    image, bits = opened(path)
    if bits > 8:
        raise ValueError(f"it has {bits} bits a channel, the model was trained on 8")
    if image.mode not in ("1", "L", "LA"):
        raise ValueError("it is not grey, as the model's images are")
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return np.array(image.convert("L"))[:, :, None]
'''

ANY = '''\
def read(path):
    """Decoded pixels, DEPTH (height, width, CHANNELS), from a grey image or a NumPy file of just that."""
    image, bits = (np.load(path), 0) if path.endswith(".npy") else opened(path)
    pixels = np.array(image)
    if bits > 8 and pixels.dtype == np.uint8:
        raise ValueError("Pillow would cut its 16 bits to 8: give it as a NumPy file (.npy)")
    pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
    pixels = pixels.astype(np.uint16) * 257 if (pixels.dtype.name, "DEPTH") == ("uint8", "uint16") else pixels
    if (pixels.dtype.name, pixels.shape[2:]) != ("DEPTH", (CHANNELS,)):
        raise ValueError(f"it is {pixels.dtype} {pixels.shape}; the model takes DEPTH (height, width, CHANNELS)")
    return pixels
'''

WHOLE = '''\
"""Name the class of images:  pip install PACKAGES;  python use_model.py IMAGE..."""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
IMPORT
from PIL import Image, ImageOps

warnings.simplefilter("ignore")  # advice of libraries to developers
Image.MAX_IMAGE_PIXELS, MOST = None, MILLIONS * 10**6  # pixels of an image; the limit is ours, said in `opened`

if len(sys.argv) < 2:
    sys.exit(__doc__)
home = Path(__file__).resolve().parent
about = json.loads((home / "model.json").read_text(encoding="utf-8"))
limit, failed = about["threshold"], False
OPEN


READ

for path in sys.argv[1:]:
    try:
        batch = read(path)[None]  # one image is a batch of one
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
    """The text of ``use_model.py`` for a format and a kind of images."""
    eight = spec.depth == "uint8"
    read = COLOR if eight and spec.channels == 3 else GREY if eight and spec.channels == 1 else ANY
    library, opened, run = OPEN[format_.name]
    parts = {
        "READ": f"{OPENED}\n\n{read.rstrip()}\n",
        "PACKAGES": format_.packages,
        "IMPORT": library,
        "OPEN": opened,
        "RUN": run,
        "CHANNELS": str(spec.channels),
        "DEPTH": spec.depth,
        "MILLIONS": str(MAX_PIXELS // 10**6),
    }
    text = WHOLE
    for name, part in parts.items():
        text = text.replace(name, part)
    return text
