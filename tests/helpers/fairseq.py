"""A checkpoint as fairseq writes AV-HuBERT's: the weights of all paths under `model`, plain settings beside them."""

from pathlib import Path

import torch

from audio.avhubert import AvHubertConfig


def sound_layout(config: AvHubertConfig) -> dict[str, tuple[int, ...]]:
    """The published layout of the sound path, written down from its public configuration."""
    w, h = config.width, config.hidden
    keys = {
        "mask_emb": (104,), "feature_extractor_audio.proj.weight": (w, 104), "feature_extractor_audio.proj.bias": (w,),
        "layer_norm.weight": (2 * w,), "layer_norm.bias": (2 * w,),
        "post_extract_proj.weight": (w, 2 * w), "post_extract_proj.bias": (w,),
        "encoder.pos_conv.0.bias": (w,), "encoder.pos_conv.0.weight_g": (1, 1, config.kernel),
        "encoder.pos_conv.0.weight_v": (w, w // config.groups, config.kernel),
        "encoder.layer_norm.weight": (w,), "encoder.layer_norm.bias": (w,),
    }  # fmt: skip
    for layer in range(config.layers):
        parts = {f"self_attn.{name}_proj": (w, w) for name in "kvq"} | {
            "self_attn.out_proj": (w, w), "fc1": (h, w), "fc2": (w, h),
        }  # fmt: skip
        for name, shape in parts.items():
            keys |= {f"encoder.layers.{layer}.{name}.weight": shape, f"encoder.layers.{layer}.{name}.bias": shape[:1]}
        for name in ("self_attn_layer_norm", "final_layer_norm"):
            keys |= {f"encoder.layers.{layer}.{name}.{kind}": (w,) for kind in ("weight", "bias")}
    return keys


def save_published(path: Path, config: AvHubertConfig) -> Path:
    """Made-up weights in that layout, half precision, with what belongs to the eyes and to pre-training."""
    generator = torch.Generator().manual_seed(3)
    others = {
        "feature_extractor_video.resnet.frontend3D.0.weight": (64, 1, 5, 7, 7),
        "feature_extractor_video.proj.weight": (config.width, 512), "final_proj.weight": (256, config.width),
        "final_proj.bias": (256,), "label_embs_concat": (2004, 256),
    }  # fmt: skip
    weights = {}
    for name, shape in (sound_layout(config) | others).items():
        values = torch.randn(shape, generator=generator) / max(shape[-1] if len(shape) > 1 else 4, 1) ** 0.5
        scale = ("norm" in name and name.endswith("weight")) or name.endswith("weight_g")
        weights[name] = (values.abs() + 0.5 if scale else values).half()
    torch.save({"args": None, "cfg": {"task": {"stack_order_audio": 4}}, "model": weights, "extra_state": {}}, path)
    return path
