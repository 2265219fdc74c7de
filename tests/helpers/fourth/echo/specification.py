"""What others ask of it."""

from dataset import WindowConfig
from guided_diffusion.engine.train_config import TrainConfig
from guided_diffusion.unet import UNet
from systems.objective import ObjectiveConfig
from systems.preset import Preset
from systems.specification import SelfContained

from .system import Echo, EchoConfig

PRESETS = {
    "echo-tiny": Preset(
        "echo",
        EchoConfig(),
        ObjectiveConfig(
            variational=0.0, reconstruction=0.0, sync=0.0, perceptual=0.0, adversarial=0.0, x0_scale="plain",
        ),
        TrainConfig(
            steps=2, batch=2, warmup=0, cooldown=0, precision="fp32", save_every=2, log_every=1, evaluate_every=2,
        ),
        WindowConfig(frames=1),
    )
}  # fmt: skip


class EchoSpecification(SelfContained[EchoConfig, Echo]):
    """Everything else is as for any system that fills faces in."""

    kind = "echo"
    config = EchoConfig
    presets = PRESETS

    def build(self, config: EchoConfig) -> Echo:
        return Echo(config)

    def unet(self, model: Echo) -> UNet:
        return model.network.unet


SPECIFICATIONS = (EchoSpecification(),)
