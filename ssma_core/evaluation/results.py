"""What an evaluation found, of a data set or of bags: drive by drive and frame by frame."""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from ssma_core.bags.pairing import PairingSettings
from ssma_core.errors import SsmaError
from ssma_core.evaluation import boundary
from ssma_core.evaluation.boundary import Boundaries
from ssma_core.evaluation.inference import Options
from ssma_core.evaluation.metrics import ConfusionMatrix, frame_scores
from ssma_core.files import short_names
from ssma_core.spec import ModelSpec

Group = Literal["drive", "condition"]
GROUPS: tuple[Group, ...] = get_args(Group)
Mode = Literal["fused", "colour only", "second only", "none"]
Counts = npt.NDArray[np.int64]  # frames×N×N, each frame's as in `ConfusionMatrix`

MOST_PIXELS = 10**12  # of a frame; the sums of any data set then fit into 64 bits


@dataclass(frozen=True)
class DatasetSource:
    """Frames of a data set. configuration: the file's name with the values set on the command line,
    such as another fold. split: of the configuration's data."""

    configuration: str
    split: str
    options: Options


@dataclass(frozen=True, kw_only=True)
class BagSource(PairingSettings):
    """Frames of bags: the topics, and how their images are paired.

    label, truth: where the true labels are: on a topic, or in a folder of masks, see
      `ssma_core.datasets.masks`. The other one is None, or SsmaError is raised.
    ignore: ids of labels that mean "not labelled". label_groups: the file of groups to which the
      model's classes are joined. registration: the file that says how the second sensor's images
      fit colour; None: pixel by pixel.
    """

    rgb: str
    aux: str
    label: str | None = None
    truth: str | None = None
    ignore: tuple[int, ...] = ()
    label_groups: str | None = None
    registration: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if bool(self.label) == bool(self.truth):
            raise SsmaError("true labels are on a topic (label) or in a folder (truth), got "
                            f"{self.label!r} and {self.truth!r}")

    def __str__(self) -> str:
        return f"{self.rgb} and {self.aux} within {self.slop:g} s"


@dataclass(frozen=True)
class TimelineEvent:
    """kind: of a drop its cause, such as "colour unmatched"; of a mode the `Mode` that begins."""

    stamp_ns: int
    kind: str


@dataclass(frozen=True)
class Timeline:
    """What happened when, by the headers' stamps.

    drops: one for each frame that got no label. modes: each lasts until the next; empty where they
    are not known.
    """

    begin_ns: int
    end_ns: int
    drops: tuple[TimelineEvent, ...] = ()
    modes: tuple[TimelineEvent, ...] = ()

    @property
    def seconds(self) -> float:
        return (self.end_ns - self.begin_ns) / 1e9


@dataclass(frozen=True)
class FrameResult:
    """A frame that got a label. Fields are None where they are not known.

    name, condition: as in `Sample`. stamp_ns: of a bag's frame, its colour image's. latency_ms:
    without DDS the call of Segmenter.segment, with it from the moment the bag's clock shows the
    stamp to the label's arrival. scored: whether there is a true label for it.
    """

    name: str | None = None
    condition: str | None = None
    stamp_ns: int | None = None
    latency_ms: float | None = None
    scored: bool = True

    def __str__(self) -> str:
        """How messages name it: as "000012.png", or by its stamp in seconds."""
        return self.name or f"at {(self.stamp_ns or 0) / 1e9:.3f}"


@dataclass(frozen=True, eq=False)
class DriveResult:
    """Frames that belong together: a data set's drive, or a bag that was gone through once.

    name: as `Sample.drive`; of a bag its path. counts: int64 of the scored frames, in their order.
    boundaries: theirs as well; None in files of an earlier version.
    Of bags only: timeline; ends, how many frames of a stream ("rgb", "aux") ended how; and
    clock_jumps, how often the stamps went back.
    Raises SsmaError, naming the frame, where counts are negative or above MOST_PIXELS, where times
    cannot be, or more boundary pixels lie within a distance than within a greater one.
    """

    name: str
    frames: tuple[FrameResult, ...]
    counts: Counts
    timeline: Timeline | None = None
    ends: dict[str, dict[str, int]] = field(default_factory=dict)
    clock_jumps: int = 0
    boundaries: Boundaries | None = None

    def __post_init__(self) -> None:
        counts, scored = self.counts, self.scored
        if any(abs(time) > 2**32 * 10**9 for time in self._times_ns()):  # ROS: 32 bits of s
            raise SsmaError(f"{self.name} has a stamp beyond 32 bits of seconds, or such a latency")
        if (counts.dtype != np.int64 or counts.ndim != 3 or len(counts) != len(scored)
                or counts.shape[1] != counts.shape[2]):
            raise SsmaError(f"the counts of {self.name} must be int64 and {len(scored)}×N×N, got "
                            f"{counts.dtype} and {'×'.join(map(str, counts.shape))}")
        if counts.size and (counts.min() < 0 or counts.max() > MOST_PIXELS):
            wrong = ((counts < 0) | (counts > MOST_PIXELS)).any(axis=(1, 2))
            raise SsmaError(f"the counts of {scored[int(wrong.argmax())]} are not all from 0 to "
                            f"{MOST_PIXELS:,}")
        if self.boundaries is not None:
            boundary.check(self.boundaries, self.counts.shape[1], self.name, scored, MOST_PIXELS)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DriveResult):
            return NotImplemented
        pairs = [(getattr(self, each.name), getattr(other, each.name)) for each in fields(self)]
        return all(np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b
                   for a, b in pairs)

    __hash__ = None  # type: ignore[assignment]  # it holds an array

    def _times_ns(self) -> Iterator[float]:
        for frame in self.frames:
            yield from (frame.stamp_ns or 0, 1e6 * (frame.latency_ms or 0))
        if line := self.timeline:
            yield from (event.stamp_ns for event in (*line.drops, *line.modes))
            yield from (line.begin_ns, line.end_ns)

    @cached_property
    def scored(self) -> list[FrameResult]:
        return [frame for frame in self.frames if frame.scored]

    def scores(self, void_id: int) -> npt.NDArray[np.float64]:
        """`ConfusionMatrix.frame_score` of the scored frames, float64[F]."""
        return frame_scores(self.counts, void_id)


