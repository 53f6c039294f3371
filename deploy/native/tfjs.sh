#!/usr/bin/env bash
# tfjs.sh FOLDER [cpu|gpu]
# Makes FOLDER with @tensorflow/tfjs-node (cpu) or @tensorflow/tfjs-node-gpu 4.22.0 and a native part that works, for
# EMOTUNE_TFJS=FOLDER. Their own installers download from a host that is not a package registry; here the library and its headers
# come from TensorFlow's wheel on PyPI, and the binding is compiled against them. Linux on x86-64 with node, npm, python3 and g++.
#   TFJS_CACHE    where downloads are kept (default ~/.cache/emotune-tfjs)
#   TFJS_CUDA=1   with gpu: also NVIDIA's CUDA 12 libraries, 1.7 GB
# Safe to run again.
set -euo pipefail
version=4.22.0
folder=${1:?usage: tfjs.sh FOLDER [cpu|gpu]}
case ${2:-cpu} in
  cpu) package=@tensorflow/tfjs-node wheel=tensorflow-cpu tensorflow=2.13.1
       sha256=87be6e61314b2c0fa062f71e26e41d6a17e162ffe4da72c820fe8f1fc94d97fe ;;
  gpu) package=@tensorflow/tfjs-node-gpu wheel=tensorflow tensorflow=2.20.0
       sha256=481499fd0f824583de8945be61d5e827898cdaa4f5ea1bc2cc28ca2ccff8229e ;;
  *) echo "tfjs.sh: expected cpu or gpu, got $2" >&2; exit 2 ;;
esac
die() { echo "tfjs.sh: $*" >&2; exit 3; }
[ "$(uname -sm)" = 'Linux x86_64' ] || die "needs Linux on x86-64, got $(uname -sm)"
for tool in node npm python3 g++; do command -v "$tool" > /dev/null || die "needs $tool"; done

cache=${TFJS_CACHE:-$HOME/.cache/emotune-tfjs}
mkdir -p "$cache" "$folder"
exec 9> "$cache/lock"; flock 9
temporary=$(mktemp -d "$cache/tmp.XXXXXX"); trap 'rm -rf "$temporary"' EXIT
platforms=(); for p in manylinux1 manylinux2014 manylinux_2_17 manylinux_2_27; do platforms+=(--platform "${p}_x86_64"); done
only=(--no-deps --only-binary=:all: --python-version 3.11 --implementation cp --abi cp311 "${platforms[@]}")
pip() { PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore python3 -m pip -q "$@" >&2; }

# The library, its C headers and what its makers say of its licence.
library=$cache/$wheel-$tensorflow
if [ ! -e "$library/complete" ]; then
  pip download "${only[@]}" -d "$temporary" "$wheel==$tensorflow"
  file=$(ls "$temporary"/*.whl)
  echo "$sha256  $file" | sha256sum -c --quiet >&2 || die "$file is not the wheel that this script names"
  python3 - "$file" "$temporary/site" <<'PY'
import re, sys, zipfile
wanted = re.compile(r'^tensorflow/(libtensorflow_(cc|framework)\.so\.2$|include/(tensorflow/c/|.*ctstring|.*tsl/c/))|\.dist-info/(LICENSE|METADATA|licenses/)')
with zipfile.ZipFile(sys.argv[1]) as wheel:
    for name in filter(wanted.search, wheel.namelist()):
        wheel.extract(name, sys.argv[2])
PY
  chmod 755 "$temporary"/site/tensorflow/*.so.2
  touch "$temporary/site/complete"; rm -rf "$library"; mv "$temporary/site" "$library"
fi
if [ "${2:-cpu}" = gpu ] && [ -n "${TFJS_CUDA:-}" ] && [ ! -e "$library/cuda" ]; then
  # The versions that it was built with; it looks for them beside itself.
  mapfile -t nvidia < <(python3 - "$library" <<'PY'
import glob, re, sys
for line in open(glob.glob(sys.argv[1] + '/*.dist-info/METADATA')[0]):
    need = re.match(r'Requires-Dist: (nvidia[\w-]+)\s*\(?([^;)]*)\)?\s*;.*and-cuda', line)
    if need:
        print(need[1] + '==' + re.search(r'[>=]=\s*([\d.]+)', need[2])[1])
PY
  )
  pip install --no-compile "${only[@]}" --target "$library" "${nvidia[@]}"
  touch "$library/cuda"
fi

# The package without its installer, and the headers of Node's native interface.
[ -e "$folder/package.json" ] || echo '{ "private": true }' > "$folder/package.json"
(cd "$folder" && npm install --silent --no-audit --no-fund --ignore-scripts "$package@$version" >&2)
if [ ! -e "$cache/napi/node_api.h" ]; then
  (cd "$temporary" && npm pack --silent node-api-headers@1.9.0 > /dev/null && tar xf node-api-headers-1.9.0.tgz)
  mkdir -p "$cache/napi"; cp "$temporary"/package/include/*.h "$cache/napi/"
fi

module=$folder/node_modules/$package
binding=$module/lib/napi-v8/tfjs_binding.node
mkdir -p "$(dirname "$binding")" "$module/deps"
rm -rf "$module/deps/lib"; ln -s "$library/tensorflow" "$module/deps/lib"
g++ -std=c++17 -O2 -fPIC -shared -s -DNAPI_VERSION=8 -DBUILDING_NODE_EXTENSION -I"$cache/napi" -I"$library/tensorflow/include" \
  "$module"/binding/*.cc -o "$temporary/binding.node" \
  -L"$library/tensorflow" -l:libtensorflow_cc.so.2 -l:libtensorflow_framework.so.2 '-Wl,-rpath,$ORIGIN/../../deps/lib'
mv "$temporary/binding.node" "$binding"
echo "EMOTUNE_TFJS=$(cd "$folder" && pwd)"
