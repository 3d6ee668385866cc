"""What the worker does with images that belong together: look, segment, publish."""
from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core import (
    STREAMS,
    ImageMessage,
    Segmentation,
    Segmenter,
    SsmaError,
    Stream,
    overlay,
)
from ssma_ros.node import messages, points
from ssma_ros.node.health.blank import BlankDetector
from ssma_ros.node.health.statistics import Statistics
from ssma_ros.node.messages import UNLABELED
from ssma_ros.node.parameters import Parameters
from ssma_ros.node.warm_up import WarmUp

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Output:
    """A publisher's method, and whether anybody wants what it publishes."""

    publish: Callable[[Any], None]
    wanted: Callable[[], bool]


@dataclass(frozen=True)
class Outputs:
    """Where results go. All are called in the worker's thread, mode and error also in the node's.

    label, confidence, trust, overlay: sensor_msgs/Image; points: sensor_msgs/PointCloud2. The label
      is always made, the others when they are wanted.
    mode: publishes the mode's name. error: logs a line. now_ns: the time by which images are
      stamped, in nanoseconds.
    """

    label: Output
    confidence: Output
    trust: Output
    overlay: Output
    points: Output
    mode: Callable[[str], None]
    error: Callable[[str], None]
    now_ns: Callable[[], int] = time.time_ns


class Arrived(NamedTuple):
    """An image, and when it came (time.monotonic)."""

    image: ImageMessage
    time: float


# A pair, or one image without a partner.
Work = Mapping[Stream, Arrived]


