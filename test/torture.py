"""`make torture`: a coverage-guided fuzzer for every reader of files from outside. See
docs/testing.md.

    python test/torture.py --seconds 600 --corpus torture

Needs the extra `torture` (atheris, Linux, CPython up to 3.13). Runs each reader in a process of its
own, which ends with the first input that raises anything but SsmaError, takes more than 2 s of the
CPUs' time or more than 256 MiB. That input is left in the corpus folder. Prints a table.
"""
from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import sys
import tempfile
import time
from contextlib import suppress
from multiprocessing.sharedctypes import RawArray
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from readers import Reader

HERE = Path(__file__).resolve().parent
SLOWEST_S, MOST_MIB = 2, 256  # seconds of the CPUs' time: other programs cost none
HANGS_S = 60  # by the clock
LARGEST = 65_536  # bytes of an input


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=600, help="of each reader (%(default)s)")
    parser.add_argument("--corpus", type=Path, default=Path("torture"), metavar="FOLDER",
                        help="inputs that reach something new; kept for the next time")
    parser.add_argument("--readers", nargs="+", metavar="NAME", help="default: all")
    options = parser.parse_args()
    readers = load()
    failed, every = [], []
    print("| reader | inputs | slowest, s | most, MiB | |\n| --- | --- | --- | --- | --- |",
          flush=True)
    for name in options.readers or readers:
        facts, said = tortured(name, readers[name], options.corpus / name, options.seconds)
        print(row(name, *facts, "failed" if said else ""), flush=True)
        every.append(facts)
        failed += [f"{name}: {said}"] if said else []
    inputs, slowest, most = zip(*every)
    print(row("all", sum(inputs), max(slowest), max(most), f"{len(failed)} failed"))
    print(*failed, sep="\n")
    return 1 if failed else 0


def load() -> dict[str, Reader]:
    """Once for all readers: it takes long."""
    os.environ["OPENCV_LOG_LEVEL"] = "SILENT"
    sys.path[:0] = [str(HERE.parent), str(HERE)]
    import atheris
    import numpy  # noqa: F401  # here, so that it is not instrumented

    with atheris.instrument_imports(include=["ssma_core", "yaml"]):
        from readers import READERS
    return READERS


def row(name: str, inputs: float, slowest: float, most: float, end: str) -> str:
    return f"| {name} | {inputs:.0f} | {slowest:.2f} | {most:.0f} | {end} |"


def tortured(name: str, reader: Reader, corpus: Path, seconds: int
             ) -> tuple[tuple[float, float, float], str]:
    """How many inputs it read, the slowest one's seconds and the largest one's MiB; and what was
    said at its end, where that was no good one."""
    corpus.mkdir(parents=True, exist_ok=True)
    (corpus / "whole").write_bytes(reader.content())
    facts = RawArray("d", 3)
    with tempfile.TemporaryDirectory(prefix="torture.") as folder:
        said = Path(folder, "said")
        process = multiprocessing.get_context("fork").Process(target=fuzz, args=(
            reader, Path(folder), facts,
            [name, f"-max_total_time={seconds}", f"-timeout={HANGS_S}", f"-max_len={LARGEST}",
             "-rss_limit_mb=0", "-verbosity=0", f"-artifact_prefix={corpus}.", str(corpus)]))
        process.start()
        process.join()
        end = said.read_text(errors="replace")[-3000:] if process.exitcode else ""
    inputs, slowest, most = facts
    return (inputs, slowest, most), end


def fuzz(reader: Reader, folder: Path, facts: Any, arguments: list[str]) -> None:
    """Does not return. facts: see `tortured`."""
    import atheris

    from ssma_core import SsmaError

    said = os.open(folder / "said", os.O_WRONLY | os.O_CREAT)
    os.dup2(said, 1)
    os.dup2(said, 2)
    path = folder / reader.file
    path.write_bytes(reader.whole(reader.content()))
    reader.read(path)  # all libraries are loaded

    def one(data: bytes) -> None:
        path.write_bytes(reader.whole(data))
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        held, begin = in_use("VmRSS"), time.process_time()
        with suppress(SsmaError):
            reader.read(path)
        seconds, memory = time.process_time() - begin, in_use("VmHWM") - held
        facts[:] = facts[0] + 1, max(facts[1], seconds), max(facts[2], memory)
        if seconds > SLOWEST_S or memory > MOST_MIB:
            raise RuntimeError(f"{seconds:.1f} s, {memory:.0f} MiB for {len(data)} bytes")

    atheris.Setup(arguments, one)
    atheris.Fuzz()


def in_use(fact: str) -> float:
    """MiB of this process."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    found = re.search(rf"{fact}:\s+(\d+) kB", status)
    assert found
    return int(found[1]) / 1024


if __name__ == "__main__":
    sys.exit(main())
