"""Bags to a folder of drives that can be labelled."""
from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import cv2
from tqdm import tqdm

from ssma_core import processes
from ssma_core.bags.pairing import Pair
from ssma_core.bags.rosbag2 import Recorded
from ssma_core.errors import SsmaError
from ssma_core.extraction import drives, listing, pictures
from ssma_core.extraction.choice import choose, without_blurred
from ssma_core.extraction.drives import Drive, Source
from ssma_core.extraction.frames import Frame, pairs, spaced
from ssma_core.extraction.listing import Row
from ssma_core.extraction.pictures import Colour
from ssma_core.extraction.scores import ScoreJob, check_model, score
from ssma_core.files import own_folder
from ssma_core.processes import TaskFunction

Outcome = TypeVar("Outcome")
Job = TypeVar("Job", "ScoreJob", "WriteJob")


@dataclass(frozen=True)
class Wanted:
    """Which frames. every: seconds between two of a drive, or between two candidates; 0 takes all.
    select: how many of the candidates of all drives, those worth labelling; None takes all. model:
    whose doubts count; None asks none."""

    every: float = 0.0
    select: int | None = None
    model: Path | None = None


class Extracted(NamedTuple):
    """new: how many frames were written; there: how many had been before. notes: what to know of
    them, a line each."""

    new: int
    there: int
    notes: list[str]


class WriteJob(NamedTuple):
    """A drive to write. stamps: of the frames to write; None: all that are `every` seconds apart.
    there: those whose files exist. threads: for the pictures."""

    drive: Drive
    source: Source
    colour: Colour
    every: float
    stamps: frozenset[int] | None
    there: frozenset[int]
    threads: int


class Written(NamedTuple):
    """stamps: of the frames that are in the drive's folder now and were wanted. new: how many of
    them were written. unreadable: why others were not, by their stamp."""

    stamps: list[int]
    new: int
    unreadable: dict[int, str]


def extract(bags: Sequence[Path], output: Path, source: Source, wanted: Wanted, colour: Colour,
            *, jobs: int | None = None) -> Extracted:
    """Writes the frames of the bags, as `docs/extract.md` describes the folder. Frames that are
    there stay and are not written again.

    jobs: how many bags at once; None: one for each core. Raises SsmaError for what cannot be used,
    naming it, and where `output` holds something else or another process writes into it.
    """
    found = drives.find(bags, output, source)
    if wanted.model:
        check_model(wanted.model, source)
    with own_folder(output):
        others = [row for row in listing.read_rows(output / "frames.csv")
                  if row.drive not in {drive.name for drive in found}]
        for drive in found:
            drives.check(drive)
        there = [pictures.there(drive.folder, source.name) for drive in found]
        rows, stamps = _selection(found, there, source, wanted, jobs)
        at_once, threads = _shares(found, jobs)
        work = [WriteJob(drive, source, colour, wanted.every, chosen, old, threads)
                for drive, chosen, old in zip(found, stamps, there)]
        done = _on_each(_write, work, at_once, "extract")
        for drive in found:
            drives.write_infos(drive)
        if wanted.select is None:
            rows = [row for drive, each in zip(found, done) for row in _plain_rows(drive, each)]
        listing.write_rows(output / "frames.csv", [*others, *rows])
        frames = [(drive.folder, str(stamp)) for drive, each in zip(found, done)
                  for stamp in sorted(each.stamps)]
        listing.write_sheet(output / "sheet.png", frames, source.name)
    new = sum(each.new for each in done)
    return Extracted(new, len(frames) - new, [
        note for drive, each in zip(found, done) for note in _notes(drive, each, source)])


def _notes(drive: Drive, written: Written, source: Source) -> Iterator[str]:
    if written.unreadable:
        yield (f"{drive.bag}: {len(written.unreadable)} frames cannot be read and are left out; "
               f"the first: {next(iter(written.unreadable.values()))}")
    (width, height), second = drive.sizes
    if (width, height) != second:
        yield (f"{drive.bag}: the {source.name} images are {second[0]}x{second[1]} and colour is "
               f"{width}x{height}: they are kept as recorded, and models need them registered to "
               "each other, pixel by pixel: `ssma register` makes a file for --registration")


