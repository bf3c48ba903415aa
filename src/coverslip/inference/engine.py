"""Engines that run the frozen layers: prepared images in, features out.

Every engine computes in float32, and engines agree to 1e-3 of the root mean square of the features.
"""

from __future__ import annotations

import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from coverslip.core.devices import pick_device, preserve_signal_stack
from coverslip.core.registry import Registry
from coverslip.core.storage import cache_folder, create_entry, delete_entry, digest, entry_folder, locked
from coverslip.data.inputs import InputSpec
from coverslip.models.freeze import FrozenStages

if TYPE_CHECKING:
    import torch

Images = npt.NDArray[np.float32]
"""Prepared images, shape (N, C, H, W)."""

CPU_BATCH, GPU_BATCH = 2, 64  # larger batches do not fit into the caches of a CPU: 8 images took 20 % longer per image


class Engine(Protocol):
    """A backend that runs the frozen stages of a network over batches of images, in order."""

    name: str
    batch: int
    """The preferred number of images per batch; the last batch may be smaller."""

    def run(self, batches: Iterable[Images]) -> Iterator[npt.NDArray[np.float32]]:
        """Yield features (n, D) for each batch (n, C, H, W), in the same order; n is at most ``batch``."""
        ...

    def batch_function(self) -> Callable[[Images], npt.NDArray[np.float32]]:
        """Return a function of one batch with the same results as `run`, for many calls with few images each.

        The function is not thread-safe; each thread needs its own.
        """
        ...


ENGINES: Registry[type[Any]] = Registry("engine")


def open_engine(frozen: FrozenStages, spec: InputSpec, name: str | None = None, batch: int = CPU_BATCH) -> Engine:
    """Return the engine for this machine: OpenVINO on a CPU; PyTorch on a GPU or if OpenVINO is not installed.

    Args:
        frozen: the frozen stages.
        spec: input specification, for the shape of the input.
        name: name of an engine in `ENGINES`, to override the choice.
        batch: images per batch on a CPU; OpenVINO compiles the network for this size.
    """
    if name is None:
        name = "openvino" if pick_device().type == "cpu" and import_openvino() is not None else "torch"
    engine: Engine = ENGINES[name](frozen, spec, batch)
    return engine


@ENGINES.register("torch")
class TorchEngine:
    """PyTorch on the default device, channels last. TF32 is switched off while it runs, so the results are float32."""

    name = "torch"

    def __init__(self, frozen: FrozenStages, spec: InputSpec, batch: int = CPU_BATCH) -> None:
        import torch

        self.device = pick_device()
        self.batch = batch if self.device.type == "cpu" else GPU_BATCH
        self.prefix = frozen.module().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def run(self, batches: Iterable[Images]) -> Iterator[npt.NDArray[np.float32]]:
        """See `Engine.run`."""
        import torch

        matmul, cudnn = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        try:
            for batch in batches:
                with torch.inference_mode():
                    images = self._to_device(batch)
                    yield self.prefix(images).float().cpu().numpy()
        finally:
            torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = matmul, cudnn

    def batch_function(self) -> Callable[[Images], npt.NDArray[np.float32]]:
        """See `Engine.batch_function`."""
        return lambda batch: next(self.run([batch]))

    def _to_device(self, batch: Images) -> torch.Tensor:
        import torch

        return torch.from_numpy(batch).to(self.device).contiguous(memory_format=torch.channels_last)


