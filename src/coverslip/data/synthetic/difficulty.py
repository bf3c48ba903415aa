"""Every number that makes the problem harder or easier, in one place."""

from __future__ import annotations

MILDEST = 0.28  # severity of the mildest diseased leaf; lower is harder
SEVEREST = 1.00  # severity of the worst diseased leaf
SEVERITY_SKEW = 1.00  # above 1, mild leaves are commoner than severe ones

SHAPE_VARIATION = 0.7  # how much leaves of one species differ in outline; 0 makes them twins
COLOR_VARIATION = 0.7  # how much healthy leaves of one species differ in green
BLEMISHES = 0.6  # specks, holes, scars and yellowing that are no disease, also on healthy leaves
SYMPTOM_CONTRAST = 1.0  # opacity of the symptoms, 0..1; lower is harder

PLAIN_SHARE = 0.75  # of the leaves lie on something plain, as in a laboratory; the others where they grew
LIGHT_VARIATION = 0.7  # exposure, color temperature, uneven light and cast shadows
DEFOCUS = 0.8  # blur of the lens
SENSOR_NOISE = 1.0  # noise of the camera

EARLY_TUMOR = 0.05  # how far the mildest tumor has left the order of healthy tissue, 0..1; lower is harder
STAIN_VARIATION = 1.0  # how much slides differ in color
