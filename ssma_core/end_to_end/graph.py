"""Preprocessing, network and postprocessing as modules: what is exported and what torch runs."""
from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from ssma_core.end_to_end.preprocessing import Preprocessing
from ssma_core.end_to_end.resize import Nearest
from ssma_core.model import Channels, Expert, SegmentationNetwork, Ssma
from ssma_core.model.decoder import TO_FULL, BilinearUpsampling, ConvexUpsampling, Decoder
from ssma_core.model.experts.encoder import MultiscaleConvolution
from ssma_core.model.layers import Upsampling
from ssma_core.model_files.exported import FrameFormat, unimodal_output
from ssma_core.spec import ModelSpec

# The types that a network can be computed in, by name.
TYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class Predictor(nn.Module):
    """From the images of `network_images` to labels at the network's size. The network is copied,
    in eval mode, with its batch norms folded.

    precision: of the network. Everything before and after it is in float32.
    unimodal: names of the modalities whose experts also label alone; for Ssma only.

    forward(*images): for each modality an H×W×3 uint8 BGR image →
      "labels" H×W uint8; "confidence" H×W uint8, the winning class's softmax · 255, which is not
      calibrated; "trust", for two modalities only, H×W uint8, see `Trust`; "logits" classes×H×W
      float32; and the labels and confidence of each expert alone, under the names that
      `unimodal_output` gives.
    """

    def __init__(self, network: SegmentationNetwork,
                 precision: torch.dtype = torch.float32, unimodal: Sequence[str] = ()) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).eval()
        self.network.auxiliary_heads = None
        if isinstance(self.network, Ssma):
            if not unimodal:
                self.network.alone = None
            self.trust = Trust(*(expert.channels for expert in self.network.experts
                                 if isinstance(expert, Expert)))
        for decoder in [m for m in self.network.modules() if isinstance(m, Decoder)]:
            _leave_sub_pixels(decoder)
            if precision == torch.bfloat16:  # TensorRT for RTX 1.7: no transposed convolutions
                for stage in (decoder.to_eighth, decoder.to_quarter):
                    stage.upsampling = nn.Sequential(SubPixels(stage.upsampling),
                                                     nn.PixelShuffle(2))
        fold_batch_norms(self.network)
        merge_halves(self.network)
        self.network.to(precision)
        self.precision = precision
        self.unimodal = tuple(unimodal)
        self.decision = Decision()

    def forward(self, *images: Tensor) -> dict[str, Tensor]:
        # Cast first: TensorRT refuses to transpose uint8.
        maps = self.maps([image.float().permute(2, 0, 1) for image in images])
        logits = maps.pop("logits")
        return {name: values.to(torch.uint8) for name, values in maps.items()} | {"logits": logits}

    def maps(self, images: Sequence[Tensor]) -> dict[str, Tensor]:
        """The outputs of `forward`, but whole numbers are float32, which TensorRT can process.

        images: for each modality 3×H×W float32, BGR, 0–255.
        """
        batches = [image.unsqueeze(0).to(self.precision) for image in images]
        if not isinstance(self.network, Ssma):
            return self.decision(self.network(*batches))
        features = [expert(batch) for expert, batch in zip(self.network.experts, batches)]
        fused, gated = zip(*self.network.fuse(*features))
        logits = self.network.decoder(*fused)[0]
        return {**self.decision(logits), "trust": self.trust(*gated),
                **self._of_experts(self.network.alone or (), features)}

    def _of_experts(self, decoders: Iterable[nn.Module],
                    features: Sequence[Sequence[Tensor]]) -> dict[str, Tensor]:
        outputs: dict[str, Tensor] = {}
        for name, decoder, own in zip(self.unimodal, decoders, features):
            maps = self.decision(decoder(*own)[0])
            outputs |= {unimodal_output(name, output): maps[output]
                        for output in ("labels", "confidence")}
        return outputs


