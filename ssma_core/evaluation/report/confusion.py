"""The confusion matrix as a picture."""
from __future__ import annotations

import io

import cv2
import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from ssma_core.evaluation.metrics import ConfusionMatrix
from ssma_core.spec import ModelSpec

_INCHES_A_CLASS = 0.55


def confusion_picture(matrix: ConfusionMatrix, spec: ModelSpec) -> npt.NDArray[np.uint8]:
    """`ConfusionMatrix.row_normalised` in percent; H×W×3 uint8 BGR."""
    rows, columns, shares = matrix.row_normalised()
    shares = 100 * shares
    figure = Figure(figsize=(_INCHES_A_CLASS * len(columns), _INCHES_A_CLASS * len(rows)), dpi=120)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(shares, cmap=matplotlib.colormaps["Blues"], vmin=0, vmax=100)
    axes.set_xticks(range(len(columns)), [spec.class_names[i] for i in columns], rotation=45,
                    ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(rows)), [spec.class_names[i] if matrix.counts[i].any() else
                                       f"{spec.class_names[i]} (does not occur)" for i in rows])
    axes.set_xlabel("prediction")
    axes.set_ylabel("ground truth")
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
