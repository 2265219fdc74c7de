# docker build -t lip-sync .                          for NVIDIA GPUs (the host needs its container toolkit) and CPUs
# docker build -t lip-sync --build-arg TORCH=cpu .    for CPUs alone, 4.1 GB less
# docker run --rm --gpus all -v "$PWD:/work" lip-sync person.mp4 words.wav result.mp4
FROM python:3.12-slim

ARG TORCH=cuda
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /lip-sync
COPY requirements.txt requirements-dev.txt ./
COPY scripts/setup.py scripts/mpiexec scripts/
RUN PIP_NO_CACHE_DIR=1 TORCH=$TORCH VENV=/opt/venv python scripts/setup.py
ENV PATH=/opt/venv/bin:$PATH VENV=/opt/venv
COPY . .
# a better face detector than the one that comes with OpenCV, if it can be fetched
RUN python scripts/download_weights.py yunet || true
WORKDIR /work
ENTRYPOINT ["python", "/lip-sync/generate.py"]
CMD ["--help"]
