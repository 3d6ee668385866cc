"""A frame's whole way through the network, uint8 to uint8: what is exported and what torch runs."""
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
from ssma_core.model.decoder import TO_FULL, Decoder
from ssma_core.model.encoder import MultiscaleConvolution
from ssma_core.model.layers import Upsampling
from ssma_core.model_files.exported import FrameFormat, unimodal_output
from ssma_core.spec import ModelSpec

# What a network may be computed in, by its name.
TYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class Predictor(nn.Module):
    """One frame, as the network sees it: what `network_images` makes of it, and answers of its
    size. The network is a copy, in eval mode, with its batch norms folded.

    precision: of the network. What is before and after it is in float32.
    unimodal: names of the modalities whose experts are to answer by themselves, too; of Ssma only.

    forward(*images): one H×W×3 uint8 BGR image a modality →
      "labels" H×W uint8; "confidence" H×W uint8, the softmax of the winning class · 255; "trust",
      of two modalities only, H×W uint8, see `Trust`; "logits" classes×H×W float32. And labels and
      confidence of each expert alone, under the names that `unimodal_output` gives.
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
            decoder.to_full = SubPixels(decoder.to_full)
            if precision == torch.bfloat16:  # TensorRT for RTX 1.7 transposes no convolution in it
                for stage in (decoder.to_eighth, decoder.to_quarter):
                    stage.upsampling = nn.Sequential(SubPixels(stage.upsampling),
                                                     nn.PixelShuffle(2))
        fold_batch_norms(self.network)
        join_halves(self.network)
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
        """The same answers, whole numbers still of a type that TensorRT can work on.

        images: 3×H×W float32 a modality, BGR, 0–255.
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
        answers: dict[str, Tensor] = {}
        for name, decoder, own in zip(self.unimodal, decoders, features):
            maps = self.decision(decoder(*own)[0])
            answers |= {unimodal_output(name, output): maps[output]
                        for output in ("labels", "confidence")}
        return answers


class EndToEnd(nn.Module):
    """One frame's whole way.

    forward(*arrays): the sensors' arrays, as `model_files.exported.frame_inputs` binds them →
      what `Predictor` gives but "logits", brought to the camera's size by nearest neighbour.
    """

    def __init__(self, frame: Predictor, spec: ModelSpec, camera: FrameFormat) -> None:
        super().__init__()
        self.preprocessing = Preprocessing(spec, camera)
        self.frame = frame
        self.to_camera = Nearest(spec.input_size, camera.size)

    def forward(self, *arrays: Tensor) -> dict[str, Tensor]:
        answers = self.with_logits(*arrays)
        del answers["logits"]
        return answers

    def with_logits(self, *arrays: Tensor) -> dict[str, Tensor]:
        """The same, and "logits" as `Predictor` gives them."""
        maps = self.frame.maps(self.preprocessing(*arrays))
        logits = maps.pop("logits")
        return {name: self.to_camera(values).to(torch.uint8)
                for name, values in maps.items()} | {"logits": logits}


class Decision(nn.Module):
    """1×(classes·`TO_FULL`²)×h×w, logits as `SubPixels` makes them → "labels", "confidence" and
    "logits", as of `Predictor.maps`."""

    def forward(self, sub_pixels: Tensor) -> dict[str, Tensor]:
        # Decided first and laid out then, one map is shuffled rather than one a class.
        sub_pixels = sub_pixels.float()
        logits = sub_pixels.squeeze(0).unflatten(0, (-1, TO_FULL**2))
        # The winner's softmax: exp(0) over the sum. Runtimes compute this several times faster than
        # a softmax over the first axis.
        scores = (logits - logits.amax(dim=0)).exp()
        total = weighed(scores, scores.new_ones(1, len(scores))).squeeze(0)
        return {
            "labels": laid_out(logits.argmax(dim=0).float()),
            "confidence": laid_out((255 / total).round()),
            "logits": laid_out(sub_pixels),
        }


class Trust(nn.Module):
    """How much the fusion leans on the second modality, H×W, 0–255, 255 = on nothing else.

    The mean of the three SSMA blocks' shares, all bilinearly enlarged to a quarter of the size, and
    then enlarged to the whole.

    colour, second: how many channels of each are the first modality's and the second's.
    forward(context, eighth, quarter): 1×channels×h×w, what the gates of each block let through.
    """

    def __init__(self, colour: Channels, second: Channels) -> None:
        super().__init__()
        self.context = SecondShare(colour.context, second.context)
        self.eighth = SecondShare(colour.eighth, second.eighth)
        self.quarter = SecondShare(colour.quarter, second.quarter)

    def forward(self, context: Tensor, eighth: Tensor, quarter: Tensor) -> Tensor:
        shares = (enlarged(self.context(context), 4) + enlarged(self.eighth(eighth), 2)
                  + self.quarter(quarter))
        return (enlarged(shares, 4).squeeze((0, 1)) * (255 / 3)).round()


class SecondShare(nn.Module):
    """1×channels×h×w of an SSMA block → 1×1×h×w: what share the second modality has, 0–1, of the
    gated activations at each place: Σ|g·x| / Σ|g·x|, with gates g and features x, the upper sum
    over its channels, the lower over all."""

    channels: Tensor

    def __init__(self, colour: int, second: int) -> None:
        super().__init__()
        seconds = torch.cat([torch.zeros(colour), torch.ones(second)])
        self.register_buffer("channels", torch.stack([seconds, torch.ones(colour + second)]))

    def forward(self, gated: Tensor) -> Tensor:
        second, both = weighed(gated.squeeze(0).float().abs(), self.channels)
        return (second / both.clamp(min=torch.finfo(torch.float32).tiny)).expand(1, 1, -1, -1)


def weighed(maps: Tensor, weights: Tensor) -> Tensor:
    """n×h×w, each the sum of the maps (m×h×w) with its weights (n×m): a product of matrices, since
    runtimes are slow at sums over the first axis."""
    return (weights @ maps.flatten(1)).unflatten(1, maps.shape[1:])


def enlarged(maps: Tensor, times: int) -> Tensor:
    """1×n×h×w, bilinearly."""
    return F.interpolate(maps, scale_factor=times, mode="bilinear")


def laid_out(sub_pixels: Tensor) -> Tensor:
    """`TO_FULL`²×h×w → H×W; 1×(classes·`TO_FULL`²)×h×w → classes×H×W."""
    return F.pixel_shuffle(sub_pixels, TO_FULL).squeeze(0)


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


def join_halves(network: nn.Module) -> None:
    """Makes one convolution of two halves that have the same dilation, as all of the released
    rates' last block have. Their batch norms must be folded."""
    for module in network.modules():
        convolution = getattr(module, "convolution", None)
        if not isinstance(convolution, MultiscaleConvolution):
            continue
        joined, other = _parts(convolution)
        if joined.dilation == other.dilation:
            assert joined.bias is not None and other.bias is not None
            joined.weight = nn.Parameter(torch.cat([joined.weight, other.weight]), False)
            joined.bias = nn.Parameter(torch.cat([joined.bias, other.bias]), False)
            joined.out_channels += other.out_channels
            module.convolution = joined


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


class SubPixels(nn.Module):
    """A trained `Upsampling` (in eval mode), computed as a 3×3 convolution that makes the stride²
    output pixels of every input pixel as channels; a pixel shuffle lays them out (Shi et al., CVPR
    2016). Same answer; several times faster on CPUs where the channels are as few as classes.
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
