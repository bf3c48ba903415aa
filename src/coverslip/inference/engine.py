"""The frozen pass: prepared images in, features out, by the fastest engine this machine has.

Every engine computes in 32-bit floating point, and gives the same numbers to 1e-3 of the features' root mean square.
"""

from __future__ import annotations

import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from coverslip.core.devices import pick_device, same_signal_stack
from coverslip.core.registry import Registry
from coverslip.core.storage import building, cache_folder, digest, drop_entry, entry_folder, locked
from coverslip.data.inputs import InputSpec
from coverslip.models.freeze import Frozen

if TYPE_CHECKING:
    import torch

Images = npt.NDArray[np.float32]
"""(N, C, H, W), prepared."""

CPU_BATCH, GPU_BATCH = 2, 64  # on a CPU larger ones leave its caches: 8 took a fifth longer


class Engine(Protocol):
    """Runs a frozen part over batches, in order."""

    name: str
    batch: int
    """Images a batch that suit it; the last may be smaller."""

    def run(self, batches: Iterable[Images]) -> Iterator[npt.NDArray[np.float32]]:
        """(n, C, H, W) each -> (n, D) each, in the same order; n is at most ``batch``."""
        ...

    def way_in(self) -> Callable[[Images], npt.NDArray[np.float32]]:
        """A function of one batch, with the same answers as `run`: for whoever asks about few images many times.

        Only one thread may use it at a time; another thread takes a way in of its own.
        """
        ...


ENGINES: Registry[type[Any]] = Registry("engine")


def open_engine(frozen: Frozen, spec: InputSpec, name: str | None = None, batch: int = CPU_BATCH) -> Engine:
    """The engine for this machine: OpenVINO on a CPU, PyTorch on a GPU or where OpenVINO is not installed.

    Args:
        frozen: the frozen part.
        spec: gives the input's shape.
        name: of an engine, to force one.
        batch: images that go through together, where the engine has to be told before (OpenVINO).
    """
    if name is None:
        name = "openvino" if pick_device().type == "cpu" and import_openvino() is not None else "torch"
    engine: Engine = ENGINES[name](frozen, spec, batch)
    return engine


@ENGINES.register("torch")
class TorchEngine:
    """PyTorch on the device it finds, channels last; reduced precision (TF32) is switched off while it runs."""

    name = "torch"

    def __init__(self, frozen: Frozen, spec: InputSpec, batch: int = CPU_BATCH) -> None:
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

    def way_in(self) -> Callable[[Images], npt.NDArray[np.float32]]:
        """See `Engine.way_in`."""
        return lambda batch: next(self.run([batch]))

    def _to_device(self, batch: Images) -> torch.Tensor:
        import torch

        return torch.from_numpy(batch).to(self.device).contiguous(memory_format=torch.channels_last)


@ENGINES.register("openvino")
class OpenVinoEngine:
    """OpenVINO on the CPU, 32-bit forced (its default on some processors is bfloat16); requests overlap."""

    name = "openvino"

    def __init__(self, frozen: Frozen, spec: InputSpec, batch: int = CPU_BATCH) -> None:
        openvino = import_openvino()
        assert openvino is not None
        self.batch = batch
        model = _converted(openvino, frozen, [batch, spec.channels, *spec.size])
        options = {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": "f32"}
        with same_signal_stack():
            self._compiled = openvino.Core().compile_model(model, "CPU", options)

    def run(self, batches: Iterable[Images]) -> Iterator[npt.NDArray[np.float32]]:
        """See `Engine.run`."""
        # One request more than run at a time, so that a core need not wait for the next images to be prepared.
        count = self._compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS") + 1
        free = [self._compiled.create_infer_request() for _ in range(count)]
        busy: deque[tuple[Any, int]] = deque()
        # Requests are waited for, not called back: OpenVINO's threads let go of a Python callback only with the
        # interpreter's lock, and a network that is thrown away meanwhile would wait for them for ever.
        try:
            for batch in batches:
                if not free:
                    yield self._finish(busy, free)
                request = free.pop()
                _give(request, batch)
                request.start_async()
                busy.append((request, len(batch)))
            while busy:
                yield self._finish(busy, free)
        finally:
            for request, _ in busy:
                request.wait()

    def way_in(self) -> Callable[[Images], npt.NDArray[np.float32]]:
        """See `Engine.way_in`."""
        request = self._compiled.create_infer_request()

        def call(batch: Images) -> npt.NDArray[np.float32]:
            _give(request, batch)
            request.infer()
            result: npt.NDArray[np.float32] = request.get_output_tensor(0).data[: len(batch)].copy()
            return result

        return call

    def _finish(self, busy: deque[tuple[Any, int]], free: list[Any]) -> npt.NDArray[np.float32]:
        """Wait for the oldest request and take its rows."""
        request, rows = busy[0]
        request.wait()
        result: npt.NDArray[np.float32] = request.get_output_tensor(0).data[:rows].copy()
        busy.popleft()
        free.append(request)
        return result


def _give(request: Any, batch: Images) -> None:
    """Put images where a request reads them.

    The compiled network has one batch size; of a smaller batch the other rows are computed too, and nobody reads them.
    """
    request.get_input_tensor(0).data[: len(batch)] = batch


def _converted(openvino: Any, frozen: Frozen, shape: list[int]) -> Any:
    """The network in OpenVINO's form; converting takes seconds, so it is kept in the cache folder."""
    name = digest("openvino", openvino.get_version(), frozen.key, shape)
    core = openvino.Core()
    with locked("engines", name):
        folder = entry_folder("engines", name)
        if folder is not None:
            try:
                return core.read_model(folder / "model.xml")
            except RuntimeError:  # all that OpenVINO raises: a disk error or another hand has spoilt the file
                drop_entry("engines", name)
        with building("engines") as draft:
            model = _convert(openvino, frozen, shape)
            openvino.save_model(model, draft.folder / "model.xml", compress_to_fp16=False)
            draft.key = name
        return core.read_model(cache_folder() / "engines" / name / "model.xml")


def _convert(openvino: Any, frozen: Frozen, shape: list[int]) -> Any:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns of shapes that it takes as fixed; here they are
        example = torch.zeros(1, *shape[1:])
        traced = torch.jit.trace(frozen.module(), example, check_trace=False)  # type: ignore[no-untyped-call]
        return openvino.convert_model(traced, example_input=example, input=shape)


def import_openvino() -> Any | None:
    """OpenVINO without its telemetry, which would report each conversion over the network without asking.

    OpenVINO runs without the telemetry package when that cannot be imported, so for the time of its own import it is
    made to look absent.
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

    # It looks NumPy up at its first array. Two threads whose first arrays come together can each hold what the other
    # waits for (the interpreter's lock, and one of its own), for ever: one array now, and it is done.
    _ = openvino.Tensor(np.zeros(1, np.float32)).data
    return openvino
