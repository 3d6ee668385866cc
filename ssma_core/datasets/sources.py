"""The kinds of data set. A configuration names the fields of one of them."""
from __future__ import annotations

from ssma_core.datasets.file_list import ListFile
from ssma_core.datasets.folders import Folders
from ssma_core.datasets.samples import LabelledArrays, Sample
from ssma_core.datasets.tfrecord import Records

Source = Folders | ListFile | Records

__all__ = ["Folders", "LabelledArrays", "ListFile", "Records", "Sample", "Source"]
