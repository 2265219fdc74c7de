"""Every figure of the papers for a folder of results, and what models are worth: python -m evaluation.

`flags` names the subcommands, each a file of `commands`.  A `Protocol` says what is compared, a `VideoSample` is one
video as the metrics see it, a `Metric` is fed clip by clip, a `MetricSpec` is a metric or why it cannot be had
here, and `evaluate` makes of them an `Evaluation`, which `report` writes.
"""
