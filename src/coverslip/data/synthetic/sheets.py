"""Contact sheets: an overview of many rendered images on one page."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont

from coverslip.data.synthetic.diseases import DISEASES
from coverslip.data.synthetic.image import render
from coverslip.data.synthetic.species import SPECIES
from coverslip.data.synthetic.specimen import class_names

PAPER, INK = (250, 248, 243), (47, 58, 52)


def contact_sheet(
    look: str = "leaf", *, tile: int = 128, seed: int = 0, shortcut: bool = False, columns: int = 7
) -> Image.Image:
    """Return a page of images.

    Leaves: one row per species, one column per condition. Tissue: one row per class with ``columns`` slides.

    The sheets of the README are written by::

        python -m coverslip.data.synthetic docs/images
    """
    if look == "leaf":
        conditions = ["healthy", *DISEASES]
        cells = [[(f"{species}_{condition}", 0) for condition in conditions] for species in SPECIES]
        column_titles, row_titles = [name.replace("_", " ") for name in conditions], list(SPECIES)
    else:
        cells = [[(name, slide) for slide in range(columns)] for name in class_names(look)]
        column_titles, row_titles = [f"slide {slide}" for slide in range(columns)], list(class_names(look))
    font = ImageFont.load_default(max(11, tile // 10))
    gap, left, top = max(tile // 24, 4), round(tile * 0.58), round(tile * 0.24)
    sheet = Image.new("RGB", (left + len(column_titles) * (tile + gap), top + len(row_titles) * (tile + gap)), PAPER)
    pen = ImageDraw.Draw(sheet)
    for row, names in enumerate(cells):
        y = top + row * (tile + gap)
        pen.text((left - gap * 1.5, y + tile / 2), row_titles[row], fill=INK, font=font, anchor="rm")
        for column, (name, leaf) in enumerate(names):
            x = left + column * (tile + gap)
            if row == 0:
                pen.text((x + tile / 2, top / 2), column_titles[column], fill=INK, font=font, anchor="mm")
            image = render(look, name, leaf, 0, size=tile * 2, seed=seed, shortcut=shortcut)
            thumbnail = Image.fromarray(image.image).resize((tile, tile), Image.Resampling.LANCZOS)
            sheet.paste(thumbnail, (x, y))
    return sheet
