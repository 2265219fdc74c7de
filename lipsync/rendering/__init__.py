"""From a plan to pictures: the network in batches, where its faces come from, compositing, views."""
