# e3 for machines with NVIDIA GPUs: built where CUDA's compiler is, run where only its libraries are.
#
#   docker build -t e3 .                              CUDA_ARCHS=90a builds for one kind of GPU only and is quicker
#   docker run --rm --gpus all -v "$PWD:/data" e3 clip.mp4            results in clip.e3d
#   docker run --rm --gpus all -v "$PWD:/data" -v e3-cache:/cache e3 --model checkpoints.pth clip.mp4
#   docker run --rm --gpus all e3 doctor
#   docker run --rm -i --gpus all --entrypoint e3-infer e3 --budget 10f <frames.e3 >preds.e3      a stage alone
#
# --gpus needs the NVIDIA Container Toolkit on the host; without it e3 computes on the CPU. Files belong to root unless
# --user "$(id -u):$(id -g)" is given. The cache folder, with the checkpoints that `e3-model fetch` gets, is /cache.
ARG CUDA_VERSION=13.0.1
ARG SYSTEM=ubuntu24.04

FROM nvidia/cuda:${CUDA_VERSION}-devel-${SYSTEM} AS build
ENV DEBIAN_FRONTEND=noninteractive
RUN apt-get update && apt-get install -y --no-install-recommends \
        debhelper dpkg-dev xz-utils git ca-certificates build-essential libopencv-dnn-dev libopencv-imgproc-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY tests/deps.sh tests/deps.sh
RUN tests/deps.sh build && rm -rf /var/lib/apt/lists/*
COPY . .
ARG CUDA_ARCHS
# (the archive is made from the last commit, as everywhere)
RUN export ${CUDA_ARCHS:+CUDA_ARCHS="$CUDA_ARCHS"} && make deb

FROM nvidia/cuda:${CUDA_VERSION}-base-${SYSTEM}
ARG CUDA_VERSION
ENV DEBIAN_FRONTEND=noninteractive
COPY --from=build /src/build/deb/*.deb /tmp/
# cuBLAS of this release is what e3-cuda recommends.
RUN apt-get update \
    && release=$(echo "$CUDA_VERSION" | cut -d. -f1,2 | tr . -) \
    && apt-get install -y --no-install-recommends ca-certificates "libcublas-$release" \
        /tmp/e3-tools_*.deb /tmp/e3-onnx_*.deb /tmp/e3-cuda_*.deb \
    && rm -rf /var/lib/apt/lists/* /tmp/*.deb \
    && e3 --version
ENV XDG_CACHE_HOME=/cache
VOLUME /cache
WORKDIR /data
ENTRYPOINT ["e3"]
