"""Measure the engine without a server: images per second, decoded from memory and inferred, on all cores.

own_serving.py RUN FOLDER IMAGES SECONDS
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from itertools import cycle
from pathlib import Path

import numpy as np
import torch

from coverslip import api
from coverslip.core.devices import cores
from coverslip.data.decoding import PixelFormat, decode_one
from serving_images import read_images

TOGETHER = 16  # images per task of the decoder


def main() -> None:
    run, folder, count, seconds = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    predictor = api.load(run)
    spec, engine = predictor.spec, predictor.extractor.engine
    form = PixelFormat(spec.channels, spec.depth)
    files = [data for _, data in read_images(folder, count)]

    def decoded(subset: list[bytes]) -> np.ndarray:
        return spec.prepare(np.stack([decode_one(data, form, spec.size, spec.fit)[1] for data in subset]))

    def batches(until: float, only_decode: bool = False) -> Iterator[np.ndarray]:
        endless = cycle(files)
        with ThreadPoolExecutor(cores(), initializer=torch.set_num_threads, initargs=(1,)) as pool:
            waiting = deque(pool.submit(decoded, [next(endless) for _ in range(TOGETHER)]) for _ in range(4))
            while time.perf_counter() < until:
                rows = waiting.popleft().result()
                waiting.append(pool.submit(decoded, [next(endless) for _ in range(TOGETHER)]))
                for start in range(0, TOGETHER, engine.batch):
                    yield rows[start : start + engine.batch]
            for each in waiting:
                each.cancel()

    def rate(measured: float) -> float:
        start, done = time.perf_counter(), 0
        for features in engine.run(batches(start + measured)):
            predictor.task.predict(predictor.outputs(features.astype(np.float16)))
            done += len(features)
        return done / (time.perf_counter() - start)

    rate(1.0)
    before = os.times()
    speed = rate(seconds)
    after = os.times()
    used = sum(after[:2]) - sum(before[:2])
    names = ("coverslip", "torch", "openvino", "pillow")
    answer = {"rate": speed, "processor_ms": 1000 * used / (speed * seconds), "engine": engine.name}
    print("answer " + json.dumps(answer | {"versions": {name: version(name) for name in names}}))


if __name__ == "__main__":
    main()
