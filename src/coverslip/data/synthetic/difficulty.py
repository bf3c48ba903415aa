"""All constants that make the classification problem harder or easier."""

from __future__ import annotations

MILDEST = 0.28  # severity of the mildest diseased leaf; lower is harder
SEVEREST = 1.00  # severity of the worst diseased leaf
SEVERITY_SKEW = 1.00  # above 1, mild leaves are more common than severe ones

SHAPE_VARIATION = 0.7  # variation of outlines within a species; 0 makes all leaves identical
COLOR_VARIATION = 0.7  # variation of the green of healthy leaves within a species
BLEMISHES = 0.6  # specks, holes, scars and yellowing that are not a disease, also on healthy leaves
SYMPTOM_CONTRAST = 1.0  # opacity of the symptoms, 0..1; lower is harder

PLAIN_SHARE = 0.75  # fraction of the leaves on a plain background, as in a laboratory; the others are in the field
LIGHT_VARIATION = 0.7  # exposure, color temperature, uneven light and cast shadows
DEFOCUS = 0.8  # defocus blur of the lens
SENSOR_NOISE = 1.0  # noise of the camera

EARLY_TUMOR = 0.05  # disorder of the mildest tumor, 0..1; lower is harder
STAIN_VARIATION = 1.0  # variation of color between slides
