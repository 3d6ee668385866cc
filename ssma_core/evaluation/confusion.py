"""The confusion matrix as a picture."""
from __future__ import annotations

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ssma_core.metrics import ConfusionMatrix
from ssma_core.spec import ModelSpec

_INCHES_A_CLASS, _MARGIN = 0.55, 2.2


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
    figure = Figure(figsize=(_MARGIN + 1 + _INCHES_A_CLASS * len(columns),
                             _MARGIN + _INCHES_A_CLASS * len(rows)), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(shares, cmap=matplotlib.colormaps["Blues"], vmin=0, vmax=100)
    axes.set_xticks(range(len(columns)), [spec.class_names[i] for i in columns], rotation=45,
                    ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(rows)), [spec.class_names[i] if pixels[i] else
                                       f"{spec.class_names[i]} (does not occur)" for i in rows])
    axes.set_xlabel("prediction")
    axes.set_ylabel("truth")
    axes.set_title(f"% of the true class's pixels; mIoU {100 * matrix.mean_iou():.1f} %")
    for (row, column), share in np.ndenumerate(shares):
        if share > 0:
            axes.text(column, row, f"{share:.1f}" if share >= 0.05 else "0.0", ha="center",
                      va="center", size=8, color="white" if share > 60 else "black")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., 2::-1])
