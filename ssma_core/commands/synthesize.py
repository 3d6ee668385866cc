"""`ssma synthesize`: drives through the synthetic forest, as folders of pictures."""
from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from ssma_core.commands import count, size
from ssma_core.disk.partial import partial_folder
from ssma_core.errors import SsmaError
from ssma_core.files import encoded, read_colour, read_json, read_sensor, write_picture
from ssma_core.modalities.scale import in_jet
from ssma_core.pictures import contact_sheet
from ssma_core.synthetic.forest import (
    CLASS_COLOURS,
    FOREST,
    FPS,
    PRESETS,
    ROBOTS,
    WEATHERS,
    SyntheticFrame,
    check_drive,
    drive,
    weather_of,
)
from ssma_core.synthetic.robots.rig import rig_of

JPEG_QUALITY = 95
SHEET_ROWS = 12
MOST_FRAMES = 1_000_000
EACH = "each"  # instead of one weather: all weathers in turn
SHEET_DEPTH = 20_000  # millimetres, the far end of the sheet's depth colours


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", required=True, type=Path, help="folder for the drives")
    parser.add_argument("--drives", type=count, default=1, help="how many (default: %(default)s)")
    parser.add_argument("--frames", type=count, default=100,
                        help="frames of each drive (default: %(default)s)")
    parser.add_argument("--fps", type=float, default=FPS,
                        help="frames per second, at one metre per second: with fewer, the frames "
                        "differ more (default: %(default)g)")
    parser.add_argument("--seed", type=int, default=0,
                        help="of the first drive; each next drive has the next number (default: "
                        "%(default)s)")
    parser.add_argument("--size", type=size, default=(768, 384), metavar="WIDTHxHEIGHT",
                        help="of the pictures (default: 768x384)")
    parser.add_argument("--weather", help=f"one of {', '.join(WEATHERS)}; or {EACH}: the "
                        "drives have them in this order, repeatedly, so that a few drives show "
                        "all (default: each drive draws its own, mostly clear)")


    parser.add_argument("--preset", default=FOREST, help=f"one of {', '.join(PRESETS)}: one robot "
                        "for all drives, or another camera, depth sensor and kind of place in "
                        "every drive (default: %(default)s)")


def run(options: argparse.Namespace) -> None:
    if options.drives * options.frames > MOST_FRAMES:
        raise SsmaError(f"{options.drives:,} drives of {options.frames:,} frames are more than "
                        f"{MOST_FRAMES:,} frames: make them by several commands, each with its own "
                        "--seed")
    in_turn = WEATHERS if options.weather == EACH else (options.weather,)
    check_drive(options.seed, options.frames, options.size, in_turn[0], options.fps,
                preset=options.preset)
    wanted = [_facts(options.seed + i, options, in_turn[i % len(in_turn)])
              for i in range(options.drives)]
    missing = [facts for facts in wanted if not _is_there(options.output, facts)]
    try:
        options.output.mkdir(parents=True, exist_ok=True)
        with tqdm(total=len(missing) * options.frames, unit="frame") as progress:
            for facts in missing:
                _write_drive(options.output, facts, progress)
        _write_sheet(options.output, wanted)
    except OSError as error:
        raise SsmaError(f"cannot write under {options.output}: {error.strerror}; give a folder "
                        "that can be written, on a disk with room") from error
    print(f"{len(missing)} drives made, {len(wanted) - len(missing)} were there already: "
          f"{options.output}")


def _facts(seed: int, options: argparse.Namespace, weather: str | None) -> dict[str, Any]:
    """The content of drive.json, which alone decides every pixel of the drive."""
    return {"version": PRESETS[options.preset], "preset": options.preset, "seed": seed,
            "size": list(options.size), "fps": options.fps,
            "weather": [weather or weather_of(seed)] * options.frames,
            "stamps": [index / options.fps for index in range(options.frames)]}


def _name(facts: dict[str, Any]) -> str:
    return f"drive_{facts['seed']:03d}"


def _is_there(output: Path, facts: dict[str, Any]) -> bool:
    """Whether the drive is finished. Raises SsmaError where another drive has its place."""
    folder = output / _name(facts)
    if not folder.exists():
        return False
    try:
        found = read_json(folder / "drive.json")
    except SsmaError:
        found = None
    if not isinstance(found, dict) or {"preset": FOREST} | found != facts:
        raise SsmaError(f"{folder} is not the wanted drive (other frames, fps, size, weather, "
                        "preset or version of the forest, or no drive): remove it, or give another "
                        "--output")
    return True


def _title(facts: dict[str, Any]) -> str:
    return f"{_name(facts)}, {facts['preset']}: {facts['weather'][0]}{_robot(facts)}"


def _robot(facts: dict[str, Any]) -> str:
    if facts["preset"] != ROBOTS:
        return ""
    width, height = facts["size"]
    rig = rig_of(facts["seed"], width / height)
    return (f", {np.degrees(rig.mounting.across):.0f} degrees across, {rig.mounting.height:.1f} m "
            f"high, {rig.depth.kind} to {rig.depth.reach:.0f} m")


def _write_drive(output: Path, facts: dict[str, Any], progress: tqdm[Any]) -> None:
    """Writes to another folder and renames it, so that a folder with a drive's name is whole."""
    with partial_folder(output / _name(facts)) as partial:
        for channel in ("rgb", "nir", "depth", "label"):
            (partial / channel).mkdir()
        frames = drive(facts["seed"], len(facts["stamps"]), tuple(facts["size"]),
                       facts["weather"][0], facts["fps"], preset=facts["preset"])
        for index, frame in enumerate(frames):
            _write_frame(partial, index, frame)
            progress.update()
        (partial / "drive.json").write_text(json.dumps(facts))
        if not _is_there(output, facts):  # another process may have made it meanwhile
            os.replace(partial, output / _name(facts))


def _write_frame(folder: Path, index: int, frame: SyntheticFrame) -> None:
    name = f"{index:06d}"
    quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    jpeg = cv2.imencode(".jpg", frame.rgb, quality)[1]
    (folder / "rgb" / f"{name}.jpg").write_bytes(jpeg.tobytes())
    for channel, picture in (("nir", frame.near_infrared), ("depth", frame.depth),
                             ("label", frame.label)):
        path = folder / channel / f"{name}.png"
        path.write_bytes(encoded(path, picture))


def _write_sheet(output: Path, drives: list[dict[str, Any]]) -> None:
    """One row for each drive, of its middle frame; at most SHEET_ROWS rows."""
    palette = np.array(CLASS_COLOURS, np.uint8)[:, ::-1]
    rows = []
    for facts in drives[:SHEET_ROWS]:
        folder, name = output / _name(facts), f"{len(facts['stamps']) // 2:06d}"
        label, depth = (read_sensor(folder / c / f"{name}.png") for c in ("label", "depth"))
        rows.append([read_colour(folder / "rgb" / f"{name}.jpg"),
                     read_colour(folder / "nir" / f"{name}.png"),
                     in_jet(depth, SHEET_DEPTH), palette[label]])
    sheet = contact_sheet(rows, ["colour", "near infrared", "depth", "label"],
                          row_titles=[_title(facts) for facts in drives[:SHEET_ROWS]])
    write_picture(output / "contact_sheet.png", sheet)
