"""Registration of the second camera: its images in the colour camera's view, pixel by pixel."""
from ssma_core.registration.displacement import Displacement
from ssma_core.registration.file import Registration, read, write

__all__ = ["Displacement", "Registration", "read", "write"]
