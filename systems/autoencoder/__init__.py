"""Autoencoders, in whose latents systems may fill faces in: one of our own, and those that others have published."""

from .model import Autoencoder, AutoencoderConfig, ResidualUnit
from .published import load_published

__all__ = ["Autoencoder", "AutoencoderConfig", "ResidualUnit", "load_published"]