def _selection(found: Sequence[Drive], there: Sequence[frozenset[int]], source: Source,
               wanted: Wanted, jobs: int | None
               ) -> tuple[list[Row], Sequence[frozenset[int] | None]]:
    """The rows of all candidates, and the stamps that were chosen in each drive; without a
    selection, none and None."""
    if wanted.select is None:
        return [], [None] * len(found)
    at_once, threads = _shares(found, jobs)
    scored = _on_each(score, [ScoreJob(drive, source, wanted.every, old, wanted.model, threads)
                              for drive, old in zip(found, there)], at_once, "score")
    candidates = without_blurred([each for drive in scored for each in drive])
    kept = {(drive.name, stamp) for drive, old in zip(found, there) for stamp in old}
    chosen = choose(candidates, wanted.select, kept)
    stamps = [frozenset(candidates[place].stamp_ns for place in chosen.places
                        if candidates[place].drive == drive.name) for drive in found]
    return listing.rows_of(candidates, chosen), stamps


def _shares(found: Sequence[Drive], jobs: int | None) -> tuple[int, int]:
    """How many drives at once, and the threads for each."""
    cpus = len(os.sched_getaffinity(0))
    at_once = min(jobs or cpus, len(found))
    return at_once, max(1, cpus // at_once)


def _on_each(work: TaskFunction[Job, Outcome], jobs: Sequence[Job], at_once: int, words: str
             ) -> list[Outcome]:
    total = sum(job.drive.messages for job in jobs)
    with tqdm(total=total, desc=words, unit="message", disable=None) as bar:
        if at_once == 1:
            return [work(job, bar.update) for job in jobs]
        return processes.each(work, jobs, at_once, bar.update)


def _write(job: WriteJob, progress: Callable[[], Any]) -> Written:
    """Raises SsmaError where none of the images can be read, or a file cannot be written."""
    cv2.setNumThreads(1)
    if job.stamps is not None and job.stamps <= job.there:
        return Written(sorted(job.stamps), 0, {})
    take = spaced(job.every, job.there) if job.stamps is None else job.stamps.__contains__
    stamps, new, unreadable = [], 0, {}
    for stamp, made in _in_threads(job, pairs(job.drive, job.source, take, progress)):
        if isinstance(made, str):
            unreadable[stamp] = made
        else:
            stamps.append(stamp)
            new += made
    if unreadable and not stamps:
        raise SsmaError(f"{job.drive.bag}: {next(iter(unreadable.values()))}")
    return Written(stamps, new, unreadable)


def _in_threads(job: WriteJob, found: Iterator[Pair[Recorded]]
                ) -> Iterator[tuple[int, bool | str]]:
    """Writes the pairs; gives the stamp of each, with what `_write_one` says. Encoding pictures
    takes most of the time, and frees Python for other threads."""
    waiting: deque[tuple[int, Future[bool | str]]] = deque()
    with ThreadPoolExecutor(job.threads) as pool:
        for pair in found:
            waiting.append((pair.rgb_stamp_ns, pool.submit(_write_one, job, pair)))
            if len(waiting) > 2 * job.threads:
                stamp, future = waiting.popleft()
                yield stamp, future.result()
        for stamp, future in waiting:
            yield stamp, future.result()


def _write_one(job: WriteJob, pair: Pair[Recorded]) -> bool | str:
    """Whether the frame is new; or why it cannot be read."""
    if pair.rgb_stamp_ns in job.there:
        return False
    try:
        made = pictures.files(Frame(pair, job.source), job.source.name, job.colour)
    except SsmaError as error:
        return str(error)
    drives.claim(job.drive)
    pictures.write(job.drive.folder, str(pair.rgb_stamp_ns), made)
    return True


def _plain_rows(drive: Drive, written: Written) -> list[Row]:
    return [*(Row(drive.name, str(stamp), "yes") for stamp in written.stamps),
            *(Row(drive.name, str(stamp), "no", f"cannot be read: {reason}")
              for stamp, reason in written.unreadable.items())]
