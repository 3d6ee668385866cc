"""True labels of a bag's frames as pictures: class ids, named by the stamps of their images."""
from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from pathlib import Path

from ssma_core.bags import rosbag2
from ssma_core.bags.ground_truth import TrueLabel
from ssma_core.errors import SsmaError
from ssma_core.files import read_ids
from ssma_core.pictures import voided


class Masks:
    """The masks of one bag: those that belong to one of its images.

    masks: as of `masks_of`. images_ns: the stamps of the bag's colour images. slop: the most
    seconds that the stamps of mask and image may lie apart. ignore: ids that are read as void_id.
    Raises SsmaError where two masks belong to one image, or none to any.
    """

    def __init__(self, masks: Mapping[int, Path], images_ns: Sequence[int], slop: float,
                 ignore: Sequence[int] = (), void_id: int = 0) -> None:
        self._ignore, self._void_id = ignore, void_id
        self._unmatched = 0
        self._of_image: dict[int, Path] = {}
        self._taken: set[int] = set()
        images = sorted(set(images_ns))
        apart: dict[int, int] = {}
        for stamp_ns, path in masks.items():
            nearest = _nearest(images, stamp_ns)
            apart[stamp_ns] = abs(nearest - stamp_ns)
            if apart[stamp_ns] > round(slop * 1e9):
                self._unmatched += 1
            elif nearest in self._of_image:
                raise SsmaError(f"{self._of_image[nearest]} and {path} are masks of one image, "
                                f"stamped {nearest}: remove one")
            else:
                self._of_image[nearest] = path
        if not self._of_image:
            best = min(apart, key=apart.__getitem__)
            raise SsmaError(
                f"none of the {len(masks)} masks in {masks[best].parent} has the stamp of one of "
                f"the {len(images)} colour images; the nearest is {masks[best].name}, "
                f"{apart[best] / 1e9:g} s from one: are they another drive's? A mask's name is its "
                "image's stamp in nanoseconds, or within --slop of it")

    def near(self, stamp_ns: int, recorded_ns: int) -> TrueLabel | None:
        """The mask of the image with that stamp, as `GroundTruth.near`. Raises SsmaError naming a
        file that cannot be read or is no mask."""
        path = self._of_image.get(stamp_ns)
        if path is None:
            return None
        self._taken.add(stamp_ns)
        labels = voided(read_ids(path), self._ignore, self._void_id)
        return TrueLabel(str(path), stamp_ns, labels)

    def ends(self) -> dict[str, int]:
        """How many masks ended how: "scored"; "unpaired", those of images that were not labelled;
        "unmatched", those of no image."""
        scored = len(self._taken)
        found = {"scored": scored, "unpaired": len(self._of_image) - scored,
                 "unmatched": self._unmatched}
        return {end: count for end, count in found.items() if count}


def masks_of(bag: str | Path, folder: str | Path) -> dict[int, Path]:
    """The pictures whose names are stamps, by stamp, in rising order, in the first of these folders
    that has any: folder/BAG/label, folder/label and the folder itself. BAG is `rosbag2.drive_name`.

    Raises SsmaError where none has any, a folder cannot be read, or two pictures have one stamp.
    """
    places = [Path(folder, rosbag2.drive_name(bag), "label"), Path(folder, "label"), Path(folder)]
    for place in places:
        if found := _stamped(place):
            return found
    raise SsmaError(f"there are no masks of {bag}: none of {', '.join(map(str, places))} has "
                    "pictures whose names are stamps in nanoseconds, such as "
                    "1700000000123456789.png")


def _stamped(folder: Path) -> dict[int, Path]:
    found: dict[int, Path] = {}
    try:
        paths = sorted(folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        raise SsmaError(f"cannot list {folder}: {error.strerror}") from error
    for path in paths:
        if not (path.stem.isascii() and path.stem.isdecimal() and len(path.stem) < 20):
            continue
        if (stamp_ns := int(path.stem)) in found:
            raise SsmaError(f"{found[stamp_ns]} and {path} are masks of one image: remove one")
        found[stamp_ns] = path
    return dict(sorted(found.items()))


def _nearest(stamps: Sequence[int], stamp_ns: int) -> int:
    """stamps: sorted, one at least."""
    place = bisect_left(stamps, stamp_ns)
    return min(stamps[max(0, place - 1):place + 1], key=lambda other: abs(other - stamp_ns))
