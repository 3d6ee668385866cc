"""What became of the frames of a bag, in words and in a picture."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import recordings
from live import Collected

from ssma_core import ConfusionMatrix, ModelSpec, SsmaError, colourize, contact_sheet
from ssma_core.files import write_picture
from ssma_core.modalities import encode

ROWS = 5


def show(title: str, bag: Path, spec: ModelSpec, collected: Collected, picture: Path) -> None:
    """Prints the figures and writes the contact sheet. Raises SsmaError when what was sent, what
    the node counted and what arrived do not add up."""
    confusion = ConfusionMatrix(spec.classes, spec.void_id)
    labelled = sorted(collected.labels)
    chosen = {labelled[i] for i in np.linspace(0, len(labelled) - 1, ROWS).round().astype(int)}
    rows, sent = [], 0
    for stamp_ns, frame in recordings.read(bag):
        sent += 1
        label = collected.labels.get(stamp_ns)
        if label is not None:
            confusion.add(frame.label, label)
        if stamp_ns in chosen:
            rows.append([frame.rgb, encode(spec.modalities[1], frame.aux, frame.rgb),
                         colourize(collected.labels[stamp_ns], spec),
                         colourize(frame.label, spec)])
    write_picture(picture,
                  contact_sheet(rows, ["colour", spec.modalities[1].name, "label", "truth"]))
    print(_figures(title, sent, collected, confusion, spec.class_names))
    print(f"  picture   {picture}")


def _figures(title: str, sent: int, collected: Collected, confusion: ConfusionMatrix,
             class_names: Sequence[str]) -> str:
    labelled = len(collected.labels)
    dropped = causes_of_drops(sent, collected)
    latency = np.percentile(collected.stamp_to_label_ms(), [50, 99])
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


def causes_of_drops(sent: int, collected: Collected) -> dict[str, int]:
    """How many of the colour frames came to no label, by cause.

    What the node counts (overwritten, failed, unmatched …) is checked against what follows from
    frames sent, received, paired, published and collected. Raises SsmaError where they disagree.
    """
    node = {key: int(value) for key, value in collected.counters.items() if value.isdigit()}
    paired, published = node["paired"], node["published"]
    waiting = (node["rgb received"] + node["aux received"] - 2 * paired
               - sum(node[key] for key in ("unmatched", "late", "duplicate", "refused")))
    causes = {
        "lost before the node": sent - node["rgb received"],
        "without a partner within the slop": node["rgb received"] - paired,
        "overwritten by a newer pair": node["overwritten"],
        "failed": node["failed"],
        "lost after the node": published - len(collected.labels),
    }
    if (sum(causes.values()) != sent - len(collected.labels) or waiting < 0
            or min(causes.values()) < 0):
        raise SsmaError(f"the counts do not add up: {sent} colour frames sent, "
                        f"{len(collected.labels)} labels, {node}")
    return causes
