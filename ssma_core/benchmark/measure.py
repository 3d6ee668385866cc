"""The whole benchmark: every model in every way to run it."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache

import cv2

from ssma_core.benchmark.check import Checked, checked
from ssma_core.benchmark.clock import Call, Latency, take_turns
from ssma_core.benchmark.files import Setting
from ssma_core.benchmark.frames import camera_frames
from ssma_core.benchmark.models import Model, models
from ssma_core.benchmark.report import BenchmarkReport, Peak, Row, Table, Together, machine
from ssma_core.benchmark.ways import Device, LeftOut, Way, ways
from ssma_core.benchmark.work import gflop, product, product_gflop
from ssma_core.errors import SsmaError
from ssma_core.model_files.exported import Precision, frame_format

Latencies = dict[str, Latency]  # by the kind of call, see Checked.calls
Kind = tuple[Device, Precision]


@dataclass(frozen=True)
class Timed:
    """A model's figures. products: of two large matrices, timed in the same turns."""

    ways: list[tuple[Checked, Latencies]]
    products: dict[Kind, Latency]
    left_out: list[LeftOut]


def benchmark(given: Sequence[str], setting: Setting, frames: int) -> BenchmarkReport:
    """given: as for `models`. frames: how many are timed in each way."""
    cv2.setNumThreads(setting.threads)
    timed = [(model, time_model(model, setting, frames))
             for model in models(given, setting.folder)]
    libraries = [each.way.library for _, found in timed for each, _ in found.ways]
    left_out = [each for _, found in timed for each in found.left_out]
    return BenchmarkReport(machine(setting.threads, libraries), setting.camera, frames,
                  tuple(table(model, found) for model, found in timed),
                  tuple(dict.fromkeys(left_out)))


def time_model(model: Model, setting: Setting, frames: int) -> Timed:
    """Only what gives the right labels is timed."""
    given = camera_frames(model.spec, setting.camera)
    found = list(ways(model, frame_format(model.spec, given[0]), setting))
    left_out = [each for each in found if isinstance(each, LeftOut)]
    with ExitStack() as stack:
        opened = list(checked([way for way in found if isinstance(way, Way)], given, stack))
        left_out += [each for each in opened if isinstance(each, LeftOut)]
        right = [each for each in opened if isinstance(each, Checked)]
        products, unknown = _products({(e.way.device, e.way.precision) for e in right},
                                      setting.threads)
        latencies = take_turns(
            {(place, kind): call for place, each in enumerate(right)
             for kind, call in each.calls.items()} | products, frames)
    return Timed(
        [(each, {kind: latencies[place, kind] for kind in each.calls})
         for place, each in enumerate(right)],
        {kind: latencies[kind] for kind in products}, left_out + unknown)


def _products(kinds: Iterable[Kind], threads: int) -> tuple[dict[Kind, Call], list[LeftOut]]:
    products: dict[Kind, Call] = {}
    unknown = []
    for device, precision in sorted(kinds):
        try:
            products[device, precision] = Call(product(device, precision, threads), frames=2)
        except SsmaError as error:
            unknown.append(LeftOut(f"the peak of the {device.upper()} in {precision}", str(error)))
    return products, unknown


def table(model: Model, timed: Timed) -> Table:
    peaks = {kind: 1000 * product_gflop(kind[0]) / latency.p50
             for kind, latency in timed.products.items()}
    rows = [_row(each, latencies, model, timed.ways[0][1]["whole"].p50,
                 peaks.get((each.way.device, each.way.precision)))
            for each, latencies in timed.ways]
    spec = model.spec
    return Table(model.name, spec.architecture, spec.size, spec.input_size, model.trained,
                 tuple(Peak(*kind, gflops) for kind, gflops in peaks.items()), tuple(rows))


def _row(checked: Checked, latencies: Latencies, model: Model, first: float,
         most: float | None) -> Row:
    """first: p50 of the table's first row. most: GFLOP/s."""
    way, whole = checked.way, latencies["whole"]
    call, together = checked.calls.get("together"), latencies.get("together")
    work = _gflop(way.model)
    return Row(
        way=way.name if way.model is model else f"AdapNet++ alone: {way.name}",
        library=way.library, device=way.device, precision=way.precision, whole=whole,
        network=latencies.get("network"), frames_per_second=1000 / whole.p50,
        together=None if call is None or together is None or way.together is None else Together(
            call.frames, way.together, 1000 * call.frames / together.p50),
        host_bytes=checked.memory.host, gpu_bytes=checked.memory.gpu, gflop=work,
        share_of_peak=None if work is None or most is None else 1000 * work / whole.p50 / most,
        agreement=checked.agreement, times_as_fast=first / whole.p50)


@cache
def _gflop(model: Model) -> float | None:
    try:
        return gflop(model.spec)
    except ModuleNotFoundError:
        return None
