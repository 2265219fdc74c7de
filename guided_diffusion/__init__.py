"""Diffusion that knows nothing of faces or sound: schedule, process, samplers, UNet, and how to train and keep them.

Every module stands for itself (`from guided_diffusion.samplers import sample`); importing the package loads none.
"""
