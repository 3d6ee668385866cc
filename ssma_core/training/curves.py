"""The picture of a stage's curves."""
from __future__ import annotations

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ssma_core.training.resume import History, StageFiles, durable_write


def draw(files: StageFiles, history: History) -> None:
    """Writes the stage's PNG: at the top the loss of every step, at the bottom the IoU of every
    class at each validation. Raises SsmaError when it cannot be written."""
    figure = Figure(figsize=(9, 7), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    if history.losses:  # a stage of 0 steps has none
        _draw_losses(above, history)
    above.set(ylabel="loss", title=files.name, ylim=(0, None))
    _draw_validation(below, history)
    for axes in (above, below):
        axes.grid(color="0.9")
    with durable_write(files.curves) as temporary:
        figure.savefig(temporary, dpi=120)


def _draw_losses(axes: Axes, history: History) -> None:
    steps = np.arange(1, history.step + 1)
    axes.plot(steps, history.losses, color="0.8", linewidth=0.8, label="a step")
    window = max(history.step // 50, 1)
    axes.plot(steps[window - 1:] - window // 2, _smoothed(history.losses, window),
              color="tab:blue", label=f"mean of {window}")
    axes.legend()


def _draw_validation(axes: Axes, history: History) -> None:
    at = [result["step"] for result in history.validation]
    names = list(history.validation[-1]["iou"])
    # Ten strong colours, then ten pale ones.
    axes.set_prop_cycle(color=colormaps["tab20"]([*range(0, 20, 2), *range(1, 20, 2)]))
    for name in names:
        # None (the class does not occur) leaves a gap.
        values = [_percent(result["iou"][name]) for result in history.validation]
        axes.plot(at, values, marker=".", label=name)
    axes.plot(at, [_percent(result["miou"]) for result in history.validation], color="black",
              linewidth=2.5, marker="o", label="mean")
    axes.set(xlabel="step", ylabel="IoU on the validation set, %", ylim=(0, 100))
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), ncols=1 + len(names) // 20)


def _smoothed(losses: list[float], window: int) -> npt.NDArray[np.float64]:
    return np.convolve(losses, np.full(window, 1 / window), mode="valid")


def _percent(fraction: float | None) -> float:
    return float("nan") if fraction is None else 100 * fraction
