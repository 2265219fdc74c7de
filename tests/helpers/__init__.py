"""What several tests share: tiny networks, painted faces, made-up videos."""
