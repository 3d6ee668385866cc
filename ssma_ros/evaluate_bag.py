"""`evaluate_bag`: a rosbag2 through the node's own functions, without DDS and with nothing dropped.

What the node does with a message (check, pair by stamp, segment) happens here in one loop, so that
the figures are the model's and do not depend on how fast this machine is.
"""
from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from ssma_core import ConfusionMatrix, Segmenter, SsmaError, bags, image_messages, written_whole
from ssma_ros import messages
from ssma_ros.pairing import Pair, Pairing, Stream
from ssma_ros.parameters import Parameters

LABELS_KEPT = 100  # true and predicted label images that wait for each other


@dataclass(frozen=True)
class Topics:
    """Where in the bag the colour images, the second sensor's images and the true labels are."""

    rgb: str
    aux: str
    label: str


@dataclass
class Evaluation:
    """What came out of a bag.

    pairing: its counts say how the frames of both streams ended.
    latencies_ms: one a pair, the whole call of Segmenter.segment, in the order of the frames.
    scored: how many of the pairs had a true label.
    """

    pairing: Pairing[messages.Frame]
    confusion: ConfusionMatrix
    latencies_ms: list[float] = field(default_factory=list)
    scored: int = 0

    def latency_ms(self, percentile: float) -> float:
        return float(np.percentile(self.latencies_ms, percentile))


def evaluate(recorded: Iterable[bags.Recorded], topics: Topics, segmenter: Segmenter,
             pairing: Pairing[messages.Frame]) -> Evaluation:
    """Segments every pair and scores it against the true label of the colour image's stamp, or
    the nearest within the pairing's slop.

    Raises SsmaError for the first image that cannot be used, for images whose sizes differ, for
    labels that are no class of the model, and when not a single pair could be scored.
    """
    spec = segmenter.spec
    result = Evaluation(pairing, ConfusionMatrix(spec.classes, spec.void_id))
    labels: Pairing[npt.NDArray[Any]] = Pairing(pairing.slop, LABELS_KEPT)
    for message in recorded:
        with _about(message):
            if message.topic == topics.label:
                truth = _label_frame(message)
                _score(result, labels.add("aux", truth.stamp_ns, truth.image()))
            else:
                _segment(result, segmenter, _pairs(message, topics, pairing), labels)
    apart = pairing.apart()
    _segment(result, segmenter, pairing.flush(), labels)
    _score(result, labels.flush())
    _check_scored(result, topics, apart)
    return result


def _pairs(message: bags.Recorded, topics: Topics,
           pairing: Pairing[messages.Frame]) -> list[Pair[messages.Frame]]:
    stream: Stream = "rgb" if message.topic == topics.rgb else "aux"
    frame = messages.frame(bags.decode(message), stream, message.topic)
    return pairing.add(stream, frame.stamp_ns, frame)


def _segment(result: Evaluation, segmenter: Segmenter, pairs: Iterable[Pair[messages.Frame]],
             labels: Pairing[npt.NDArray[Any]]) -> None:
    for pair in pairs:
        images = pair.rgb.image(), pair.aux.image()
        if not result.latencies_ms:
            segmenter.segment(*images)  # warm up, as the node does before its first frame
        begin = time.perf_counter()
        prediction = segmenter.segment(*images).labels
        result.latencies_ms.append(1000 * (time.perf_counter() - begin))
        _score(result, labels.add("rgb", pair.rgb_stamp_ns, prediction))


def _score(result: Evaluation, labels: Iterable[Pair[npt.NDArray[Any]]]) -> None:
    for both in labels:
        result.confusion.add(truth=both.aux, prediction=both.rgb)
        result.scored += 1


def _label_frame(message: bags.Recorded) -> messages.Frame:
    frame = messages.frame(bags.decode(message), "aux", message.topic)
    encodings = image_messages.LABEL_ENCODINGS
    if frame.message.encoding not in encodings:
        raise SsmaError(f"labels are images of class ids, {' or '.join(encodings)}; these "
                        f"have the encoding {frame.message.encoding!r}")
    return frame


