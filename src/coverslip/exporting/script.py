"""The example script that is written next to an exported file; it does not need Coverslip."""

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

OPEN_IMAGE = '''\
def open_image(path):
    """Return the image with EXIF orientation applied, and its bits per channel; Pillow silently reduces 16 to 8."""
    image = Image.open(path)
    if image.width * image.height > MAX_PIXELS:
        raise ValueError(f"{image.width:,} x {image.height:,} pixels are more than {MAX_PIXELS // 10**6} million")
    if image.format == "TIFF" and getattr(image, "n_frames", 1) >= 16 and image.width <= 5 < image.height:
        raise ValueError("a TIFF whose pages are the rows of one image; save it with planarconfig='contig'")
    if image.has_transparency_data and image.convert("RGBA").getextrema()[3] == (0, 0):
        raise ValueError("transparent everywhere (alpha is 0); save it without its alpha channel")
    bits = max(getattr(image, "tag_v2", {}).get(258, [8]))  # BitsPerSample of a TIFF
    bits = Path(path).read_bytes()[24] if image.format == "PNG" else bits  # bit depth in the PNG header
    return ImageOps.exif_transpose(image), max(bits, 16 if image.mode[0] in "IF" else 8)
'''

READ_COLOR = '''\
def read(path):
    """Return decoded pixels, uint8 (height, width, 3), with transparency over white."""
    image, bits = open_image(path)
    if bits > 8:
        raise ValueError(f"the image has {bits} bits per channel, but the model was trained on 8 bits")
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    return np.array(image.convert("RGB"))
'''

READ_GREY = '''\
def read(path):
    """Return decoded pixels, uint8 (height, width, 1), with transparency over white."""
    image, bits = open_image(path)
    if bits > 8:
        raise ValueError(f"the image has {bits} bits per channel, but the model was trained on 8 bits")
    if image.has_transparency_data:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
    color = np.array(image.convert("RGB"))
    if (color != color[:, :, :1]).any():
        raise ValueError("the image is not grey, but the model was trained on grey images")
    return color[:, :, :1]
'''

READ_OTHER = '''\
def read(path):
    """Return decoded pixels, DEPTH (height, width, CHANNELS), from an image or from a NumPy file of that shape."""
    image, bits = (np.load(path), 0) if path.endswith(".npy") else open_image(path)
    pixels = np.array(image)
    if bits > 8 and pixels.dtype == np.uint8:
        raise ValueError("Pillow would reduce 16 bits per channel to 8; save the image as a NumPy file (.npy)")
    pixels = pixels[:, :, None] if pixels.ndim == 2 else pixels
    pixels = pixels.astype(np.uint16) * 257 if (pixels.dtype.name, "DEPTH") == ("uint8", "uint16") else pixels
    if (pixels.dtype.name, pixels.shape[2:]) != ("DEPTH", (CHANNELS,)):
        raise ValueError(f"the model needs DEPTH (height, width, CHANNELS), not {pixels.dtype} {pixels.shape}")
    return pixels
'''

TEMPLATE = '''\
"""Predict the class of images:  pip install PACKAGES;  python use_model.py IMAGE..."""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
IMPORT
from PIL import Image, ImageOps

warnings.simplefilter("ignore")  # library warnings for developers
Image.MAX_IMAGE_PIXELS, MAX_PIXELS = None, MILLIONS * 10**6  # Pillow's own limit is lower; see `open_image`

if len(sys.argv) < 2:
    sys.exit(__doc__)
home = Path(__file__).resolve().parent
about = json.loads((home / "model.json").read_text(encoding="utf-8"))
threshold, failed = about["threshold"], False
OPEN


READ

for path in sys.argv[1:]:
    try:
        batch = read(path)[None]  # (1, height, width, channels)
    except Exception as error:
        print(f"{path}: cannot be read: {error}")
        failed = True
        continue
    values = RUN
    outputs = {output["name"]: np.asarray(value)[0] for output, value in zip(about["outputs"], values)}
    label = int(outputs["label"])
    line = f"{path}: {about['classes'][label]} {outputs['probabilities'][label]:.3f}"
    if threshold and outputs["probabilities"][label] < 0.5:  # the less probable class is predicted
        line += f" (decision threshold for {threshold['class_name']}: {threshold['value']:.3g})"
    if "set" in outputs:
        line += ", set: " + " | ".join(name for name, inside in zip(about["classes"], outputs["set"]) if inside)
    print(line + (", unlike the training images" if not outputs.get("familiar", True) else ""))
sys.exit(failed)
'''


def script(format_: Format, spec: InputSpec) -> str:
    """Return the text of ``use_model.py`` for a format and an input spec."""
    if spec.depth == "uint8" and spec.channels in (1, 3):
        read = READ_COLOR if spec.channels == 3 else READ_GREY
    else:
        read = READ_OTHER
    library, opened, run = OPEN[format_.name]
    values = {
        "READ": f"{OPEN_IMAGE}\n\n{read.rstrip()}\n",
        "PACKAGES": format_.packages,
        "IMPORT": library,
        "OPEN": opened,
        "RUN": run,
        "CHANNELS": str(spec.channels),
        "DEPTH": spec.depth,
        "MILLIONS": str(MAX_PIXELS // 10**6),
    }
    text = TEMPLATE
    for name, value in values.items():
        text = text.replace(name, value)
    return text
