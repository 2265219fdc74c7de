"""How each checkpoint that ships is made: the stages of scripts/train_shipped.py, in their order.  It is no program."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

FRAMING, LANDMARKS, SYNC = "framing.safetensors", "landmarks.safetensors", "sync.safetensors"


@dataclass(frozen=True)
class Stage:
    """One training: of a preset by train.py, or by a script of its own.

    result   what it makes, below OUTPUT
    preset   that train.py trains; empty where it is a script's
    script   below the root of the project
    inputs   (flag, what it names below OUTPUT): results of earlier stages, or the folder that one lies in
    files    flags of train.py whose file the user names, by the same flags
    words    more of its command: what is not as in the preset
    quick    words that come last with --quick
    cpu      trained on the CPU, whatever --device says
    """

    name: str
    result: str
    preset: str = ""
    script: str = "train.py"
    inputs: tuple[tuple[str, str], ...] = ()
    files: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    quick: tuple[str, ...] = ()
    cpu: bool = False

    @property
    def run(self) -> str:
        """The folder of its run, below OUTPUT; only train.py has one."""
        return f"runs/{self.name}"

    @property
    def record(self) -> str:
        """Where it is noted how it was begun, below OUTPUT."""
        return f"runs/{self.name}.json"

    @property
    def hurried(self) -> "Stage":
        """The same in two steps, for --quick."""
        return replace(self, words=(*self.words, *self.quick))


def _set(*settings: str) -> tuple[str, ...]:
    return tuple(word for setting in settings for word in ("--set", setting))


def _quick(batch: int) -> tuple[str, ...]:
    """Two steps that show that everything fits together, and nothing else."""
    return _set(f"train.batch={batch}", "train.steps=2", "train.warmup=0", "train.cooldown=0", "train.log_every=1",
                "train.evaluate_every=1000000")  # fmt: skip


def _made(name: str) -> str:
    """Where the checkpoint of a stage lies, below OUTPUT, as its namesake lies in checkpoints/."""
    return f"checkpoints/{name}"


BASE, READER = "parts/diff2lip-base.safetensors", "parts/motion-reader.safetensors"
MOTION, SMALL_MOTION = "parts/motion-medium.safetensors", "parts/motion-small.safetensors"

STAGES = (
    Stage("framing", _made(FRAMING), script="scripts/train_framing.py", quick=("--steps", "2"), cpu=True),
    Stage(
        "landmarks", _made(LANDMARKS), script="scripts/train_alignment.py", words=("--steps", "8000", "--batch", "256"),
        quick=("--steps", "2", "--batch", "8"),
    ),
    Stage("sync", _made(SYNC), "sync", quick=_quick(8)),
    Stage(  # as many faces as the one that ships has seen, in one piece
        "diff2lip-base", BASE, "diff2lip-small", inputs=(("--audio_encoder", _made(SYNC)),),
        words=_set("train.steps=7000", "train.cooldown=1600"), quick=_quick(2),
    ),
    Stage(  # the sync term, which wants 5 frames
        "diff2lip-small", _made("diff2lip-small.safetensors"), "diff2lip-small",
        inputs=(("--init", BASE), ("--expert", _made(SYNC))),
        words=_set("loss.sync=0.03", "data.frames=5", "train.batch=6", "train.steps=250", "train.learning_rate=1e-4",
                   "train.warmup=20", "train.cooldown=200", "train.ema=[0.98]"),
        quick=_quick(2),
    ),
    Stage(  # 72,000 frames, about as many as the one that ships has seen in four runs
        "syncdiff-small", _made("syncdiff-small.safetensors"), "syncdiff-small",
        inputs=(("--init", _made("diff2lip-small.safetensors")), ("--audio_encoder", _made(SYNC)),
                ("--expert", _made(SYNC))),
        words=_set("loss.sync=0.03", "loss.own_output=0.25", "loss.own_warmup=300", "data.frames=5", "train.batch=6",
                   "train.steps=2400", "train.learning_rate=3e-4", "train.warmup=30", "train.cooldown=900",
                   "train.ema=[0.98]"),
        quick=_quick(2),
    ),
    Stage("motion-reader", READER, "motion-reader", quick=_quick(4)),
    Stage(
        "motion-small", SMALL_MOTION, "motion",
        inputs=(("--init", READER), ("--audio_encoder", _made(SYNC))), words=_set("model.predictor.audio_encoder=mel"),
        quick=_quick(2),
    ),
    Stage(
        "neutral-small", _made("style-small/motion.safetensors"), script="scripts/fit_neutral.py",
        inputs=(("--motion", SMALL_MOTION),), words=("--framing", "box"), cpu=True,
    ),
    Stage(
        "style-small", _made("style-small/weights.safetensors"), "style-small",
        inputs=(("--components", _made("style-small")), ("--init", _made("diff2lip-small.safetensors"))),
        words=_set("train.steps=3900", "train.warmup=50", "train.cooldown=1200", "train.ema=[0.99]"), quick=_quick(2),
    ),
    Stage(
        "motion-medium", MOTION, "motion", inputs=(("--init", READER),),
        files=("--audio_encoder",),
        words=_set("train.batch=24", "train.steps=900", "train.learning_rate=1e-3", "train.precision=fp32",
                   "loss.sound.voice=0.1", "loss.sound.hidden=0.3", "loss.sound.noise=0.3", "loss.sound.versions=3"),
        quick=_quick(2),
    ),
    Stage(
        "neutral-medium", _made("style-medium/motion.safetensors"), script="scripts/fit_neutral.py",
        inputs=(("--motion", MOTION),), words=("--framing", "aligned"), cpu=True,
    ),
    Stage(  # as many faces as the one that ships has seen in three runs, all of them aligned
        "style-medium", _made("style-medium/weights.safetensors"), "style-medium",
        inputs=(("--components", _made("style-medium")),), files=("--features",),
        words=_set("train.batch=256", "train.steps=3700", "train.cooldown=1700", "train.learning_rate=6e-4"),
        quick=_quick(2),
    ),
)  # fmt: skip
NAMES = tuple(stage.name for stage in STAGES)


def makers(stage: Stage, *, quick: bool) -> Iterator[Stage]:
    """The stages whose results it takes."""
    for _, needed in stage.inputs:
        for other in chosen(NAMES, quick=quick):
            if other.result == needed or (other.name != stage.name and other.result.startswith(f"{needed}/")):
                yield other


def chosen(names: Sequence[str], *, quick: bool) -> list[Stage]:
    """Those of these names, in the order in which they can be made."""
    return [stage.hurried if quick else stage for stage in STAGES if stage.name in names]
