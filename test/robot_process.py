"""What a robot's process needs, the node's libraries with it: python test/robot_process.py MODEL
[WIDTHxHEIGHT of the camera, whose depth comes in uint16 millimetres]

Prints one line of figures; ends with an error where torch was imported.
"""
import sys
import time
from pathlib import Path

start = time.perf_counter()

import numpy as np  # noqa: E402

import ssma_ros.node.lifecycle  # noqa: E402, F401
from ssma_core import Segmenter  # noqa: E402

imported = time.perf_counter()
segmenter = Segmenter(sys.argv[1])
opened = time.perf_counter()
width, height = map(int, (sys.argv[2] if sys.argv[2:] else "768x384").split("x"))
for _ in range(3):
    segmenter.segment(np.zeros((height, width, 3), np.uint8), np.ones((height, width), np.uint16))
segmented = time.perf_counter()
# Not getrusage's: that begins with what the process had that started this one.
status = Path("/proc/self/status").read_text(encoding="ascii")
memory = int(status.split("VmHWM:")[1].split()[0]) / 1024
print(f"{segmenter.backend}: imports {imported - start:.2f} s, opening {opened - imported:.2f} s, "
      f"three frames {segmented - opened:.2f} s, at most {memory:.0f} MB of host memory")
heavy = sorted({"torch", "onnx", "safetensors", "matplotlib"} & set(sys.modules))
sys.exit(f"imported as well: {', '.join(heavy)}" if heavy else 0)
