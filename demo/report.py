"""What happens to the frames of a bag, in words, in a picture and on a page."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import recordings

from ssma_core import (
    BagSource,
    ConfusionMatrix,
    ModelSpec,
    colourize,
    contact_sheet,
    evaluate_bags,
    write_report,
)
from ssma_core.files import write_picture
from ssma_core.modalities import encode
from ssma_ros.replay import live
from ssma_ros.replay.collected import Collected

ROWS = 5
SOURCE = BagSource(rgb=recordings.RGB, aux=recordings.AUX, label=recordings.LABEL)

LabelsByStamp = dict[int, npt.NDArray[Any]]  # H×W class ids, by the stamp of their colour image


def through_node(bag: Path, model: Path, logs: Path) -> tuple[Collected, LabelsByStamp]:
    """Replays the bag through the node. Arguments and errors as of `live.replay_through_node`."""
    labels: LabelsByStamp = {}

    def take(stamp_ns: int, bag_time_ns: int, label: npt.NDArray[Any]) -> None:
        labels[stamp_ns] = label

    return live.replay_through_node(bag, model, SOURCE, logs, take=take), labels


def write_page(bag: Path, model: Path, page: Path) -> None:
    """The report of evaluate_bag, without DDS."""
    write_report(page, evaluate_bags([str(bag)], model, SOURCE))
    print(f"  report    {page}")


def show(title: str, bag: Path, spec: ModelSpec, collected: Collected, *, labels: LabelsByStamp,
         picture: Path) -> None:
    """Prints the figures and writes the contact sheet. Raises SsmaError when what was sent, what
    the node counted and what arrived do not add up."""
    confusion = ConfusionMatrix(spec.classes, spec.void_id)
    labelled = sorted(labels)
    chosen = {labelled[i] for i in np.linspace(0, len(labelled) - 1, ROWS).round().astype(int)}
    rows, sent = [], 0
    for stamp_ns, frame in recordings.read(bag):
        sent += 1
        label = labels.get(stamp_ns)
        if label is not None:
            confusion.add(frame.label, label)
        if stamp_ns in chosen:
            rows.append([frame.rgb, encode(spec.modalities[1], frame.aux, frame.rgb),
                         colourize(labels[stamp_ns], spec),
                         colourize(frame.label, spec)])
    write_picture(picture,
                  contact_sheet(rows, ["colour", spec.modalities[1].name, "label", "ground truth"]))
    print(_figures(title, sent, collected, confusion, spec.class_names))
    print(f"  picture   {picture}")


def _figures(title: str, sent: int, collected: Collected, confusion: ConfusionMatrix,
             class_names: Sequence[str]) -> str:
    labelled = len(collected.arrivals_ns)
    dropped = collected.causes_of_drops(sent)
    latency = np.percentile([*map(collected.latency_ms, collected.arrivals_ns)], [50, 99])
    node = collected.counters
    return "\n".join([
        "", title,
        f"  sent      {sent} colour frames",
        f"  paired    {node['paired']}",
        f"  labelled  {labelled}",
        f"  dropped   {sent - labelled}: "
        + ", ".join(f"{count} {cause}" for cause, count in dropped.items()),
        f"  latency   stamp to label p50 {latency[0]:.1f} ms, p99 {latency[1]:.1f} ms",
        "            (from /clock showing a colour frame's stamp to its label's arrival here, the "
        f"{recordings.DELAY_NS / 1e6:g} ms from stamp to recording included;",
        f"            in the node, arrival to publish p50 {node['latency p50 ms']} ms, p99 "
        f"{node['latency p99 ms']} ms, of which its own share p50 {node['own share p50 ms']} ms)",
        f"  mIoU      {100 * confusion.mean_iou():.1f} % on the labelled frames",
        *(f"            {line}" for line in confusion.table(class_names).splitlines()),
    ])