def _check_scored(result: Evaluation, topics: Topics, apart: float | None) -> None:
    counts, slop = result.pairing.counts, result.pairing.slop
    if not result.latencies_ms:
        raise SsmaError(
            f"no image on {topics.rgb} has a partner on {topics.aux} within {slop:g} s "
            f"({sum(counts['rgb'].values())} and {sum(counts['aux'].values())} images"
            + (f", their nearest stamps {apart:g} s apart" if apart is not None else "")
            + "): are they of one clock? Then a --slop of that would pair them, or an --aux-delay "
            "where the second sensor's stamps are always as late")
    if not result.scored:
        raise SsmaError(f"none of the {len(result.latencies_ms)} pairs has a label on "
                        f"{topics.label} within {slop:g} s of the stamp on {topics.rgb}: labels "
                        "must carry the stamp of their colour image")


@contextmanager
def _about(message: bags.Recorded) -> Iterator[None]:
    """Says at which message an error came up."""
    try:
        yield
    except SsmaError as error:
        raise SsmaError(f"at the message on {message.topic} recorded at "
                        f"{message.time_ns / 1e9:.3f}: {error}") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """The console script. Returns the exit status: 0, or 1 after a message on standard error."""
    options = _parser().parse_args(arguments)
    try:
        _evaluate_bag(options)
    except SsmaError as error:
        print(f"evaluate_bag: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    defaults = Parameters()
    parser = argparse.ArgumentParser(
        prog="evaluate_bag", description="Segments every frame of a bag, without DDS and with "
        "nothing dropped, and compares with the true labels in it.")
    parser.add_argument("bag", help="rosbag2 folder, .mcap or .db3 file")
    parser.add_argument("--model", required=True, help="model file (.onnx or .safetensors)")
    parser.add_argument("--rgb", required=True, metavar="TOPIC", help="colour images")
    parser.add_argument("--aux", required=True, metavar="TOPIC", help="the second sensor's images")
    parser.add_argument("--label", required=True, metavar="TOPIC", help="true labels, mono8")
    parser.add_argument("--slop", type=float, default=defaults.slop, metavar="SECONDS",
                        help="how far the stamps of a pair may lie apart (default: %(default)g)")
    parser.add_argument("--queue-size", type=int, default=defaults.queue_size, metavar="N",
                        help="how many frames may wait for a partner (default: %(default)d)")
    parser.add_argument("--aux-delay", type=float, default=defaults.aux_delay, metavar="SECONDS",
                        help="how late the second sensor's stamps are (default: %(default)g)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")
    return parser


def _evaluate_bag(options: argparse.Namespace) -> None:
    topics = Topics(options.rgb, options.aux, options.label)
    wanted = [topics.rgb, topics.aux, topics.label]
    bags.check_topics(options.bag, wanted)
    total = sum(bags.topics(options.bag)[name].messages for name in wanted)
    with closing(Segmenter(options.model)) as segmenter:
        recorded = tqdm(bags.messages(options.bag, wanted), total=total, desc="evaluate",
                        unit="message", disable=None)
        pairing: Pairing[messages.Frame] = Pairing(
            options.slop, options.queue_size, options.aux_delay)
        result = evaluate(recorded, topics, segmenter, pairing)
        names = segmenter.spec.class_names
        about = {"bag": str(options.bag), "model": str(options.model),
                 "backend": segmenter.backend}
    figures = {**about, **_figures(result), **result.confusion.to_dict(names)}
    print(_table(figures, result.confusion.table(names)))
    if options.json:
        with written_whole(options.json) as temporary:
            temporary.write_text(json.dumps(figures, indent=2) + "\n")


def _figures(result: Evaluation) -> dict[str, Any]:
    return {
        "frames": {stream: dict(counts) for stream, counts in result.pairing.counts.items()},
        "clock_jumps": result.pairing.clock_jumps,
        "pairs": len(result.latencies_ms),
        "scored": result.scored,
        "latency_ms": {"p50": result.latency_ms(50), "p99": result.latency_ms(99)},
    }


def _table(figures: dict[str, Any], classes: str) -> str:
    latency = figures["latency_ms"]
    ends = {stream: ", ".join(f"{n} {cause}" for cause, n in counts.items())
            for stream, counts in figures["frames"].items()}
    return "\n".join([
        f"bag      {figures['bag']}",
        f"model    {figures['model']} ({figures['backend']})",
        f"colour   {ends['rgb']}",
        f"second   {ends['aux']}",
        f"scored   {figures['scored']} of {figures['pairs']} pairs",
        f"segment  p50 {latency['p50']:.1f} ms, p99 {latency['p99']:.1f} ms",
        "",
        classes,
    ])


if __name__ == "__main__":
    sys.exit(main())
