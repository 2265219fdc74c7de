"""Footage that lies on the device as bytes, whole, and is drawn, varied and resampled there: what feeds a GPU.

What is drawn is a function of (seed, step), as in `sampling.py`; only which frames are drawn is decided on the CPU.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from audio import MELS, WINDOW
from core.errors import BadInput, Mismatch, NoData
from core.memory import available_memory
from video.opening import one_thread_each

from .clip import ClipBatch, Needs
from .conditions import AudioFeatures
from .pack import PackClip
from .sampling import WindowConfig, balanced, check_batch

MARGIN = 0.25    # of a face that lies on the device around it, so that it can be moved, turned and shown smaller
FINER = 1.2      # times as many pixels as the network sees, so that resampling them once more costs no sharpness
LUMA = 0.299, 0.587, 0.114  # of red, green and blue in the brightness of a colour (ITU-R BT.601)
RESERVED = 0.55  # share of the memory that is free which frames may take


class Resident:
    """Draws batches of windows from packed clips, all frames of which are in the memory of the device.

    Clips too short for a window and a reference are left out.  BadInput if none is left, or they do not fit.
    """

    def __init__(
        self,
        clips: Sequence[PackClip],
        config: WindowConfig,
        *,
        batch: int,
        seed: int,
        needs: Needs,
        device: torch.device,
    ) -> None:
        if needs.filterbanks:
            raise Mismatch("a pack is drawn without the filter banks that AV-HuBERT hears; prepare a folder of clips")
        check_batch(batch, config.per_clip)
        least = config.frames + needs.before
        self.clips = [clip for clip in clips if len(clip) > least]
        if not self.clips:
            raise NoData(f"no clip has more than {least} frames; pack longer ones")
        self.config, self.batch, self.seed, self.needs, self.device = config, batch, seed, needs, device
        self.size = self.clips[0].size
        self.lengths = np.array([len(clip) for clip in self.clips])
        self.starts = np.concatenate([[0], np.cumsum(self.lengths)[:-1]])
        self.weights = balanced([clip.speaker for clip in self.clips], self.lengths.tolist(), config.balance)
        self.openings = np.concatenate([clip.labels.opening for clip in self.clips])
        self.frames = _loaded(self.clips, round(self.size * FINER), device)

    def __getitem__(self, step: int) -> ClipBatch:
        rng = np.random.default_rng([self.seed, step])
        t, lead, count = self.config.frames, self.needs.before, self.config.per_clip
        indices = rng.choice(len(self.clips), self.batch // count, p=self.weights)
        starts = lead + self._starts(rng, self.lengths[indices] - t - lead + 1)
        clips = indices.repeat(count)                                    # windows of one clip stand next to each other
        own = starts[:, None] + np.arange(-lead, t)                     # [b, lead + t]
        shown = self._references(rng, self.lengths[clips], starts, self.starts[clips])  # [b, k]
        how = self._variation(rng, (len(indices), own.shape[1] + shown.shape[1])).repeated(count)
        if self.config.single_reference:
            single = (rng.random(len(indices)) < self.config.single_reference).repeat(count)
            shown[single] = shown[single, :1]
            how = how.alike(single, lead + t)
        numbers = np.concatenate([self.starts[clips][:, None] + own, shown], axis=1)
        pictures = self._pictures(numbers, how)
        faces, references = pictures[:, lead : lead + t], pictures[:, lead + t :]
        audio, speech = self._sound(rng, indices, starts.reshape(-1, count))
        several = self.needs.references > 1
        return ClipBatch(
            faces=faces,
            reference=references[:, :1].expand_as(faces),
            audio=audio,
            speech=speech,
            clip=torch.from_numpy(clips).to(self.device),
            before=pictures[:, :lead] if lead else None,
            references=references[:, None].expand(-1, t, -1, -1, -1, -1) if several else None,
        )

    def _starts(self, rng: Generator, rooms: NDArray[np.int64]) -> NDArray[np.int64]:
        """So many windows of each clip as the config says, different ones where there is room, end to end."""
        count = self.config.per_clip
        if count == 1:  # all at once: a GPU waits for this
            return np.asarray(rng.random(len(rooms)) * rooms).astype(np.int64)
        return np.concatenate([rng.choice(room, count, replace=room < count) for room in rooms.tolist()])

    def _references(
        self, rng: Generator, lengths: NDArray[np.int64], starts: NDArray[np.int64], first: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Frames outside the window and its margin, where there are any, else outside the window.  [b, k]"""
        t, count = self.config.frames, self.needs.references
        low, high = starts - self.config.margin, starts + t + self.config.margin
        free = np.maximum(low, 0) + np.maximum(lengths - high, 0)
        low, high = np.where(free > 0, low, starts), np.where(free > 0, high, starts + t)
        before = np.maximum(low, 0)
        free = before + np.maximum(lengths - high, 0)
        drawn = (rng.random((len(starts), count)) * free[:, None]).astype(int)
        frames = np.where(drawn < before[:, None], drawn, drawn - before[:, None] + high[:, None])
        frames = frames + first[:, None]
        if self.needs.ordered:
            frames = np.take_along_axis(frames, np.argsort(-self.openings[frames], axis=1, kind="stable"), axis=1)
        return np.asarray(frames)

    def _variation(self, rng: Generator, shape: tuple[int, ...]) -> "Variation":
        """How each picture is shown: the windows of a row alike, references a little apart from what they are for."""
        b, n = shape
        c, t = self.config, self.needs.before + self.config.frames
        flag = 1.0 if c.augment else 0.0
        side = 1 - rng.uniform(-c.zoom / 2, c.zoom / 2, (b, 1)) * np.ones((1, n))
        turn = np.radians(rng.uniform(-c.rotate, c.rotate, (b, 1))) * np.ones((1, n))
        shift = rng.uniform(-c.zoom / 2, c.zoom / 2, (b, 1, 2)) * np.ones((1, n, 1))
        apart = (np.arange(n) >= t) * c.reference_jitter
        side = side * (1 + apart * rng.uniform(-1, 1, (b, n)))
        turn = turn + apart * rng.uniform(-1, 1, (b, n))
        shift = shift + apart[:, None] * rng.uniform(-1, 1, (b, n, 2))
        mirrored = (rng.random((b, 1)) < 0.5 * flag) & np.ones((1, n), bool)
        gain, offset = 1 + flag * rng.uniform(-0.15, 0.15, b), flag * rng.uniform(-12, 12, b)
        bends = rng.normal(0, 2 * c.elastic, (b, 2, 4, 4)) if c.elastic else None
        mixing, light = _colours(rng, b, c.colour_jitter) if c.colour_jitter else (None, None)
        return Variation(side, turn, shift, mirrored, gain, offset, bends, mixing, light)

    def _pictures(self, numbers: NDArray[np.int64], how: "Variation") -> Tensor:
        """[b, n, 3, s, s] in [-1, 1]"""
        b, n = numbers.shape
        stored = self.frames[torch.from_numpy(numbers.ravel()).to(self.device)].float()  # [b n, 3, m, m]
        theta = torch.from_numpy(how.matrices(1 + MARGIN).reshape(-1, 2, 3)).to(self.device)
        grid = F.affine_grid(theta, [b * n, 3, self.size, self.size], align_corners=False)
        if how.bends is not None:                                       # all pictures of a row alike, upright or not
            bends = _to(self.device, how.bends)
            field = F.interpolate(bends, size=self.size, mode="bicubic", align_corners=True).permute(0, 2, 3, 1)
            grid = grid + (field / (1 + MARGIN)).repeat_interleave(n, dim=0)
        shown = F.grid_sample(stored, grid, padding_mode="border", align_corners=False).reshape(
            b, n, 3, self.size, self.size
        )
        gain, offset = (_to(self.device, values).view(b, 1, 1, 1, 1) for values in (how.gain, how.offset))
        if how.mixing is not None and how.light is not None:
            line = torch.linspace(-1, 1, self.size, device=self.device)
            light = _to(self.device, how.light).view(b, 2, 1, 1)
            falling = 1 + light[:, :1] * line + light[:, 1:] * line[:, None]  # [b, 1, s, s]
            shown = torch.einsum("bij,bnjhw->bnihw", _to(self.device, how.mixing), shown) * falling[:, None]
        return (((shown - 127.5) * gain + offset) / 127.5).clamp(-1, 1)

    def _sound(
        self, rng: Generator, chosen: NDArray[np.int64], starts: NDArray[np.int64]
    ) -> tuple[dict[str, Tensor], Tensor]:
        """What is heard around each frame, and with each window [b, 80, 16], zeros for who does not listen.

        starts [clips, windows of a clip]: those of one clip are heard in one voice.
        """
        t = self.config.frames
        if not self.needs.audio:
            return {}, torch.zeros(1, MELS, WINDOW, device=self.device).expand(self.batch, -1, -1)
        windows: dict[str, list[NDArray[np.float32]]] = {condition.name: [] for condition in self.needs.audio}
        speech = []
        voices = self.config.voice_jitter
        for number, own in zip(chosen, starts.tolist(), strict=True):
            clip = self.clips[number]
            voice = clip.mel.vocal_tract_perturbed(rng.uniform(-voices, voices), 1 + rng.uniform(-voices, voices) / 100)
            sound = AudioFeatures(voice, None, clip.name)  # a pack keeps no filter banks
            for condition in self.needs.audio:
                windows[condition.name] += [condition.windows(sound, start, start + t, clip.fps) for start in own]
            speech += [voice.span(start, t, clip.fps) for start in own]
        return {name: _on(self.device, values) for name, values in windows.items()}, _on(self.device, speech)


