"""What the worker does with images that belong together: look at them, segment, publish."""
from __future__ import annotations

import copy
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from ssma_core import (
    STREAMS,
    Displacement,
    ImageMessage,
    Registration,
    Segmentation,
    Segmenter,
    SsmaError,
    Stream,
    looked_at,
    overlay,
    registered,
)
from ssma_ros.node import messages, points
from ssma_ros.node.health.blank import BlankDetector
from ssma_ros.node.health.statistics import Statistics
from ssma_ros.node.health.units import DepthUnits, range_m
from ssma_ros.node.messages import UNLABELED
from ssma_ros.node.model import WarmUp
from ssma_ros.node.parameters import Parameters

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Output:
    """A publisher's method, and whether it has a subscriber."""

    publish: Callable[[Any], None]
    wanted: Callable[[], bool]


@dataclass(frozen=True)
class Outputs:
    """Where results go. All are called in the worker's thread, mode and error also in the node's.

    label, confidence, trust, overlay: sensor_msgs/Image; points: sensor_msgs/PointCloud2. The label
      is always made, the others only when they are wanted.
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


class GivenUp(Exception):
    """An answer came that nobody waits for any more."""


class Labelling:
    """Labels images with both experts, or with one if the other's image is blank or does not fit.

    given: may be replaced between two labels. camera_info: the newest sensor_msgs/CameraInfo of the
      colour image. report: logs an error, throttled. registration: of second images that do not fit
      colour; labels made of these alone are in the colour camera's view, too. colour_frame: the
      frame_id of the newest colour image. given_up: another one
      labels now; what comes of this one is not published.
    """

    def __init__(self, segmenter: Segmenter, given: Parameters, outputs: Outputs,
                 statistics: Statistics, report: Callable[[Exception], None], *,
                 registration: Registration | None = None) -> None:
        self.given = given
        self.given_up = False
        self.camera_info: Any = None
        self.names = dict(zip(STREAMS, (m.name for m in segmenter.spec.modalities)))
        self.unimodal = dict(zip(STREAMS, segmenter.unimodal))
        self._segmenter, self._outputs, self._statistics = segmenter, outputs, statistics
        self._report, self._registration = report, registration
        self.colour_frame = ""
        self.displacement = Displacement()
        modalities = dict(zip(STREAMS, segmenter.spec.modalities))
        self._blank_detector = BlankDetector(
            {stream: modality.encoding in ("jet", "hha") and modality.zero_is_nothing
             for stream, modality in modalities.items()},
            [stream for stream, modality in modalities.items() if not modality.zero_is_nothing])
        self._no_measurement = segmenter.spec.modalities[-1].no_measurement
        depth_range = range_m(segmenter.spec.modalities[1])
        self._depth_units = DepthUnits(depth_range) if depth_range else None
        self._warm_up = WarmUp(segmenter, self._wanted)
        self._idle_since = 0.0

    def label(self, work: Work) -> str | None:
        """Publishes the label and the other outputs. Returns what the label was made from, such as
        "rgb+depth", or None when the images are blank. A second image that does not fit colour is
        left out, and that is reported. Raises SsmaError where nothing can be labelled, and
        GivenUp."""
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
                self._report(error)
                return self._label_from(("rgb",), images, work)
        finally:
            self._idle_since = time.monotonic()

    def prepare(self) -> None:
        """Prepares what the next images may need, see `WarmUp`; to be called after `label`. What
        fails is logged."""
        try:
            self._warm_up.prepare_one()
        except Exception as error:
            self._report(error)
        finally:
            self._idle_since = time.monotonic()

    def _label_from(self, used: Sequence[Stream], images: Mapping[Stream, Array], work: Work
                    ) -> str:
        if len(used) == 2 and self.given.check_frame_id and not self._registration:
            messages.check_registered(work["rgb"].image, work["aux"].image)
        self._publish({stream: images[stream] for stream in used}, work)
        return "+".join(self.names[stream] for stream in used)

    def _look(self, work: Work) -> tuple[dict[Stream, Array], tuple[Stream, ...]]:
        """The images that can be read, and the streams to label from."""
        images: dict[Stream, Array] = {}
        blank: dict[Stream, str] = {}
        for stream, arrived in work.items():
            try:
                images[stream] = self._registered(arrived.image, images.get("rgb"))
            except SsmaError as error:
                blank[stream] = str(error)
        self._warm_up.came(images)
        now = max(arrived.time for arrived in work.values())
        blank |= self._blank_detector.blank(
            images, now, min_valid_depth=self.given.min_valid_depth,
            frozen_timeout=self.given.frozen_timeout)
        self._statistics.looked_at(work, blank)
        self._statistics.unchanged = self._blank_detector.unchanged(now)
        if self._depth_units and "aux" in images and "aux" not in blank and images["aux"].ndim == 2:
            self._statistics.wrong_unit = self._depth_units.look(looked_at(images["aux"]), now)
        good = tuple(s for s in STREAMS if s in images and s not in blank)
        if len(good) == len(work) or (good and self.unimodal[good[0]]):
            return images, good
        nothing_better = good == ("rgb",) and "aux" in images
        return images, STREAMS if nothing_better else ()

    def _registered(self, image: ImageMessage, rgb: Array | None) -> Array:
        """The image's pixels, those of the second sensor in the colour camera's view."""
        if image.stream == "rgb":
            self.colour_frame = image.message.header.frame_id
            return image.array()
        return registered(self._registration, rgb, image.array(), self._no_measurement)

    def _header(self, image: ImageMessage) -> Any:
        """Of what is made from an image: its stamp, and the frame in which it is seen."""
        header = image.message.header
        frame_id = self.colour_frame or (self.camera_info and self.camera_info.header.frame_id)
        if image.stream == "rgb" or not self._registration or not frame_id:
            return header
        header = copy.copy(header)
        header.frame_id = frame_id
        return header

    def _publish(self, images: Mapping[Stream, Array], work: Work) -> None:
        """The label first; the other outputs are made after it."""
        arrived = max(each.time for each in work.values())
        begin = max(arrived, self._idle_since)
        image = work["rgb" if "rgb" in images else "aux"].image
        rgb, outputs = images.get("rgb"), self._wanted(images)
        before = time.monotonic()
        found = self._segmenter.segment(rgb, images.get("aux"), **outputs)
        inference = time.monotonic() - before
        if self.given_up:
            raise GivenUp
        self._warm_up.ran(images, outputs)
        header = self._header(image)
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
            if len(images) == 2 and self.displacement.look(images["rgb"], images["aux"], published):
                self._statistics.displaced = self.displacement.pixels()
        except Exception as error:  # the label is published already, and good
            self._report(error)

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
