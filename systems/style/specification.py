"""Style-preserving lip sync as two kinds of models: stage 1, lip motion, and stage 2, the renderer."""

from dataclasses import replace
from pathlib import Path

import torch

from core.errors import BadValue, Mismatch
from dataset import ClipBatch, WindowConfig
from guided_diffusion.engine.checkpoint import load_strictly
from guided_diffusion.engine.device import PRECISIONS
from guided_diffusion.engine.train_config import TrainConfig
from guided_diffusion.samplers import SampleConfig
from guided_diffusion.unet import UNetConfig

from ..components import Components
from ..model import Model
from ..preset import SMALL_DIFFUSION, SMALL_SAMPLING, SMALL_UNET, Preset, Samplings
from ..specification import AnySpecification, SelfContained, Specification, Start, Teachers
from ..training_data import TrainingData
from .labels import SPACE, labelled
from .lip_motion import MotionSpace
from .motion import PredictorConfig
from .motion_model import LipMotion, LipMotionConfig
from .motion_progress import MotionEvaluate, motion_samples
from .motion_training import PredictingObjective, PredictorTraining, ReaderTraining, ReadingObjective
from .renderer import Renderer, RendererConfig
from .sequences import FaceData, SequenceData
from .system import StyleSystem
from .training import RendererObjective, RendererTraining

# As far as the paper is known, it is the defaults of the configs: diffusion in latents (systems/autoencoder has presets
# of these sizes), nothing shown by channels but the masked face.  At 256 px there is one level more.
ONE_STEP = Samplings(
    sampling=SampleConfig("dpm++", "1", audio_strength=1.15),
    fast=SampleConfig("dpm++", "1", audio_strength=1.15),
    best=SampleConfig("dpm++", "3", audio_strength=1.15),
)
"""Told what the lips do, and predicting x0, more steps are no nearer to the truth, and told a little more, mouths open
as far as real ones (docs/experiments.md)."""
MEDIUM_LOSS = RendererObjective(x0_scale="plain", shared_step=False, mouth_weight=15.0, motion=0.1, perceptual=0.08)

RENDERER_PRESETS = {
    "style-128": Preset(
        "style", RendererConfig(), RendererObjective(), TrainConfig(batch=64, precision="bf16"), WindowConfig(frames=1)
    ),
    "style-256": Preset(
        "style",
        RendererConfig(
            latents=(8, 64, 64),
            unet=UNetConfig(image_size=256, channel_mult=(1, 2, 3, 4), attention_resolutions=(16, 8)),
        ),
        RendererObjective(),
        TrainConfig(precision="bf16"),
        WindowConfig(frames=1),
    ),
    "style-small": Preset(
        "style",
        RendererConfig(
            unet=replace(SMALL_UNET, attention_resolutions=(16, 8)),
            concat_references=1,
            diffusion=SMALL_DIFFUSION,
            **SMALL_SAMPLING,
        ),
        RendererObjective(x0_scale="plain", shared_step=False, mouth_weight=15.0, motion=0.1),
        TrainConfig(
            steps=20_000, batch=16, learning_rate=4e-4, warmup=100, ema=(0.999,), precision="bf16",
            save_every=250, evaluate_every=500,
        ),
        WindowConfig(frames=1, margin=5, balance=0.5, zoom=0.14),
    ),
    "style-medium": Preset(
        "style",
        RendererConfig(
            latents=(),
            unet=replace(
                SMALL_UNET, channels=32, channel_mult=(2, 3, 4, 6), patch=2, attention_resolutions=(16, 8)
            ),
            ordered=True,
            concat_references=2,
            framing="aligned",
            diffusion=SMALL_DIFFUSION,
            **ONE_STEP,
        ),
        MEDIUM_LOSS,
        TrainConfig(
            steps=20_000, batch=128, learning_rate=5e-4, warmup=200, ema=(0.999,), precision="bf16",
            save_every=1000, evaluate_every=1000,
        ),
        WindowConfig(
            frames=1, margin=5, balance=0.5, zoom=0.08, rotate=4.0, reference_jitter=0.02, elastic=0.012,
            colour_jitter=0.06,
        ),
    ),
}  # fmt: skip

# On one person, from style-medium's weights: colours and shapes are those of this face, so they are not varied.
RENDERER_PRESETS["style-medium-person"] = replace(
    RENDERER_PRESETS["style-medium"],
    loss=replace(MEDIUM_LOSS, perceptual=0.0),
    train=TrainConfig(
        steps=100_000, minutes=15, batch=8, learning_rate=5e-5, warmup=20, ema=(0.98,), precision="bf16",
        save_every=50, evaluate_every=50, log_every=10, keep=0,
    ),
    data=WindowConfig(frames=1, margin=5, balance=1.0, zoom=0.06, rotate=3.0, reference_jitter=0.02),
)  # fmt: skip

