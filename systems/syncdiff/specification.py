"""SyncDiff as a kind of model: what others ask of it, and how it is trained."""

from torch import nn

from core.errors import Mismatch
from dataset import WindowConfig
from guided_diffusion.engine.train_config import TrainConfig

from ..components import Components
from ..preset import SMALL_DIFFUSION, SMALL_HEARING, SMALL_UNET, Preset
from ..sound import SoundConfig
from ..specification import Specification, Start, Teachers
from .config import SyncDiffConfig
from .network import SyncDiffNetwork
from .system import SyncDiff
from .training import SyncDiffObjective, SyncDiffTraining

# The paper's network is the default of its config; `small` is ours.
PRESETS = {
    "syncdiff-128": Preset(
        "syncdiff", SyncDiffConfig(), SyncDiffObjective(), TrainConfig(precision="bf16"), WindowConfig(frames=1)
    ),
    "syncdiff-small": Preset(
        "syncdiff",
        SyncDiffConfig(
            unet=SMALL_UNET,
            audio_encoder="mel",
            mel=SoundConfig(res_blocks=1),
            audio_tokens=16,
            diffusion=SMALL_DIFFUSION,
            **SMALL_HEARING,
        ),
        SyncDiffObjective(
            x0_scale="plain", shared_step=False, mouth_weight=15.0, train_audio_encoder=False, own_output=0.25,
            own_steps="2",
        ),
        TrainConfig(
            steps=20_000, batch=16, learning_rate=4e-4, warmup=100, ema=(0.999,), precision="bf16",
            save_every=250, evaluate_every=500,
        ),
        WindowConfig(frames=2, margin=5, balance=0.75, zoom=0.14, voice_jitter=6),
    ),
}  # fmt: skip


class SyncDiffSpecification(Specification[SyncDiffConfig, SyncDiffNetwork, SyncDiff]):
    """What is trained is the network; in latents, an autoencoder lies beside it."""

    kind = "syncdiff"
    config = SyncDiffConfig
    components = ("autoencoder",)
    presets = PRESETS

    def build(self, config: SyncDiffConfig) -> SyncDiffNetwork:
        return SyncDiffNetwork(config)

    def assemble(self, model: SyncDiffNetwork, components: Components) -> SyncDiff:
        return SyncDiff(model, components.space)

    def audio_encoder(self, model: SyncDiffNetwork) -> nn.Module:
        return model.hearing.encoder

    def check(self, preset: Preset[SyncDiffConfig], start: Start) -> None:
        config = preset.model
        if config.audio_encoder == "avhubert" and config.frozen and not (start.audio_encoder or start.init):
            raise Mismatch(
                "AV-HuBERT's frozen layers need its published weights: pass them with --audio_encoder, or train on the"
                " mel with --system syncdiff-small"
            )

    def trainable(self, preset: Preset[SyncDiffConfig], model: SyncDiff, teachers: Teachers) -> SyncDiffTraining:
        loss_networks = self.loss_networks(preset, teachers)
        assert isinstance(preset.loss, SyncDiffObjective)
        if preset.loss.own_output and preset.window_config.frames < 2:
            raise Mismatch(
                "own frames as pose need sequences: use --set data.frames=2, or leave them out with"
                " --set loss.own_output=0"
            )
        return SyncDiffTraining(model, preset.loss, loss_networks)


SPECIFICATIONS = (SyncDiffSpecification(),)