@dataclass(frozen=True)
class Variation:
    """side, turn [b, n] (of the crop; radians), shift [b, n, 2] (of the crop), mirrored [b, n]; gain, offset [b].

    bends [b, 2, 4, 4] of half a side, at points of a grid over the face; mixing [b, 3, 3] of the channels; light [b, 2]
    how much brighter it is at the right and lower edge.  None: not varied.
    """

    side: NDArray[np.float64]
    turn: NDArray[np.float64]
    shift: NDArray[np.float64]
    mirrored: NDArray[np.bool_]
    gain: NDArray[np.float64]
    offset: NDArray[np.float64]
    bends: NDArray[np.float64] | None = None
    mixing: NDArray[np.float64] | None = None
    light: NDArray[np.float64] | None = None

    def repeated(self, count: int) -> "Variation":
        """Each row so many times."""
        values: list[Any] = [getattr(self, field.name) for field in fields(self)]
        rows: list[Any] = [None if value is None else value.repeat(count, axis=0) for value in values]
        return Variation(*rows)

    def alike(self, rows: NDArray[np.bool_], first: int) -> "Variation":
        """Pictures from `first` on of these rows [b] are placed as that one is."""
        placed = {}
        for name in ("side", "turn", "shift"):
            values = getattr(self, name).copy()
            values[rows, first:] = values[rows, first : first + 1]
            placed[name] = values
        return replace(self, **placed)

    def matrices(self, shown: float) -> NDArray[np.float32]:
        """f32 [b, n, 2, 3]: from the crop to stored pictures `shown` times as large, both in [-1, 1]."""
        across, along = self.side * np.cos(self.turn) / shown, self.side * np.sin(self.turn) / shown
        flip = np.where(self.mirrored, -1.0, 1.0)
        rows = np.stack([
            np.stack([across * flip, -along, 2 * self.shift[..., 0] / shown], axis=-1),
            np.stack([along * flip, across, 2 * self.shift[..., 1] / shown], axis=-1),
        ], axis=-2)  # fmt: skip
        return rows.astype(np.float32)


