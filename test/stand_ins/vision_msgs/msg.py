"""Two messages of vision_msgs 4, which is not on PyPI, with the fields of their .msg files. They
refuse other fields, as rclpy's do."""
from dataclasses import dataclass, field
from typing import Any


@dataclass
class VisionClass:
    class_id: int = 0
    class_name: str = ""


@dataclass
class LabelInfo:
    header: Any = None
    class_map: list[VisionClass] = field(default_factory=list)
    threshold: float = 0.0
