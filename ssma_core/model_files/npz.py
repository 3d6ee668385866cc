"""Arrays that numpy.savez wrote."""
from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ssma_core.errors import SsmaError

_MOST_BEYOND = 240 << 20  # bytes, beyond the file's own size: weights can hardly be compressed


def read_npz(path: str | Path) -> dict[str, npt.NDArray[np.generic]]:
    """Every array by its name. Raises SsmaError, naming file and member, when it cannot be read,
    holds anything but plain arrays, or unpacks to far more than its own size."""
    where = str(path)
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
            if unpacked > Path(path).stat().st_size + _MOST_BEYOND:
                raise SsmaError(f"{path} would unpack to {unpacked / 1e6:,.0f} MB: no file of "
                                "weights does; write it again with numpy.savez")
            arrays = {}
            for member in archive.infolist():
                where = f"{path}, {member.filename}"
                with archive.open(member) as file:
                    arrays[member.filename.removesuffix(".npy")] = np.lib.format.read_array(
                        file, allow_pickle=False)
            return arrays
    except SsmaError:
        raise
    except OSError as error:
        raise SsmaError(f"cannot read {path}: {error.strerror or error}") from error
    # Those of zlib, bz2, lzma, struct and of NumPy's headers come through.
    except (Exception, MemoryError) as error:
        raise SsmaError(f"cannot read {where}: it is damaged, cut short, or no .npz of plain arrays"
                        f" ({error}); write it with numpy.savez") from error