class EndToEnd(nn.Module):
    """Preprocessing, prediction and resizing to the camera's size, for one frame.

    forward(*arrays): the sensors' arrays, as `model_files.exported.frame_inputs` binds them → the
      outputs of `Predictor` except "logits", resized to the camera's size by nearest neighbour.
    """

    def __init__(self, frame: Predictor, spec: ModelSpec, camera: FrameFormat) -> None:
        super().__init__()
        self.preprocessing = Preprocessing(spec, camera)
        self.frame = frame
        self.to_camera = Nearest(spec.input_size, camera.size)

    def forward(self, *arrays: Tensor) -> dict[str, Tensor]:
        outputs = self.with_logits(*arrays)
        del outputs["logits"]
        return outputs

    def with_logits(self, *arrays: Tensor) -> dict[str, Tensor]:
        """As `forward`, with "logits" as `Predictor` gives them."""
        maps = self.frame.maps(self.preprocessing(*arrays))
        logits = maps.pop("logits")
        return {name: self.to_camera(values).to(torch.uint8)
                for name, values in maps.items()} | {"logits": logits}


def _leave_sub_pixels(decoder: Decoder) -> None:
    """Logits stay N×(classes·`TO_FULL`²)×h×w: without the pixel shuffle at the decoder's end."""
    if isinstance(decoder.to_full, ConvexUpsampling | BilinearUpsampling):
        decoder.to_full.shuffle = nn.Identity()
    else:
        decoder.to_full = SubPixels(decoder.to_full)


class Decision(nn.Module):
    """Logits before the pixel shuffle, 1×(classes·`TO_FULL`²)×h×w → "labels", "confidence" and
    "logits" as in `Predictor.maps`."""

    def forward(self, sub_pixels: Tensor) -> dict[str, Tensor]:
        # Argmax before the pixel shuffle: then one map is shuffled, not one per class.
        sub_pixels = sub_pixels.float()
        logits = sub_pixels.squeeze(0).unflatten(0, (-1, TO_FULL**2))
        # The winner's softmax is exp(0) / sum. Runtimes compute this several times faster than a
        # softmax over the first axis.
        scores = (logits - logits.amax(dim=0)).exp()
        total = weighted_sums(scores, scores.new_ones(1, len(scores))).squeeze(0)
        return {
            "labels": shuffle_pixels(logits.argmax(dim=0).float()),
            "confidence": shuffle_pixels((255 / total).round()),
            "logits": shuffle_pixels(sub_pixels),
        }


class Trust(nn.Module):
    """How much the fusion uses the second modality: H×W, 0–255, 255 = only the second.

    The mean of the three SSMA blocks' shares, which are bilinearly upsampled to a quarter of the
    size; then the mean is upsampled to the full size.

    colour, second: the channels of the first and of the second modality in each block.
    forward(context, eighth, quarter): 1×channels×h×w, the gated activations of each block.
    """

    def __init__(self, colour: Channels, second: Channels) -> None:
        super().__init__()
        self.context = SecondShare(colour.context, second.context)
        self.eighth = SecondShare(colour.eighth, second.eighth)
        self.quarter = SecondShare(colour.quarter, second.quarter)

    def forward(self, context: Tensor, eighth: Tensor, quarter: Tensor) -> Tensor:
        shares = (upsample(self.context(context), 4) + upsample(self.eighth(eighth), 2)
                  + self.quarter(quarter))
        return (upsample(shares, 4).squeeze((0, 1)) * (255 / 3)).round()


class SecondShare(nn.Module):
    """The gated activations of an SSMA block, 1×channels×h×w → 1×1×h×w: the share that the second
    modality has in them at each place, 0–1. Σ|g·x| / Σ|g·x| with gates g and features x, the upper
    sum over the second modality's channels, the lower sum over all channels."""

    channels: Tensor

    def __init__(self, colour: int, second: int) -> None:
        super().__init__()
        seconds = torch.cat([torch.zeros(colour), torch.ones(second)])
        self.register_buffer("channels", torch.stack([seconds, torch.ones(colour + second)]))

    def forward(self, gated: Tensor) -> Tensor:
        second, both = weighted_sums(gated.squeeze(0).float().abs(), self.channels)
        return (second / both.clamp(min=torch.finfo(torch.float32).tiny)).expand(1, 1, -1, -1)


def weighted_sums(maps: Tensor, weights: Tensor) -> Tensor:
    """n weighted sums (n×h×w) of the maps (m×h×w); weights: n×m. A matrix product, because runtimes
    are slow at sums over the first axis."""
    return (weights @ maps.flatten(1)).unflatten(1, maps.shape[1:])


