"""Fixtures: a small trained run, an untrained predictor of any network, and a nearly empty Python environment."""

import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from coverslip import api
from coverslip.data.inputs import InputSpec
from coverslip.evidence.conformal import ConformalThresholds
from coverslip.evidence.familiarity import fit_familiarity
from coverslip.inference.features import FeatureExtractor
from coverslip.inference.predictor import Predictor
from coverslip.inference.trust import Trust
from coverslip.models.catalog import build_network
from coverslip.models.design import Design
from coverslip.models.freeze import frozen_stages
from coverslip.models.stages import CLASSIFIER
from coverslip.tasks.classification import Classification


@pytest.fixture(scope="session")
def tiny_run(leaves, session_cache, tmp_path_factory):
    """Train a fully convolutional network at 32 pixels on the session's leaves; tests must not write into the run."""
    folder = tmp_path_factory.mktemp("exported") / "tiny"
    return api.train(leaves, folder, model_network="cnn-full", model_filters=(8, 12), input_size=32, training_epochs=2)


@pytest.fixture(scope="session")
def onnx_folder(tiny_run, tmp_path_factory):
    """Export the tiny run as ONNX."""
    from coverslip.api.exporting import export

    return export(tiny_run.folder, tmp_path_factory.mktemp("onnx") / "tiny")


@pytest.fixture(scope="session")
def untrained():
    """Make predictors with random weights, sets and familiarity: ``untrained("resnet18", channels=5)``."""

    def make(network, *, size=(64, 64), channels=3, depth="uint8", fit="pad", classes=("a", "b", "c"), **options):
        design = Design(network=network, channels=channels, size=size, **options)
        torch.manual_seed(0)
        whole = build_network(design, len(classes)).eval()
        frozen = frozen_stages(design, whole.before(CLASSIFIER).state_dict())
        deep = {"low": (900.0,) * channels, "high": (50000.0,) * channels} if depth == "uint16" else {}
        spec = InputSpec(
            size=size, fit=fit, channels=channels, depth=depth, mean=(0.5,) * channels, std=(0.25,) * channels, **deep
        )
        rng = np.random.default_rng(0)
        images = torch.from_numpy(rng.normal(size=(12, channels, *size)).astype(np.float32))
        with torch.inference_mode():
            rows = whole.before(CLASSIFIER)(images).flatten(1).numpy()
        spread = max(float(rows.std()), 1e-3)
        weight = rng.normal(size=(len(classes), rows.shape[1])).astype(np.float32) / (spread * rows.shape[1] ** 0.5)
        limits = ConformalThresholds(0.9, (0.3,) * len(classes), (40,) * len(classes), ("own",) * len(classes))
        trust = Trust(fit_familiarity(rows, np.arange(12) % 3, rows, None), tuple("abcdefghijkl"), (12, 12))
        extractor = FeatureExtractor(frozen, spec, engine_name="torch")
        bias = np.zeros(len(classes), np.float32)
        return Predictor(design, extractor, weight, bias, Classification(classes, 1.5, sets=limits), {}, trust=trust)

    return make


@pytest.fixture(scope="session")
def bare(tmp_path_factory):
    """Run a script in a Python with only the standard library, the named packages and their dependencies."""

    def with_dependencies(names):
        packages, remaining = set(), list(names)
        while remaining:
            name = remaining.pop()
            if name in packages:
                continue
            packages.add(name)
            for line in importlib.metadata.requires(name) or []:
                if "extra ==" not in line:
                    remaining.append(re.match(r"[\w.-]+", line)[0])
        return packages

    def run(packages, script, *arguments):
        home = tmp_path_factory.mktemp("bare")
        for name in with_dependencies(packages):
            files = importlib.metadata.files(name)
            for top in {
                file.parts[0] for file in files if ".." not in file.parts and "__pycache__" not in file.parts[0]
            }:
                link = home / top
                if not link.exists():
                    link.symlink_to(Path(files[0].locate()).parents[len(files[0].parts) - 1] / top)
        start = (
            "import sys, runpy; sys.path.append(sys.argv[1]); sys.argv = sys.argv[2:]; "
            "runpy.run_path(sys.argv[0], run_name='__main__')"
        )
        # -I and -S: no site-packages, no user folder, no environment variables
        command = [sys.executable, "-I", "-S", "-c", start, str(home), str(script), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, env={"PATH": os.environ["PATH"]}, check=False)

    return run