MOTION_PRESETS = {
    "motion-reader": Preset(
        "motion",
        LipMotionConfig(),
        ReadingObjective(),
        TrainConfig(
            steps=1_200, batch=64, learning_rate=1e-3, warmup=50, cooldown=800, ema=(0.99,), precision="bf16",
            save_every=200, evaluate_every=200,
        ),
        FaceData(),
    ),
    "motion": Preset(
        "motion",
        LipMotionConfig(predictor=PredictorConfig(audio_encoder="whisper", dropout=0.3, gain=True)),
        PredictingObjective(range=1.0, closed=1.0),
        TrainConfig(
            steps=600, batch=32, learning_rate=5e-4, weight_decay=0.05, warmup=100, cooldown=450, ema=(0.99,),
            precision="bf16", save_every=200, evaluate_every=200,
        ),
        SequenceData(),
    ),
}  # fmt: skip


class RendererSpecification(Specification[RendererConfig, Renderer, StyleSystem]):
    """Stage 2: what is trained is the renderer; stage 1 lies beside it, and in latents an autoencoder."""

    kind = "style"
    config = RendererConfig
    components = ("autoencoder", "motion")
    presets = RENDERER_PRESETS

    def build(self, config: RendererConfig) -> Renderer:
        return Renderer(config)

    def assemble(self, model: Renderer, components: Components) -> StyleSystem:
        assert components.motion is not None, "a renderer is told what the lips do"
        return StyleSystem(model, components.space, components.motion.model.reader)

    def without_components(self) -> Components:
        raise BadValue(
            "a renderer needs stage 1: train it with --system motion, put it into a folder as motion.safetensors,"
            " beside autoencoder.safetensors of --system autoencoder to render in latents, and pass the folder with"
            " --components"
        )

    def trainable(
        self, preset: Preset[RendererConfig], model: StyleSystem, teachers: Teachers
    ) -> RendererTraining:
        assert isinstance(preset.loss, RendererObjective)
        return RendererTraining(model, preset.loss, self.loss_networks(preset, teachers))

    def held_out(self, model: StyleSystem, batch: ClipBatch) -> ClipBatch:
        return model.with_motion(batch)


class LipMotionSpecification(SelfContained[LipMotionConfig, LipMotion]):
    """Stage 1: it reads how the lips of a face move, and predicts it from sound; trained in that order."""

    kind = "motion"
    config = LipMotionConfig
    role = "motion"
    presets = MOTION_PRESETS

    def build(self, config: LipMotionConfig) -> LipMotion:
        return LipMotion(config)

    def check(self, preset: Preset[LipMotionConfig], start: Start) -> None:
        if not isinstance(preset.loss, PredictingObjective):
            return
        if start.workers:
            raise BadValue(
                f"--workers {start.workers}: what predicts lip motion hears every clip once, in one process; use 0"
            )
        if start.init is None or start.audio_encoder is None:
            raise Mismatch(
                "what predicts lip motion needs a reader of it and an audio encoder: train a reader with"
                " --system motion-reader and pass it with --init, and with --audio_encoder the first blocks of Whisper"
                " tiny.en's encoder, or for model.predictor.audio_encoder=mel a sync expert"
            )
        if (preset.loss.audio_encoder_rate or preset.loss.sound) and preset.model.predictor.audio_encoder != "whisper":
            raise Mismatch(
                "loss.audio_encoder_rate and loss.sound are for Whisper's ears; leave them at 0, or set"
                " model.predictor.audio_encoder=whisper"
            )

    def trainable(
        self, preset: Preset[LipMotionConfig], model: LipMotion, teachers: Teachers
    ) -> ReaderTraining | PredictorTraining:
        if isinstance(preset.loss, ReadingObjective):
            return ReaderTraining(model, preset.loss)
        assert isinstance(preset.loss, PredictingObjective)
        return PredictorTraining(model, preset.loss)

    def training_data(
        self, preset: Preset[LipMotionConfig], model: LipMotion, components: Components, folder: Path,
        device: torch.device,
    ) -> TrainingData:  # fmt: skip
        """Faces with their motion for a reader, which takes the space that they are known in; else sequences."""
        data = preset.data
        assert isinstance(data, FaceData | SequenceData)
        if isinstance(data, FaceData):
            space = MotionSpace.load(folder / SPACE, model.space.numbers)
            load_strictly(model.space, space.state_dict(), str(folder / SPACE))
        clips = labelled(folder, model.size, model.space.cpu())
        model.space.to(device)
        batch, seed, precision = preset.train.batch, preset.train.seed, PRECISIONS[preset.train.precision]
        loss = preset.loss if isinstance(preset.loss, PredictingObjective) else PredictingObjective()
        anew = loss.hears_anew
        samples = motion_samples(model, data, clips["train"], batch, seed, precision, anew, loss.sound)

        def validation() -> MotionEvaluate | None:
            evaluation = MotionEvaluate(preset.model, model, data, clips, device, precision, anew)
            return evaluation if evaluation.batches else None

        return TrainingData(samples, validation)

    def start_from(self, model: LipMotion, other: Model, origin: AnySpecification, where: str) -> int | None:
        """With another predictor, the space and the reader alone start from the other; the predictor anew."""
        if origin.kind != self.kind or other.config == model.config:
            return super().start_from(model, other, origin, where)
        for name in ("space", "reader"):
            load_strictly(getattr(model, name), getattr(other, name).state_dict(), f"{where}: {name}")
        return sum(len(getattr(model, name).state_dict()) for name in ("space", "reader"))


SPECIFICATIONS = (RendererSpecification(), LipMotionSpecification())