class Labelling:
    """Labels what it gets by both experts, or by one where the other's image shows nothing or does
    not fit.

    given: may be replaced by others between two labels. camera_info: the newest
      sensor_msgs/CameraInfo of the colour image. complain: logs an error, at a calm rate.
    """

    def __init__(self, segmenter: Segmenter, given: Parameters, outputs: Outputs,
                 statistics: Statistics, complain: Callable[[Exception], None]) -> None:
        self.given = given
        self.camera_info: Any = None
        self.names = dict(zip(STREAMS, (m.name for m in segmenter.spec.modalities)))
        self.unimodal = dict(zip(STREAMS, segmenter.unimodal))
        self._segmenter, self._outputs, self._statistics = segmenter, outputs, statistics
        self._complain = complain
        self._blank_detector = BlankDetector({
            stream: modality.encoding in ("jet", "hha")
            for stream, modality in zip(STREAMS, segmenter.spec.modalities)})
        self._warm_up = WarmUp(segmenter, self._wanted)
        self._idle_since = 0.0

    def label(self, work: Work) -> str | None:
        """Publishes what comes of it. Returns what the label was made from, such as "rgb+depth", or
        None when the images show nothing. A second image that does not fit colour is left out,
        which is complained of. Raises SsmaError where nothing can be labelled."""
        try:
            images, used = self._look(work)
            if not used:
                self._statistics.happened("dead")
                return None
            try:
                return self._label_from(used, images, work)
            except SsmaError as error:
                if len(used) == 1 or not self.unimodal["rgb"]:
                    raise
                self._statistics.happened("aux left out")
                self._complain(error)
                return self._label_from(("rgb",), images, work)
        finally:
            self._idle_since = time.monotonic()

    def prepare(self) -> None:
        """Prepares what the next images may need, see `WarmUp`; to be called after `label`. What
        fails is logged."""
        try:
            self._warm_up.prepare_one()
        except Exception as error:
            self._complain(error)
        finally:
            self._idle_since = time.monotonic()

    def _label_from(self, used: Sequence[Stream], images: Mapping[Stream, Array], work: Work
                    ) -> str:
        if len(used) == 2 and self.given.check_frame_id:
            messages.check_registered(work["rgb"].image, work["aux"].image)
        self._publish({stream: images[stream] for stream in used}, work)
        return "+".join(self.names[stream] for stream in used)

    def _look(self, work: Work) -> tuple[dict[Stream, Array], tuple[Stream, ...]]:
        """The images that can be read, and the streams to label from."""
        images, dead = {}, {}
        for stream, arrived in work.items():
            try:
                images[stream] = arrived.image.array()
            except SsmaError as error:
                dead[stream] = str(error)
        self._warm_up.came(images)
        now = max(arrived.time for arrived in work.values())
        dead |= self._blank_detector.dead(images, now, min_valid_depth=self.given.min_valid_depth,
                                   frozen_timeout=self.given.frozen_timeout)
        self._statistics.looked_at(work, dead)
        self._statistics.unchanged = self._blank_detector.unchanged(now)
        alive = tuple(s for s in STREAMS if s in images and s not in dead)
        if len(alive) == len(work) or (alive and self.unimodal[alive[0]]):
            return images, alive
        nothing_better = alive == ("rgb",) and "aux" in images
        return images, STREAMS if nothing_better else ()

    def _publish(self, images: Mapping[Stream, Array], work: Work) -> None:
        """The label first, and at once."""
        arrived = max(each.time for each in work.values())
        begin = max(arrived, self._idle_since)
        image = work["rgb" if "rgb" in images else "aux"].image
        rgb, outputs = images.get("rgb"), self._wanted(images)
        before = time.monotonic()
        found = self._segmenter.segment(rgb, images.get("aux"), **outputs)
        inference = time.monotonic() - before
        self._warm_up.ran(images, outputs)
        header = image.message.header
        labels = self._published(found.labels)
        self._outputs.label.publish(messages.image(labels, "mono8", header))
        published = time.monotonic()
        self._statistics.label_published(
            latency=published - arrived, inference=inference,
            own_share=published - begin - inference,
            age=(self._outputs.now_ns() - image.stamp_ns) / 1e9)
        try:
            self._publish_images(found, rgb, header)
            if self._has_points(images) and found.confidence is not None:
                self._publish_points(images, labels, found.confidence, header)
        except Exception as error:  # the label is out already, and good
            self._complain(error)

    def _wanted(self, streams: Collection[Stream]) -> dict[str, bool]:
        """What is asked for of images of these streams, besides labels."""
        return {"confidence": self._has_points(streams) or self._outputs.confidence.wanted(),
                "trust": self._outputs.trust.wanted()}

    def _has_points(self, streams: Collection[Stream]) -> bool:
        return "aux" in streams and self._outputs.points.wanted()

    def _published(self, labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        if not self.given.void_as_unlabeled:
            return labels
        ids = np.arange(256, dtype=np.uint8)
        ids[self._segmenter.spec.void_id] = UNLABELED
        return cv2.LUT(labels, ids)

    def _publish_images(self, found: Segmentation, rgb: Array | None, header: Any) -> None:
        """rgb: None where the label was made without it; the overlay is then on black."""
        for output, values in ((self._outputs.confidence, found.confidence),
                               (self._outputs.trust, found.trust)):
            if values is not None and output.wanted():
                output.publish(messages.image(values, "mono8", header))
        if self._outputs.overlay.wanted():
            under = np.zeros((*found.labels.shape, 3), np.uint8) if rgb is None else rgb
            picture = overlay(under, found.labels, self._segmenter.spec)
            self._outputs.overlay.publish(messages.image(picture, "bgr8", header))

    def _publish_points(self, images: Mapping[Stream, Array], labels: npt.NDArray[np.uint8],
                        confidence: npt.NDArray[np.uint8], header: Any) -> None:
        if self.camera_info is None:
            raise SsmaError("semantic/points needs the colour camera's CameraInfo, and none has "
                            "come: remap rgb/camera_info (launch argument camera_info_topic)")
        self._outputs.points.publish(points.cloud(
            images["aux"], images.get("rgb"), labels, confidence, self.camera_info, header=header))