@ENGINES.register("openvino")
class OpenVinoEngine:
    """OpenVINO on the CPU in float32 (its default on some processors is bfloat16), with overlapping requests."""

    name = "openvino"

    def __init__(self, frozen: FrozenStages, spec: InputSpec, batch: int = CPU_BATCH) -> None:
        openvino = import_openvino()
        assert openvino is not None
        self.batch = batch
        model = _load_or_convert(openvino, frozen, [batch, spec.channels, *spec.size])
        options = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "f32"}
        with preserve_signal_stack():
            self._compiled = openvino.Core().compile_model(model, "CPU", options)

    def run(self, batches: Iterable[Images]) -> Iterator[npt.NDArray[np.float32]]:
        """See `Engine.run`."""
        # One request more than can run in parallel, so no core waits while the next images are prepared.
        count = self._compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS") + 1
        free = [self._compiled.create_infer_request() for _ in range(count)]
        busy: deque[tuple[Any, int]] = deque()
        # Requests are polled in order instead of using callbacks: OpenVINO's threads need the GIL to release a Python
        # callback, so destroying the network at that moment would deadlock.
        try:
            for batch in batches:
                if not free:
                    yield self._finish(busy, free)
                request = free.pop()
                _set_input(request, batch)
                request.start_async()
                busy.append((request, len(batch)))
            while busy:
                yield self._finish(busy, free)
        finally:
            for request, _ in busy:
                request.wait()

    def batch_function(self) -> Callable[[Images], npt.NDArray[np.float32]]:
        """See `Engine.batch_function`."""
        request = self._compiled.create_infer_request()

        def call(batch: Images) -> npt.NDArray[np.float32]:
            _set_input(request, batch)
            request.infer()
            result: npt.NDArray[np.float32] = request.get_output_tensor(0).data[: len(batch)].copy()
            return result

        return call

    def _finish(self, busy: deque[tuple[Any, int]], free: list[Any]) -> npt.NDArray[np.float32]:
        """Wait for the oldest request and return its features."""
        request, rows = busy[0]
        request.wait()
        result: npt.NDArray[np.float32] = request.get_output_tensor(0).data[:rows].copy()
        busy.popleft()
        free.append(request)
        return result


def _set_input(request: Any, batch: Images) -> None:
    """Copy images into the input tensor of a request.

    The compiled network has a fixed batch size; for a smaller batch the remaining rows are computed and ignored.
    """
    request.get_input_tensor(0).data[: len(batch)] = batch


def _load_or_convert(openvino: Any, frozen: FrozenStages, shape: list[int]) -> Any:
    """Return the network converted to OpenVINO, from the cache if possible, since conversion takes seconds."""
    name = digest("openvino", openvino.get_version(), frozen.key, shape)
    core = openvino.Core()
    with locked("engines", name):
        folder = entry_folder("engines", name)
        if folder is not None:
            try:
                return core.read_model(folder / "model.xml")
            except RuntimeError:  # OpenVINO raises nothing more specific; the cached file is damaged
                delete_entry("engines", name)
        with create_entry("engines") as draft:
            model = _convert(openvino, frozen, shape)
            openvino.save_model(model, draft.folder / "model.xml", compress_to_fp16=False)
            draft.key = name
        return core.read_model(cache_folder() / "engines" / name / "model.xml")


def _convert(openvino: Any, frozen: FrozenStages, shape: list[int]) -> Any:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns that shapes become constants, which is intended here
        example = torch.zeros(1, *shape[1:])
        traced = torch.jit.trace(frozen.module(), example, check_trace=False)  # type: ignore[no-untyped-call]
        return openvino.convert_model(traced, example_input=example, input=shape)


def import_openvino() -> Any | None:
    """Return the module ``openvino`` with telemetry disabled, or None if it is not installed.

    OpenVINO's telemetry reports each conversion over the network without asking. OpenVINO works without the telemetry
    package if that cannot be imported, so the package is hidden while OpenVINO is imported.
    """
    if "openvino" not in sys.modules:
        missing = object()
        before = sys.modules.get("openvino_telemetry", missing)
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
        try:
            import openvino
        except ImportError:
            return None
        finally:
            if before is missing:
                del sys.modules["openvino_telemetry"]
            else:
                sys.modules["openvino_telemetry"] = before  # type: ignore[assignment]
    import openvino

    # OpenVINO initializes its NumPy bindings at the first array. If two threads do this at once they can deadlock (one
    # holds the GIL, the other OpenVINO's own lock), so create one array here.
    _ = openvino.Tensor(np.zeros(1, np.float32)).data
    return openvino
