"""Results on their way to files: jobs, chunks, who makes what, what is finished."""
