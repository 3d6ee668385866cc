"""The ways in which a data set can be given. A configuration names the fields of one of them."""
from __future__ import annotations

from ssma_core.datasets.file_list import ListFile
from ssma_core.datasets.folders import Folders
from ssma_core.datasets.samples import Arrays, Sample

Source = Folders | ListFile

__all__ = ["Arrays", "Folders", "ListFile", "Sample", "Source"]