def _loaded(clips: Sequence[PackClip], size: int, device: torch.device) -> Tensor:
    """All frames, u8 [n, 3, m, m]: a face of `size` pixels with its margin.  BadInput if they do not fit."""
    wider = [replace(clip, size=size, margin=MARGIN) for clip in clips]
    side, total = wider[0].shown, sum(len(clip) for clip in clips)
    _check_room(total, side, device)
    frames = torch.empty(total, 3, side, side, dtype=torch.uint8, device=device)
    starts = np.concatenate([[0], np.cumsum([len(clip) for clip in clips])]).tolist()

    def read(place: int) -> None:
        pictures = torch.from_numpy(wider[place].pictures(range(len(wider[place]))))
        frames[starts[place] : starts[place + 1]] = pictures.permute(0, 3, 1, 2).to(device)
        bar.update(len(pictures))

    with (
        one_thread_each(),
        tqdm(total=total, desc="load", unit="frame", disable=None) as bar,
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        list(pool.map(read, range(len(clips))))
    return frames


def _colours(rng: Generator, count: int, most: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mixing [n, 3, 3]: more or less of each channel, and of the difference between them; light [n, 2]."""
    saturation = 1 + rng.uniform(-2 * most, 2 * most, (count, 1, 1))
    mixing = saturation * np.eye(3) + (1 - saturation) * np.array(LUMA)
    gains = 1 + rng.uniform(-most, most, (count, 3, 1))
    return mixing * gains, rng.uniform(-2 * most, 2 * most, (count, 2))


def _to(device: torch.device, values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32)).to(device)


def check_fits(frames: int, size: int, device: torch.device) -> None:
    """BadInput if so many frames of faces of `size` pixels are more than the memory of a device may hold."""
    _check_room(frames, round(round(size * FINER) * (1 + MARGIN)), device)


def _check_room(frames: int, side: int, device: torch.device) -> None:
    needed, free = frames * 3 * side * side, _free(device)
    if needed > RESERVED * free:
        raise BadInput(
            f"the {frames} frames of the pack take {needed / 1e9:.1f} GB, {device} has {free / 1e9:.1f} GB free;"
            " take fewer pieces, or prepare the clips with python -m dataset.prepare, which are read from the disk"
        )


def _on(device: torch.device, values: Sequence[NDArray[np.float32]]) -> Tensor:
    return torch.from_numpy(np.stack(values)).to(device)


def _free(device: torch.device) -> float:
    """Bytes."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    return available_memory()
