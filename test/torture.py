"""`make torture`: a coverage-guided fuzzer for every reader of files from outside. See
docs/testing.md.

    python test/torture.py --seconds 600 --corpus torture

Needs the extra `torture` (atheris, Linux, CPython up to 3.13). Runs each reader in a process of its
own, which ends with the first input that raises anything but SsmaError, takes more than 2 s or more
than 256 MiB. That input is left in the corpus folder.
"""
from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

HERE = Path(__file__).resolve().parent
SLOWEST_S, MOST_MIB = 2, 256
LARGEST = 65_536  # bytes of an input


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=600, help="of each reader (%(default)s)")
    parser.add_argument("--corpus", type=Path, default=Path("torture"), metavar="FOLDER",
                        help="inputs that reach something new; kept for the next time")
    parser.add_argument("--readers", nargs="+", metavar="NAME", help="default: all")
    options = parser.parse_args()
    sys.path[:0] = [str(HERE.parent), str(HERE)]
    from readers import READERS

    failed = []
    for name in options.readers or READERS:
        corpus = options.corpus / name
        corpus.mkdir(parents=True, exist_ok=True)
        (corpus / "whole").write_bytes(READERS[name].content())
        print(f"{name}: {options.seconds} s", flush=True)
        command = [sys.executable, __file__, "--one", name, f"-max_total_time={options.seconds}",
                   f"-timeout={SLOWEST_S}", f"-max_len={LARGEST}", "-rss_limit_mb=0",
                   "-print_final_stats=1", "-verbosity=0",
                   f"-artifact_prefix={options.corpus / name}.", str(corpus)]
        quiet = {**os.environ, "OPENCV_LOG_LEVEL": "SILENT"}
        if subprocess.run(command, check=False, env=quiet).returncode:
            failed.append(name)
    print(f"failed: {', '.join(failed)}" if failed else "nothing failed")
    return 1 if failed else 0


def fuzz(name: str, arguments: list[str]) -> None:
    """Does not return."""
    import atheris

    sys.path[:0] = [str(HERE.parent), str(HERE)]
    import numpy  # noqa: F401  # here, so that it is not instrumented
    with atheris.instrument_imports(include=["ssma_core", "yaml"]):
        from readers import READERS

        from ssma_core import SsmaError

    reader = READERS[name]
    folder = Path(tempfile.mkdtemp(prefix="torture."))
    path = folder / reader.file
    path.write_bytes(reader.whole(reader.content()))
    reader.read(path)  # all libraries are loaded

    def one(data: bytes) -> None:
        path.write_bytes(reader.whole(data))
        before = _peak_mib()
        with suppress(SsmaError):
            reader.read(path)
        if _peak_mib() - before > MOST_MIB:
            raise MemoryError(f"{_peak_mib() - before} MiB for {len(data)} bytes")

    atheris.Setup([name, *arguments], one)
    atheris.Fuzz()


def _peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        fuzz(sys.argv[2], sys.argv[3:])
    sys.exit(main())
