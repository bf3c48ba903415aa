"""Synthetic leaf photographs and stained tissue, for the demo, the course and the tests.

Nothing is downloaded: outlines, veins, symptoms, light and camera are formulas. Every leaf is photographed several
times, which gives real groups, and every image has a mask of its lesions.
"""

from coverslip.data.synthetic.image import Image, render
from coverslip.data.synthetic.sheets import contact_sheet
from coverslip.data.synthetic.specimen import class_names
from coverslip.data.synthetic.writer import write_leaves

__all__ = ["Image", "class_names", "contact_sheet", "render", "write_leaves"]
