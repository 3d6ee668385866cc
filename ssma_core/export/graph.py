"""A frame's whole way through the network, uint8 to uint8: what is exported and what torch runs."""
from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssma_core.model import SegmentationNetwork
from ssma_core.model.layers import Upsampling


class Frame(nn.Module):
    """One frame, as images come and labels go.

    forward(*images): one H×W×3 uint8 BGR image a modality →
      "labels" H×W uint8; "confidence" H×W uint8, the softmax of the winning class · 255;
      "logits" classes×H×W float32.
    """

    def __init__(self, network: SegmentationNetwork) -> None:
        super().__init__()
        self.network = copy.deepcopy(network)
        last = self.network.decoder.to_full
        assert isinstance(last, Upsampling)
        self.network.decoder.to_full = SubPixelUpsampling(last)

    def forward(self, *images: Tensor) -> dict[str, Tensor]:
        # Cast first: TensorRT refuses to transpose uint8.
        batches = [image.float().permute(2, 0, 1).unsqueeze(0) for image in images]
        logits = self.network(*batches).squeeze(0)
        # The winner's softmax: exp(0) over the sum. Runtimes compute this several times faster than
        # a softmax over the first axis, and they compute every output whether asked for or not.
        certainty = 1 / (logits - logits.amax(dim=0)).exp().sum(dim=0)
        return {
            "labels": logits.argmax(dim=0).to(torch.uint8),
            "confidence": (certainty * 255).round().to(torch.uint8),
            "logits": logits,
        }


class SubPixelUpsampling(nn.Module):
    """A trained `Upsampling` (in eval mode), computed as a 3×3 convolution that makes the stride²
    output pixels of every input pixel as channels, and a shuffle that lays them out (Shi et al.,
    CVPR 2016). Same answer; several times faster on CPUs where the channels are as few as classes.
    """

    def __init__(self, upsampling: Upsampling) -> None:
        super().__init__()
        convolution, norm = upsampling.convolution, upsampling.norm
        self.stride = int(convolution.stride[0])
        assert norm.running_mean is not None and norm.running_var is not None
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        shift = norm.bias - norm.running_mean * scale
        weight = _as_convolution(convolution.weight * scale[:, None, None], self.stride)
        self.weight = nn.Parameter(weight.detach(), requires_grad=False)
        self.bias = nn.Parameter(shift.detach().repeat_interleave(self.stride**2),
                                 requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(F.conv2d(x, self.weight, self.bias, padding=1), self.stride)


def _as_convolution(weight: Tensor, stride: int) -> Tensor:
    """in×out×2s×2s, of a transposed convolution padded by s/2, → (out·s²)×in×3×3.

    Output s·i + p gets from input i + t − 1 what lies at p + s/2 + s·(1 − t) in the kernel, and
    nothing where that is outside.
    """
    phase, tap = torch.arange(stride)[:, None], torch.arange(3)[None]
    place = phase + stride // 2 + stride * (1 - tap)
    outside = 2 * stride  # a row and a column of zeros
    place = torch.where((place >= 0) & (place < outside), place, outside)
    taps = F.pad(weight, (0, 1, 0, 1))[:, :, place][..., place]  # in, out, p, t, p, t
    return taps.permute(1, 2, 4, 0, 3, 5).reshape(-1, weight.shape[0], 3, 3)
