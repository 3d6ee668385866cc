"""How much a network computes, and how much the machine could compute."""
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ssma_core.errors import SsmaError
from ssma_core.model_files.exported import Precision
from ssma_core.spec import ModelSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

SIDE = {"cpu": 1536, "gpu": 8192}  # of the matrices


def gflop(spec: ModelSpec) -> float:
    """1e9 operations for one frame: the convolutions, two operations for a multiply-add, as the
    network is defined, without a library's optimizations. Needs PyTorch."""
    import torch

    from ssma_core.model import build

    width, height = spec.input_size
    with torch.device("meta"):  # nothing is computed
        images = [torch.empty(1, 3, height, width) for _ in spec.modalities]
        # Moved, because a backbone of timm is always built on the CPU.
        return operations(build(spec).eval().to("meta"), *images) / 1e9


def operations(network: nn.Module, *images: Tensor) -> int:
    """The operations of the convolutions in one call."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        network(*images)
    return int(counter.get_total_flops())


def product(device: str, precision: Precision, threads: int) -> Callable[[int], object]:
    """A function of any argument that multiplies two matrices of SIDE, which shows the most that
    the machine can compute. With onnxruntime on the CPU, with PyTorch on the GPU, where fp32 is
    TF32 as in convolutions. Raises SsmaError where a library is not installed, or cannot do it."""
    try:
        return _on_cpu(precision, threads) if device == "cpu" else _on_gpu(precision)
    except ModuleNotFoundError as error:
        raise SsmaError(f"a product of matrices needs the Python package {error.name!r}: pip "
                        f"install {error.name}") from error


def product_gflop(device: str) -> float:
    return 2 * SIDE[device] ** 3 / 1e9


def _on_cpu(precision: Precision, threads: int) -> Callable[[int], object]:
    import onnxruntime
    from onnx import helper, numpy_helper

    operators: dict[str, tuple[str, Any, Any, Any]] = {
        "fp32": ("MatMul", np.float32, np.float32, np.float32),
        "int8": ("MatMulInteger", np.uint8, np.int8, np.int32)}
    if precision not in operators:
        raise SsmaError(f"nothing here runs in {precision} on the CPU")
    operator, left, right, product = operators[precision]
    side = SIDE["cpu"]
    a, b = (np.random.default_rng(0).integers(0, 100, (side, side)).astype(t)
            for t in (left, right))
    name = helper.np_dtype_to_tensor_dtype
    graph = helper.make_graph(
        [helper.make_node(operator, ["a", "b"], ["c"])], "product",
        [helper.make_tensor_value_info("a", name(a.dtype), a.shape)],
        [helper.make_tensor_value_info("c", name(np.dtype(product)), a.shape)],
        [numpy_helper.from_array(b, "b")])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        .SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda _: session.run(None, {"a": a})


def _on_gpu(precision: Precision) -> Callable[[int], object]:
    import torch

    if not torch.cuda.is_available():
        raise SsmaError(f"a product of matrices needs PyTorch with CUDA, and PyTorch "
                        f"{torch.__version__} finds no GPU")
    side = SIDE["gpu"]
    types = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16,
             "int8": torch.int8}
    matrix = torch.ones(side, side, dtype=types[precision], device="cuda")
    product = torch._int_mm if precision == "int8" else torch.mm
    torch.set_float32_matmul_precision("high")  # TF32

    def multiply(_: int) -> None:
        product(matrix, matrix)
        torch.cuda.synchronize()

    return multiply
