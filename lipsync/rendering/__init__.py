"""From a plan to pictures: the network in batches, frames that follow each other, paste, views."""
