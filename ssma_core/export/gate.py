"""The parity gate: a model file replaces another only where it gives the same labels."""
from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core.bags.pairing import DEFAULT_PAIRING, PairingSettings
from ssma_core.errors import SsmaError
from ssma_core.evaluation.metrics import ConfusionMatrix
from ssma_core.evaluation.parity import LEAST_AGREEMENT, ModelFile, ParityResult, compare_models
from ssma_core.evaluation.report.words import columns
from ssma_core.files import own_folder, write_picture, write_text
from ssma_core.modalities import network_images
from ssma_core.pictures import colourize, contact_sheet, legend

if TYPE_CHECKING:
    from ssma_core.export.layers import Layer

LARGEST = 10  # layers in the table
_FRINGE = np.ones((5, 5), np.uint8)  # a pixel that differs is drawn this large, to be visible


def gate(a: Path, b: Path, data: Path, topics: Sequence[str] = (),
         pairing: PairingSettings = DEFAULT_PAIRING, *,
         output: Path | None = None, built_from: Path | None = None) -> str:
    """The figures as text, where `b` can replace `a`.

    data, topics, pairing: as `open_inputs` takes them.
    output: a folder for parity.json and worst.png, written either way; made where it is missing.
    built_from: the ONNX file behind `b`, where `b` is an engine.
    Raises SsmaError with the figures where `b` cannot, and with the layer in which the two begin
    to differ, if that can be found; and as `compare_models` does.
    """
    with own_folder(output) if output else nullcontext():  # before the work, not after it
        return _judged(compare_models(a, b, data, topics, pairing), output, built_from)


def _judged(comparison: ParityResult, output: Path | None, built_from: Path | None) -> str:
    layers, parting = ([], "") if comparison.holds else _parting(comparison, built_from)
    a, b = comparison.a.file, comparison.b.file
    found = (f"{b} gives the labels of {a}: {agreement_line(comparison)}" if comparison.holds else
             f"{b} does not give the labels of {a}: {agreement_line(comparison)}.\n{parting}")
    if output:
        try:
            write_text(output / "parity.json",
                       json.dumps(_plain(comparison, layers), indent=1) + "\n")
            write_picture(output / "worst.png", worst_sheet(comparison))
        except SsmaError as error:  # such as a full disk, which does not lose the figures
            raise SsmaError(f"{found}\n{error}") from error
    if not comparison.holds:
        raise SsmaError(found)
    return found


def agreement_line(comparison: ParityResult) -> str:
    """The figures and their bounds, one line."""
    parity = comparison.parity
    words = (f"over {parity.frames} frames they agree on {100 * parity.agreement:.3f} % of the "
             f"pixels (at least {100 * LEAST_AGREEMENT:g} %)")
    if parity.points is None:
        return f"{words}; no frame has a label, so the mIoU is left out"
    labelled = "" if parity.labelled == parity.frames else f" on {parity.labelled} with labels"
    return (f"{words}, mIoU {100 * parity.a.mean_iou():.2f} and {100 * parity.b.mean_iou():.2f} "
            f"%{labelled}, {parity.points:.3f} points apart (at most {comparison.most_points:g})")


def worst_sheet(comparison: ParityResult) -> npt.NDArray[np.uint8]:
    """The frames that agree least, in rows: image, both labels, and where they differ in white."""
    spec, worst = comparison.spec, comparison.parity.worst
    rows = [[network_images(spec, *frame.given.arrays)[0], colourize(frame.a, spec),
             colourize(frame.b, spec),
             cv2.dilate(np.where(frame.a == frame.b, 0, 255).astype(np.uint8), _FRINGE)]
            for frame in worst]
    models = [f"{letter}: {model.file.name} ({model.precision})"
              for letter, model in (("A", comparison.a), ("B", comparison.b))]
    sheet = contact_sheet(
        rows, [spec.modalities[0].name, *models, "differ"],
        row_titles=[f"{frame.given.name}   {100 * frame.agreement:.2f} % agree" for frame in worst])
    return np.vstack([sheet, legend(spec, sheet.shape[1])])


def _parting(comparison: ParityResult, built_from: Path | None) -> tuple[list[Layer], str]:
    """On the frame that agrees least: the layers, and as text where the two begin to differ; or no
    layers and the reason."""
    frame = comparison.parity.worst[0].given
    try:
        from ssma_core.export.layers import compare_layers, first_apart, usual

        with tempfile.TemporaryDirectory() as folder:
            a = _as_onnx(comparison.a.file, Path(folder) / "a.onnx")
            b = _as_onnx(built_from or comparison.b.file, Path(folder) / "b.onnx")
            layers = compare_layers(a, b, frame.arrays)
    except SsmaError as error:
        return [], f"In which layer the difference begins is not known: {error}"
    except ModuleNotFoundError as error:
        return [], ("In which layer the difference begins is not known: that needs the Python "
                    f"package {error.name!r}, which is not installed: pip install {error.name}")
    first = first_apart(layers)
    if not first.own:
        return layers, ("In ONNX no layer differs: the difference is before or after the network, "
                        "or in the libraries.")
    largest = sorted((layer for layer in layers if layer.own), key=lambda layer: layer.own,
                     reverse=True)[:LARGEST]
    where = f"on {frame.name}"
    if built_from:
        where += f"; in {built_from.name}, since an engine's own layers cannot be looked into"
    return layers, "\n".join([
        f"The first difference is in {first.name}: by itself it is {_percent(first.own)} % off, "
        f"and a usual layer {_percent(usual(layers))} % ({where}). The largest:",
        *columns([("layer", "by itself %", "with those before %"), *(
            (layer.name, _percent(layer.own), _percent(layer.whole)) for layer in largest)])])


def _as_onnx(file: Path, temporary: Path) -> Path:
    """The file, or what a checkpoint is in ONNX. Raises SsmaError for an engine."""
    if file.suffix == ".onnx":
        return file
    if file.suffix == ".engine":
        raise SsmaError(f"{file} is an engine, whose layers cannot be looked into; compare the "
                        ".onnx file that it was built from")
    from ssma_core.export.onnx import export
    from ssma_core.model_files import checkpoint

    export(*checkpoint.load(file), temporary)
    return temporary


def _percent(share: float) -> str:
    return f"{100 * share:.3g}"


def _plain(comparison: ParityResult, layers: Sequence[Layer]) -> dict[str, Any]:
    """For JSON; shares are 0–1, points percent."""
    parity = comparison.parity

    def model(which: ModelFile, confusion: ConfusionMatrix) -> dict[str, Any]:
        plain = {"file": str(which.file), "backend": which.backend, "precision": which.precision}
        if parity.labelled:
            figures = confusion.to_dict(comparison.spec.class_names)
            plain |= {key: figures[key] for key in ("miou", "iou")}
        return plain

    return {
        "a": model(comparison.a, parity.a), "b": model(comparison.b, parity.b),
        "data": str(comparison.data), "frames": parity.frames, "labelled": parity.labelled,
        "holds": comparison.holds,
        "agreement": parity.agreement, "least_agreement": LEAST_AGREEMENT,
        "points": parity.points, "most_points": comparison.most_points,
        "worst": [{"frame": frame.given.name, "agreement": frame.agreement}
                  for frame in parity.worst],
        "layers": [{key: value if isinstance(value, str) or isfinite(value) else None
                    for key, value in asdict(layer).items()} for layer in layers],
    }