def upsample(maps: Tensor, times: int) -> Tensor:
    """Upsamples 1×n×h×w bilinearly by a factor."""
    return F.interpolate(maps, scale_factor=times, mode="bilinear")


def shuffle_pixels(sub_pixels: Tensor) -> Tensor:
    """Pixel shuffle: `TO_FULL`²×h×w → H×W; 1×(classes·`TO_FULL`²)×h×w → classes×H×W."""
    return F.pixel_shuffle(sub_pixels, TO_FULL).squeeze(0)


def fold_batch_norms(network: nn.Module) -> None:
    """Folds every batch norm directly after a convolution into that convolution. Batch norms of a
    sum or of the image remain. The network must be in eval mode."""
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


def merge_halves(network: nn.Module) -> None:
    """Merges the halves of a multiscale convolution into one convolution if they have the same
    dilation, as in the last block with the released rates. Their batch norms must be folded."""
    for module in network.modules():
        convolution = getattr(module, "convolution", None)
        if not isinstance(convolution, MultiscaleConvolution):
            continue
        merged, other = _parts(convolution)
        if merged.dilation == other.dilation:
            assert merged.bias is not None and other.bias is not None
            merged.weight = nn.Parameter(torch.cat([merged.weight, other.weight]), False)
            merged.bias = nn.Parameter(torch.cat([merged.bias, other.bias]), False)
            merged.out_channels += other.out_channels
            module.convolution = merged


def _parts(convolution: nn.Module) -> Sequence[nn.Conv2d | nn.ConvTranspose2d]:
    """The convolutions whose outputs are concatenated before the batch norm."""
    parts = convolution.halves if isinstance(convolution, MultiscaleConvolution) else [convolution]
    assert all(isinstance(part, nn.Conv2d | nn.ConvTranspose2d) for part in parts)
    return list(parts)  # type: ignore[arg-type]


def _fold(part: nn.Conv2d | nn.ConvTranspose2d, norm: nn.BatchNorm2d, channels: slice) -> None:
    assert norm.running_mean is not None and norm.running_var is not None
    part.weight, part.bias = fuse_conv_bn_weights(
        part.weight, part.bias, norm.running_mean[channels], norm.running_var[channels], norm.eps,
        norm.weight[channels], norm.bias[channels],
        transpose=isinstance(part, nn.ConvTranspose2d))


class SubPixels(nn.Module):
    """A trained `Upsampling` (in eval mode), computed as a 3×3 convolution whose channels are the
    stride² output pixels of every input pixel; a pixel shuffle follows (Shi et al., CVPR 2016). The
    result is the same; with few channels, such as one per class, it is several times faster on
    CPUs.
    """

    def __init__(self, upsampling: nn.Module) -> None:
        super().__init__()
        assert isinstance(upsampling, Upsampling)
        convolution = copy.deepcopy(upsampling.convolution)
        _fold(convolution, upsampling.norm, slice(None))
        assert convolution.bias is not None
        stride = int(convolution.stride[0])
        weight = _as_convolution(convolution.weight, stride)
        self.weight = nn.Parameter(weight.detach(), requires_grad=False)
        self.bias = nn.Parameter(convolution.bias.detach().repeat_interleave(stride**2),
                                 requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, self.bias, padding=1)


def _as_convolution(weight: Tensor, stride: int) -> Tensor:
    """The kernel of a transposed convolution padded by s/2, in×out×2s×2s, → (out·s²)×in×3×3.

    Output s·i + p gets input i + t − 1 times the kernel at p + s/2 + s·(1 − t), and nothing if that
    position is outside the kernel.
    """
    phase, tap = torch.arange(stride)[:, None], torch.arange(3)[None]
    place = phase + stride // 2 + stride * (1 - tap)
    outside = 2 * stride  # a row and a column of zeros
    place = torch.where((place >= 0) & (place < outside), place, outside)
    taps = F.pad(weight, (0, 1, 0, 1))[:, :, place][..., place]  # in, out, p, t, p, t
    return taps.permute(1, 2, 4, 0, 3, 5).reshape(-1, weight.shape[0], 3, 3)
