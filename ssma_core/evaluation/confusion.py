"""The confusion matrix as a picture."""
from __future__ import annotations

import io

import cv2
import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from ssma_core.metrics import ConfusionMatrix
from ssma_core.spec import ModelSpec

_INCHES_A_CLASS = 0.55


def confusion_picture(matrix: ConfusionMatrix, spec: ModelSpec) -> npt.NDArray[np.uint8]:
    """Rows are true classes, columns what they were taken for, in percent of the row; H×W×3 uint8
    BGR.

    Void has no row, since it is not judged, and a column only where it was predicted. A class that
    does not occur has an empty row.
    """
    rows = [i for i in range(spec.classes) if i != spec.void_id]
    columns = [i for i in range(spec.classes) if i in rows or matrix.counts[rows, i].any()]
    pixels = matrix.counts.sum(axis=1, keepdims=True)
    shares = 100 * np.divide(matrix.counts, pixels, out=np.zeros(matrix.counts.shape),
                             where=pixels > 0)[np.ix_(rows, columns)]
    figure = Figure(figsize=(_INCHES_A_CLASS * len(columns), _INCHES_A_CLASS * len(rows)), dpi=120)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(shares, cmap=matplotlib.colormaps["Blues"], vmin=0, vmax=100)
    axes.set_xticks(range(len(columns)), [spec.class_names[i] for i in columns], rotation=45,
                    ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(rows)), [spec.class_names[i] if pixels[i] else
                                       f"{spec.class_names[i]} (does not occur)" for i in rows])
    axes.set_xlabel("prediction")
    axes.set_ylabel("truth")
    axes.set_title(f"% of the true class; mIoU {100 * matrix.mean_iou():.1f} %")
    for (row, column), share in np.ndenumerate(shares):
        if share > 0:
            axes.text(column, row, f"{share:.1f}", ha="center", va="center", size=8,
                      color="white" if share > 60 else "black")
    png = io.BytesIO()
    figure.savefig(png, format="png", bbox_inches="tight")  # names and titles stand around the axes
    picture = cv2.imdecode(np.frombuffer(png.getvalue(), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None  # it was encoded the line before
    return picture
