"""ONNX files on the CPU: no torch."""
from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnxruntime
from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented

from ssma_core.errors import SsmaError
from ssma_core.model_files import onnx_parts
from ssma_core.model_files.exported import bound_inputs, unimodal_inputs, unimodal_output

onnxruntime.disable_telemetry_events()  # where another module has imported it before ours


class OnnxRuntimeBackend:
    """See ssma_core.backends.Backend. The file is one that `ssma export` wrote."""

    name = "onnxruntime"

    def __init__(self, model: Path, threads: int | None) -> None:
        self._file, self._threads = model, threads
        self._model, self._exported = onnx_parts.read(model)
        self.spec = self._exported.spec
        self.precision = self._exported.precision
        self.frame = self._exported.frame
        self.end_to_end = self.frame is not None
        self.unimodal = self._exported.unimodal
        # By the parts' names. Those of single sensors are opened now, and not when a sensor fails.
        self._sessions = self._opened({onnx_parts.WHOLE: {"labels"}} | {
            name: {unimodal_output(name, "labels")} for name in self.unimodal})

    def run(self, images: Sequence[npt.NDArray[Any]],
            outputs: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
        inputs = bound_inputs(self._exported, images)
        return dict(zip(outputs, self._run(onnx_parts.WHOLE, outputs, inputs)))

    def run_unimodal(self, modality: int, image: npt.NDArray[Any],
                     outputs: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
        inputs = unimodal_inputs(self._exported, modality, image)
        name = self.spec.modalities[modality].name
        return dict(zip(outputs, self._run(
            name, [unimodal_output(name, output) for output in outputs], inputs)))

    def _run(self, part: str, outputs: Sequence[str],
             inputs: dict[str, npt.NDArray[Any]]) -> Sequence[npt.NDArray[Any]]:
        """A part's session computes the outputs that were ever asked for. A new one opens another
        session: see `Segmenter.prepare`."""
        computed = {output.name for output in self._sessions[part].get_outputs()}
        if not computed.issuperset(outputs):
            self._sessions |= self._opened({part: computed.union(outputs)})
        try:
            found: Sequence[npt.NDArray[Any]] = self._sessions[part].run(list(outputs), inputs)
        except Exception as error:  # see _opened
            raise SsmaError(f"{self._file} cannot be run ({error}); write it again with "
                            "`ssma export`") from error
        return found

    def _opened(self, wanted: Mapping[str, Collection[str]]
                ) -> dict[str, onnxruntime.InferenceSession]:
        try:
            return {part: open_session(model, self._threads)
                    for part, model in onnx_parts.cuts(self._model, wanted).items()}
        except NotImplemented as error:
            raise SsmaError(f"onnxruntime cannot run {self._file} on the CPU ({error}); a file in "
                            f"bf16 is for TensorRT: `ssma build-engine --model {self._file}`, or "
                            "export it again with --precision fp32") from error
        except Exception as error:  # onnxruntime has a class of its own for each kind of failure
            raise SsmaError(f"{self._file} is not an ONNX model, or it is cut short ({error}); "
                            "write it again with `ssma export`") from error

    def close(self) -> None:
        self._sessions.clear()
        self._model = b""


def open_session(model: bytes, threads: int | None = None) -> onnxruntime.InferenceSession:
    """A session of a file's bytes, on the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 3
    if not _has_vnni():
        # Such x86 CPUs sum products of int8 in 16 bits: take the slower ones, without overflow.
        options.add_session_config_entry("session.x64quantprecision", "1")
    # This optimizer merges two equal quantizers, but a convolution is computed in int8 only if no
    # other node uses its quantizer.
    return onnxruntime.InferenceSession(
        model, options, providers=["CPUExecutionProvider"],
        disabled_optimizers=["CommonSubexpressionElimination"])


def _has_vnni() -> bool:
    """Whether the CPU has instructions that sum products of int8 in 32 bits; False where this is
    not Linux."""
    try:
        return "vnni" in Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