@dataclass(frozen=True)
class Result:
    """The result of one evaluation. The last four fields are None if they are not known.

    model: the model's file.
    spec: the model's.
    source: the data set's or the bags' settings.
    versions: the libraries that computed it, "name version" each.
    drives: all that was evaluated; bags without DDS.
    live: the same bags over DDS, if that was wanted.
    backend: what the model ran on.
    precision: such as "fp16".
    machine: its processors, in words.
    processes: how many bags were segmented at once, each on its share of the CPU.
    Raises SsmaError where there is no frame, counts do not fit the spec's classes, frames lack what
    identifies them, or two have one name.
    """

    model: str
    spec: ModelSpec
    source: DatasetSource | BagSource
    versions: tuple[str, ...]
    drives: tuple[DriveResult, ...]
    live: tuple[DriveResult, ...] = ()
    backend: str | None = None
    precision: str | None = None
    machine: str | None = None
    processes: int | None = None

    def __post_init__(self) -> None:
        if not any(drive.frames for drive in self.drives):
            raise SsmaError("there is no frame")
        classes = self.spec.classes
        for drive in (*self.drives, *self.live):
            if drive.counts.shape[1:] != (classes, classes):
                raise SsmaError(f"the counts of {drive.name} are not {classes} by {classes}, as "
                                "the classes are")
        if self.of_bags:
            self._check_bags()
        else:
            self._check_frames([frame for drive in self.drives for frame in drive.frames])

    def _check_bags(self) -> None:
        for drive in (*self.drives, *self.live):
            if drive.timeline is None:
                raise SsmaError(f"the bag {drive.name} has no timeline")
            if any(frame.stamp_ns is None or frame.latency_ms is None for frame in drive.frames):
                raise SsmaError(f"a frame of the bag {drive.name} lacks stamp_ns or latency_ms")
        if len({drive.name for drive in self.drives}) < len(self.drives):
            raise SsmaError("two bags have the same path")

    def _check_frames(self, frames: Sequence[FrameResult]) -> None:
        names = [frame.name for frame in frames]
        if None in names:
            raise SsmaError(f"frame {names.index(None)} lacks name")
        for frame in frames:
            if not frame.scored:
                raise SsmaError(f"the frame {frame.name} lacks counts")
        name, times = Counter(names).most_common(1)[0]
        if times > 1:
            raise SsmaError(f"two frames have the name {name}")

    @property
    def of_bags(self) -> bool:
        return isinstance(self.source, BagSource)

    @property
    def settings(self) -> Options | BagSource:
        """What the labels depend on besides the model and the frames."""
        return self.source.options if isinstance(self.source, DatasetSource) else self.source

    @property
    def model_name(self) -> str:
        return short_names([self.model])[0]

    @cached_property
    def names(self) -> list[str]:
        """The drives' names. Bags have the shortest names that differ."""
        names = [drive.name for drive in self.drives]
        return short_names(names) if self.of_bags else names

    @cached_property
    def scored(self) -> list[tuple[str, FrameResult]]:
        """All scored frames, each with its drive's name of `names`."""
        return [(name, frame) for name, drive in zip(self.names, self.drives)
                for frame in drive.scored]

    @cached_property
    def counts(self) -> Counts:
        """Of all scored frames, F×N×N."""
        return np.concatenate([drive.counts for drive in self.drives])

    @cached_property
    def boundaries(self) -> Boundaries | None:
        """Of all scored frames, F×N×2×4; None where a drive's are not known."""
        return joined_boundaries(self.drives)

    def confusion_of(self, chosen: Sequence[int] | npt.NDArray[np.intp]) -> ConfusionMatrix:
        """Of the scored frames with these numbers, as of `groups`."""
        return ConfusionMatrix.summed(self.counts[chosen], self.spec.void_id)

    def boundaries_of(self, chosen: Sequence[int] | npt.NDArray[np.intp]) -> Boundaries | None:
        """As `confusion_of`; None where they are not known."""
        return None if self.boundaries is None else self.boundaries[chosen]

    def total(self) -> ConfusionMatrix:
        return ConfusionMatrix.summed(self.counts, self.spec.void_id)

    def groups(self, by: Group) -> dict[str, npt.NDArray[np.intp]]:
        """The scored frames' numbers by drive or condition, in the frames' order; frames without a
        condition are left out."""
        names = [drive if by == "drive" else frame.condition for drive, frame in self.scored]
        return {name: np.array([i for i, other in enumerate(names) if other == name])
                for name in dict.fromkeys(names) if name is not None}

    def frame_scores(self) -> npt.NDArray[np.float64]:
        """`ConfusionMatrix.frame_score` of every scored frame, float64[F]."""
        return frame_scores(self.counts, self.spec.void_id)


def joined_boundaries(drives: Iterable[DriveResult]) -> Boundaries | None:
    """Those of all drives, F×N×2×4; None where there is no scored frame, or one's are not known."""
    found = [drive.boundaries for drive in drives if drive.scored]
    known = [each for each in found if each is not None]
    return np.concatenate(known) if known and len(known) == len(found) else None
