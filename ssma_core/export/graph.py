"""A frame's whole way through the network, uint8 to uint8: what is exported and what torch runs."""
from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from ssma_core.model import Channels, SegmentationNetwork, Ssma
from ssma_core.model.encoder import MultiscaleConvolution
from ssma_core.model.layers import Upsampling


class Frame(nn.Module):
    """One frame, as the network sees it: what `network_images` makes of it, and answers of its
    size. The network is a copy, in eval mode, with its batch norms folded.

    precision: of the network. What is before and after it is in float32.

    forward(*images): one H×W×3 uint8 BGR image a modality →
      "labels" H×W uint8; "confidence" H×W uint8, the softmax of the winning class · 255;
      "trust", of two modalities only, H×W uint8, see `trust`; "logits" classes×H×W float32.
    """

    def __init__(self, network: SegmentationNetwork,
                 precision: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).eval()
        self.network.auxiliary_heads = None
        last = self.network.decoder.to_full
        assert isinstance(last, Upsampling)
        self.network.decoder.to_full = SubPixelUpsampling(last)
        fold_batch_norms(self.network)
        self.network.to(precision)
        self.precision = precision

    def forward(self, *images: Tensor) -> dict[str, Tensor]:
        # Cast first: TensorRT refuses to transpose uint8.
        return self.answers([image.float().permute(2, 0, 1) for image in images])

    def answers(self, images: Sequence[Tensor]) -> dict[str, Tensor]:
        """images: 3×H×W float32 a modality, BGR, 0–255."""
        batches = [image.unsqueeze(0).to(self.precision) for image in images]
        if not isinstance(self.network, Ssma):
            return pictures(self.network(*batches))
        gated = self.network.gated(*batches)
        logits = self.network.decoder(*self.network.fused(*gated))[0]
        return {"trust": trust(gated, self.network.colour_channels, logits.shape[2:]),
                **pictures(logits)}


def pictures(logits: Tensor) -> dict[str, Tensor]:
    """1×classes×H×W → "labels", "confidence" and "logits", as `Frame` gives them."""
    logits = logits.squeeze(0).float()
    # The winner's softmax: exp(0) over the sum. Runtimes compute this several times faster than
    # a softmax over the first axis, and they compute every output whether asked for or not.
    certainty = 1 / (logits - logits.amax(dim=0)).exp().sum(dim=0)
    return {
        "labels": logits.argmax(dim=0).to(torch.uint8),
        "confidence": (certainty * 255).round().to(torch.uint8),
        "logits": logits,
    }


def trust(gated: Sequence[Tensor], first: Channels, size: Sequence[int]) -> Tensor:
    """How much the fusion leans on the second modality: H×W uint8, 255 = on nothing else.

    In each SSMA block, at each place: the second modality's share Σ|g·x| / Σ|g·x| of the gated
    activations (gates g, features x; the upper sum over its channels, the lower over all). The
    blocks' maps are enlarged bilinearly and averaged.

    gated: of the blocks, each 1×channels×h×w: context, skip at 1/8, skip at 1/4.
    first: how many of their channels are the first modality's. size: (H, W).
    """
    shares = []
    for both, channels in zip(gated, (first.context, first.eighth, first.quarter)):
        strength = both.float().abs()
        second = strength[:, channels:].sum(dim=1, keepdim=True)
        whole = strength.sum(dim=1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny)
        shares.append(F.interpolate(second / whole, tuple(size), mode="bilinear"))
    mean = torch.cat(shares).mean(dim=0).squeeze(0)
    return (mean * 255).round().to(torch.uint8)


def fold_batch_norms(network: nn.Module) -> None:
    """Folds every batch norm that a convolution stands directly before into that convolution; only
    those remain that normalize a sum or the image. The network must be in eval mode."""
    for module in network.modules():
        norm = getattr(module, "norm", None)
        convolution = getattr(module, "convolution", None)
        if not isinstance(norm, nn.BatchNorm2d) or convolution is None:
            continue
        first = 0
        for part in _parts(convolution):
            _fold(part, norm, slice(first, first + part.out_channels))
            first += part.out_channels
        module.norm = nn.Identity()


def _parts(convolution: nn.Module) -> Sequence[nn.Conv2d | nn.ConvTranspose2d]:
    """The convolutions whose outputs lie side by side before the norm."""
    parts = convolution.halves if isinstance(convolution, MultiscaleConvolution) else [convolution]
    assert all(isinstance(part, nn.Conv2d | nn.ConvTranspose2d) for part in parts)
    return list(parts)  # type: ignore[arg-type]


def _fold(part: nn.Conv2d | nn.ConvTranspose2d, norm: nn.BatchNorm2d, channels: slice) -> None:
    assert norm.running_mean is not None and norm.running_var is not None
    part.weight, part.bias = fuse_conv_bn_weights(
        part.weight, part.bias, norm.running_mean[channels], norm.running_var[channels], norm.eps,
        norm.weight[channels], norm.bias[channels],
        transpose=isinstance(part, nn.ConvTranspose2d))


class SubPixelUpsampling(nn.Module):
    """A trained `Upsampling` (in eval mode), computed as a 3×3 convolution that makes the stride²
    output pixels of every input pixel as channels, and a shuffle that lays them out (Shi et al.,
    CVPR 2016). Same answer; several times faster on CPUs where the channels are as few as classes.
    """

    def __init__(self, upsampling: Upsampling) -> None:
        super().__init__()
        convolution = copy.deepcopy(upsampling.convolution)
        _fold(convolution, upsampling.norm, slice(None))
        assert convolution.bias is not None
        self.stride = int(convolution.stride[0])
        weight = _as_convolution(convolution.weight, self.stride)
        self.weight = nn.Parameter(weight.detach(), requires_grad=False)
        self.bias = nn.Parameter(convolution.bias.detach().repeat_interleave(self.stride**2),
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
