"""How a network is trained and kept, whatever it is: trainer, step, checkpoints, processes, devices, settings."""
