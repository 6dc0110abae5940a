#!/bin/bash
# Every subcommand of `mu8` on the committed data, as a user would call it: results, exit codes,
# messages, and what is left on disk after a failure.
#
#   tests/tools/test_cli.sh build/release/mu8 .
#
# Prints each failure and "N passed, N failed"; exits 1 if anything failed.
set -u

if [ $# -ne 2 ]; then
  echo "usage: $0 MU8 REPOSITORY" >&2
  exit 2
fi
HERE=$(realpath "$(dirname "$0")")
MU8=$(realpath "$1")
DATA=$(realpath "$2")/tests/data
MNIST=$DATA/mnist
PYTHON=/usr/bin/python3
if [ ! -x "$MU8" ] || [ ! -d "$MNIST" ]; then
  echo "$0: no program $MU8 or no folder $MNIST" >&2
  exit 2
fi
TMP=$(mktemp -d)
trap 'rm -rf "$TMP"' EXIT
cd "$TMP" || exit 2

passed=0
failed=0
verdict() { # verdict NAME STATUS: counts one check
  if [ "$2" -eq 0 ]; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "FAILED: $1"
    echo "  last command: mu8 $last (exit $code)"
    head -n 5 out | cut -c 1-200 | sed 's/^/  stdout: /'
    head -n 5 err | cut -c 1-200 | sed 's/^/  stderr: /'
  fi
}
last=""
code=0
run() { # run EXIT ARGUMENTS...: runs mu8, stdout in ./out, stderr in ./err; one check
  local expected=$1
  shift
  last="$*"
  "$MU8" "$@" >out 2>err
  code=$?
  [ "$code" -eq "$expected" ]
  verdict "exit code is $code, expected $expected" $?
}
fails() { # fails EXIT TEXT ARGUMENTS...: also nothing on stdout, and TEXT on stderr after "mu8: "
  local expected=$1 text=$2
  shift 2
  run "$expected" "$@"
  [ ! -s out ]
  verdict "a failure prints nothing on stdout" $?
  grep -q "^mu8: .*$text" err
  verdict "stderr says \"mu8: ...$text...\"" $?
}
says() { # says TEXT: stdout of the last command has it
  grep -qe "$1" out
  verdict "stdout has \"$1\"" $?
}
silent() { # nothing on stderr
  [ ! -s err ]
  verdict "stderr is empty" $?
}
json() { # json EXPRESSION: true with d = stdout of the last command parsed as JSON
  "$PYTHON" - "$1" <<'PY' 2>json_problem
import json, math, os, struct, sys
d = json.load(open("out"))
def f32(path):
    data = open(path, "rb").read()
    return struct.unpack("<%df" % (len(data) // 4), data)
def near(a, b, tolerance=1e-9):
    return abs(a - b) <= tolerance * max(1, abs(a), abs(b))
assert eval(sys.argv[1]), "false: " + sys.argv[1]
PY
  verdict "json: $1 $(tail -n 1 json_problem | head -c 200)" $?
}
absent() {
  [ ! -e "$1" ]
  verdict "$1 does not exist" $?
}
same() {
  cmp -s "$1" "$2"
  verdict "$1 and $2 are the same bytes" $?
}

MODEL="--model $DATA/lenet5_mnist.onnx"
POSTERIOR="--posterior $DATA/lenet5_mnist.npz"
NORMAL="--mean 0.1307 --std 0.3081"
CALIBRATION="--calibration $MNIST/calibration-images-idx3-ubyte.gz --calibration-limit 64"
DIGITS=$MNIST/digits-images-idx3-ubyte.gz
BASE="convert $MODEL $POSTERIOR $CALIBRATION"
CONVERT="$BASE $NORMAL"

# ---- The command line as a whole ----
fails 2 "subcommand is required"
fails 2 "" frobnicate
run 0 --help
says "Exit codes:"
run 0 --version
says "^mu8 [0-9]"
for command in convert inspect predict eval bench; do
  run 0 "$command" --help
  says "--json"
done

# ---- Other people's files, made here ----
"$PYTHON" "$HERE/make_cli_inputs.py" "$MNIST"
[ -d folders/zero ]
verdict "the test's own files are made" $?

# ---- convert ----
run 0 $CONVERT -o model.mu8 --json
json 'd["file"] == "model.mu8" and d["file_bytes"] == os.path.getsize("model.mu8")'
json 'd["sigma_bits"] == 8 and d["sigma_quantizer"] == "weighted" and d["seed"] == 1'
json 'd["calibration_images"] == 64 and d["calibration_passes"] == 10 and d["arena_bytes"] > 0'
json 'isinstance(d["notices"], list) and sum(l["weights"] > 0 for l in d["layers"]) == 5'
json 'all({"name", "op", "shape", "weights", "output_saturation"} <= set(l) for l in d["layers"])'
json 'all(0.5 < l["variance_kept"] < 2 for l in d["layers"] if l.get("bayesian"))'
run 0 $CONVERT -o again.mu8
same model.mu8 again.mu8
says "variance kept"
says "again.mu8"
for bits in 4 2 1 0; do
  run 0 $CONVERT --sigma-bits $bits -o sigma$bits.mu8 --json
  json "d['sigma_bits'] == $bits and d['file_bytes'] < os.path.getsize('model.mu8')"
done
run 0 $CONVERT --sigma-bits 4 --sigma-quantizer affine -o affine.mu8
run 0 convert $MODEL --deterministic $CALIBRATION $NORMAL -o plain.mu8 --json
json 'not any(l.get("bayesian") for l in d["layers"])'
run 0 eval plain.mu8 --data "$DIGITS" --limit 20 --samples 3 --json
json 'd["mean_mutual_information"] < 1e-6'
run 0 $CONVERT --sigma-bits 1 --sigma-importance power -o power.mu8 --json
json 'd["sigma_importance"] == "power"'
run 0 $CONVERT --labels labels.txt --name digits --seed 5 --calibration-passes 2 -o named.mu8
cp model.mu8 kept.mu8
fails 1 "missing.onnx" convert --model missing.onnx $POSTERIOR $CALIBRATION -o kept.mu8
fails 1 "missing.npz" convert $MODEL --posterior missing.npz $CALIBRATION -o kept.mu8
fails 1 "missing.idx" convert $MODEL $POSTERIOR --calibration missing.idx -o kept.mu8
same model.mu8 kept.mu8
head -c 100000 "$DATA/lenet5_mnist.npz" >cut.npz
head -c 100000 "$DATA/lenet5_mnist.onnx" >cut.onnx
fails 1 "cut.npz" convert $MODEL --posterior cut.npz $CALIBRATION -o new.mu8
fails 1 "cut.onnx" convert --model cut.onnx $POSTERIOR $CALIBRATION -o new.mu8
fails 1 "" convert $MODEL $POSTERIOR $NORMAL --calibration empty-images-idx3-ubyte -o new.mu8
fails 1 "" convert $MODEL $POSTERIOR $NORMAL --calibration cifar.bin -o new.mu8
fails 1 "" $BASE --mean 0.1,0.2 --std 0.3,0.4 -o new.mu8
fails 1 "" $CONVERT --labels few_labels.txt -o new.mu8
fails 1 "line 2 is empty" $CONVERT --labels gap_labels.txt -o new.mu8
fails 1 "missing.txt" $CONVERT --labels missing.txt -o new.mu8
fails 2 "--std" $BASE --std 0 -o new.mu8
fails 2 "--mean" $BASE --mean a,b -o new.mu8
fails 2 "--sigma-bits" $CONVERT --sigma-bits 3 -o new.mu8
fails 2 "--sigma-quantizer" $CONVERT --sigma-quantizer best -o new.mu8
fails 2 "--calibration-limit" $CONVERT --calibration-limit 0 -o new.mu8
fails 2 "--posterior" convert $MODEL $CALIBRATION -o new.mu8
fails 2 "--deterministic" $CONVERT --deterministic -o new.mu8
fails 2 "--sigma-importance" $CONVERT --sigma-importance best -o new.mu8
fails 2 "--output" $CONVERT
absent new.mu8
fails 1 "no folder nowhere" $CONVERT -o nowhere/new.mu8
fails 1 "is a folder" $CONVERT -o folders
[ -z "$(find . -name '*new.mu8*' -o -name '*kept.mu8?*' -o -name '*partial*')" ]
verdict "failed conversions leave no temporary files" $?

# ---- inspect ----
run 0 inspect model.mu8
says "61706 (61470 weights, 236 biases)"
says "28 x 28 x 1"
silent
run 0 inspect model.mu8 --json
json 'd["weights"] == 61706 and d["weight_count"] == 61470 and d["bias_count"] == 236'
json 'd["file_bytes"] == os.path.getsize("model.mu8") and d["arena_bytes"] > 0'
json 'd["sigma_bits"] == 8 and d["mu_bits"] == 8 and d["format"] == "1.0"'
json 'd["input_shape"] == [28, 28, 1] and d["classes"] == 10 and len(d["labels"]) == 10'
json '[l["index"] for l in d["layers"]] == list(range(len(d["layers"])))'
json 'sum(l["weights"] for l in d["layers"]) == d["weights"]'
json 'all({"name", "op", "input_shape", "output_shape", "parameter_bytes"} <= set(l)
          for l in d["layers"])'
json 'd["layers"][-1]["output_shape"] == [1, 1, 10] and d["layers"][-1]["output_scale"] is None'
json 'isinstance(d["metadata"], dict)'
run 0 inspect sigma2.mu8 --json
json 'd["sigma_bits"] == 2 and all(l["sigma_bits"] == 2 for l in d["layers"] if l.get("bayesian"))'
run 0 inspect "$DATA/golden/every_operator.mu8"
says "2 x 2 x 18 + residual 2 x 2 x 18 of #3 -> 2 x 2 x 18"
says "/2,2 from 1,-1,-6"
run 0 inspect "$DATA/golden/every_operator.mu8" --json
json '[l["op"] for l in d["layers"]] == ["conv2d", "max_pool", "conv2d", "average_pool", "lookup",
      "conv2d", "slice", "add", "average_pool", "multiply", "concat", "dense"]'
json '[l["index"] for l in d["layers"] if l.get("residual")] == [5]'
json 'd["layers"][7]["input"] == 6 and d["layers"][7]["input2"] == 7'
json 'd["layers"][6]["offset"] == [1, -1, -6]'
run 0 inspect named.mu8 --json
json 'd["name"] == "digits" and d["labels"][7] == "seven"'
fails 2 "MODEL" inspect
fails 1 "missing.mu8: no such file" inspect missing.mu8
fails 1 "not a regular file" inspect folders
fails 1 "empty.mu8: mu8 error 1:" inspect empty.mu8
fails 1 "pointer.mu8: mu8 error" inspect pointer.mu8
fails 1 "mu8 error 2:" inspect "$MNIST/digit_0_label7.png"
size=$(stat -c %s model.mu8)
for bytes in 1 63 64 200 $((size / 2)) $((size - 1)); do
  head -c "$bytes" model.mu8 >cut.mu8
  fails 1 "cut.mu8: mu8 error" inspect cut.mu8
done
"$PYTHON" -c 'b = bytearray(open("model.mu8", "rb").read()); b[len(b) // 2] ^= 1
open("flipped.mu8", "wb").write(b)'
fails 1 "flipped.mu8: mu8 error 15:" inspect flipped.mu8
for command in "predict flipped.mu8 $MNIST/digit_0_label7.png" "eval flipped.mu8 --data $DIGITS" \
  "bench flipped.mu8"; do
  fails 1 "flipped.mu8: mu8 error" $command --json
done
if [ -c /dev/full ]; then
  "$MU8" inspect model.mu8 --json >/dev/full 2>err
  code=$?
  [ "$code" -eq 1 ] && grep -q "cannot write to stdout" err
  verdict "a full disk behind stdout is an error" $?
fi

# ---- predict ----
PNGS="$MNIST/digit_0_label7.png $MNIST/digit_1_label2.png $MNIST/digit_2_label1.png
  $MNIST/digit_3_label0.png"
run 0 predict model.mu8 $PNGS --json
json '[p["label"] for p in d["predictions"]] == [7, 2, 1, 0]'
json 'd["samples"] == 50 and d["seed"] == 1 and d["kernels"] in ("scalar", "avx2", "avx512vnni")'
json 'all(len(p["mean"]) == 10 and len(p["standard_deviation"]) == 10 for p in d["predictions"])'
json 'all(near(sum(p["mean"]), 1, 1e-5) for p in d["predictions"])'
json 'all(p["probability"] == max(p["mean"]) == p["top"][0]["probability"]
          for p in d["predictions"])'
json 'all(near(p["predictive_entropy"], p["expected_entropy"] + p["mutual_information"], 1e-5)
          for p in d["predictions"])'
json 'all(near(p["predictive_entropy"], -sum(q * math.log(q) for q in p["mean"] if q), 1e-5)
          for p in d["predictions"])'
json 'all(p["verdict"] in ("confident", "epistemic", "aleatoric", "mixed") and p["why"]
          and p["samples_used"] == 50 and len(p["top"]) == 3 for p in d["predictions"])'
cp out pngs.json
run 0 predict model.mu8 "$DIGITS#0" --json
json 'd["predictions"][0]["mean"] == json.load(open("pngs.json"))["predictions"][0]["mean"]'
run 0 predict model.mu8 first.npy chw.npy --json
json 'd["predictions"][0]["mean"] == d["predictions"][1]["mean"]'
json 'd["predictions"][0]["mean"] == json.load(open("pngs.json"))["predictions"][0]["mean"]'
run 0 predict named.mu8 "$MNIST/digit_0_label7.png" --top 2
says "digit_0_label7.png: seven ("
says "nats = aleatoric .* + epistemic"
silent
for kernels in scalar avx2 avx512vnni; do
  "$MU8" predict model.mu8 $PNGS --kernels $kernels --json >out 2>err
  code=$?
  last="predict --kernels $kernels"
  if [ "$code" -eq 0 ]; then
    json "d['kernels'] == '$kernels'"
    json 'd["predictions"] == json.load(open("pngs.json"))["predictions"]'
  else
    [ "$code" -eq 1 ] && [ "$kernels" != scalar ] && grep -q "mu8 error 63" err
    verdict "kernels $kernels run, or this processor lacks them (error 63)" $?
  fi
done
run 0 predict model.mu8 "$DIGITS#0" --samples 1 --seed 18446744073709551615 --json
json 'd["seed"] == 18446744073709551615 and d["predictions"][0]["mutual_information"] == 0'
fails 1 "small.png: the image is 20 x 20, the model expects 28 x 28" predict model.mu8 small.png
fails 1 "missing.png" predict model.mu8 "$MNIST/digit_0_label7.png" missing.png large.png --json
grep -q "large.png: the image is 32 x 32" err
verdict "every bad image is named at once" $?
fails 1 "entry" predict model.mu8 "$DIGITS#200"
fails 1 "number" predict model.mu8 "$DIGITS#x"
fails 1 "(28, 28, 1), the model expects (1, 28, 28)" predict model.mu8 hwc.npy
fails 1 "nan.npy: mu8 error 65" predict model.mu8 nan.npy
fails 1 "labels.txt" predict model.mu8 labels.txt
fails 2 "IMAGE" predict model.mu8
for samples in 0 -1 65537 many 1.5; do
  fails 2 "--samples" predict model.mu8 "$DIGITS#0" --samples "$samples"
done
fails 2 "--seed" predict model.mu8 "$DIGITS#0" --seed 18446744073709551616

# Fewer passes: a decided label, a decided threshold, no time.
run 0 predict model.mu8 "$DIGITS#0" --stop-error 0.05 --json
json 'd["predictions"][0]["ended"] == "label" and 2 < d["predictions"][0]["samples_used"] < 50'
run 0 predict model.mu8 "$DIGITS#0" --stop-error 0.05 --stop-class 3 --stop-threshold 0.5 --json
json 'd["predictions"][0]["ended"] == "below" and d["predictions"][0]["samples_used"] < 50'
run 0 predict model.mu8 "$DIGITS#0" --stop-error 0.05
says "the label was decided"
run 0 predict model.mu8 "$DIGITS#0" --deadline-ms 0 --json
json 'd["predictions"][0]["ended"] == "deadline" and d["predictions"][0]["samples_used"] == 1'
run 0 predict model.mu8 "$DIGITS#0" --deadline-ms 0
says "1 samples, then time was up"
run 0 predict model.mu8 "$DIGITS#0" --json
json 'd["predictions"][0]["ended"] == "all_samples"'
cp out one_thread.json
run 0 predict model.mu8 "$DIGITS#0" --threads 3 --json
json 'd["predictions"] == json.load(open("one_thread.json"))["predictions"]'
run 0 predict model.mu8 "$DIGITS#0" --antithetic --json
json 'd["predictions"] != json.load(open("one_thread.json"))["predictions"]'
fails 2 "both or neither" predict model.mu8 "$DIGITS#0" --stop-error 0.05 --stop-class 3
fails 2 "expected --stop-error" predict model.mu8 "$DIGITS#0" --stop-class 3 --stop-threshold 0.5
fails 2 "--stop-error" predict model.mu8 "$DIGITS#0" --stop-error 0.7
fails 2 "--threads" predict model.mu8 "$DIGITS#0" --threads 0
fails 2 "--stop-class: is 10, the model has classes 0 to 9" predict model.mu8 "$DIGITS#0" \
  --stop-error 0.1 --stop-class 10 --stop-threshold 0.5
fails 2 "--stop-error" predict model.mu8 "$DIGITS#0" --stop-error nan
run 0 eval model.mu8 --data "$DIGITS" --predictions all.f32 --json
run 0 eval model.mu8 --data "$DIGITS" --stop-error 0.05 --against all.f32 --json
json 'd["samples_used"]["mean"] < 15 and 0 <= d["samples_used"]["undecided"] < 0.2'
json 'd["label_agreement"] > 0.97'
run 0 eval model.mu8 --data "$DIGITS" --stop-error 0.05 --against all.f32
says "samples used"
grep -q "mutual information" err
verdict "eval notes that mutual information does not compare" $?
says "same label as the other"
fails 2 "belongs to a .mu8 file" eval --model "$DATA/lenet5_mnist.onnx" --mean-weights \
  --data "$DIGITS" --antithetic
fails 2 "--kernels" predict model.mu8 "$DIGITS#0" --kernels sse2

# ---- eval of a .mu8 file ----
run 0 eval model.mu8 --data "$DIGITS" --predictions p64.f32 --json
silent
cp out eval.json
json 'd["images"] == 200 and d["samples"] == 50 and d["seed"] == 1 and d["accuracy"] >= 0.97'
json 'd["seconds"] > 0 and near(d["images_per_second"], 200 / d["seconds"])'
json '0 < d["mean_mutual_information"] < d["mean_entropy"] and "kl_against" not in d'
json 'os.path.getsize("p64.f32") == 200 * 10 * 4'
last="eval model.mu8"  # the figures again, from the predictions and the labels alone
"$PYTHON" "$HERE/recompute_metrics.py" "$MNIST" p64.f32 eval.json >err 2>&1
verdict "the figures follow from the predictions file" $?
json 'd["mean_entropy"] > d["mean_aleatoric_entropy"] > d["mean_mutual_information"]'
json 'd["accuracy"] <= d["top5_accuracy"] <= 1 and d["ece"] <= d["mce"] and "ood" not in d'
json '{"ece_10", "adaptive_ece", "uce", "aurc", "misclassification"} <= set(d)
          and "curves" not in d'
json 'd["selective_accuracy"]["coverage"] == [0.5, 0.8, 0.9, 0.95]'
json 'd["accuracy_at_confidence"]["images"][0] == 200
          and d["accuracy_at_confidence"]["accuracy"][0] == d["accuracy"]'
json '[c["alpha"] for c in d["conformal"]] == [0.1, 0.05]
          and all(c["calibration_images"] == c["test_images"] == 100 for c in d["conformal"])'
for batch in 1 7 1000; do
  run 0 eval model.mu8 --data "$DIGITS" --predictions p$batch.f32 --batch $batch
  same p64.f32 p$batch.f32
done
says "^accuracy  *[0-9.]* %"
says "ECE, 15 bins"
says "^adaptive ECE"
says "^by mutual information"
run 0 eval model.mu8 --data "$DIGITS" --kernels scalar --predictions pscalar.f32 --json
json 'd["kernels"] == "scalar"'
same p64.f32 pscalar.f32
run 0 eval model.mu8 --data "$DIGITS" --against p64.f32 --json
json 'd["kl_against"] == 0'
run 0 eval model.mu8 --data "$DIGITS" --against p64.f32 --seed 2 --json
json '0 < d["kl_against"] < 0.05 and d["seed"] == 2'
run 0 eval model.mu8 --data "$DIGITS" --limit 10 --samples 5 --json
json 'd["images"] == 10 and d["samples"] == 5'
run 0 eval model.mu8 --data "$MNIST/fashion-images-idx3-ubyte.gz" --json
json 'd["images"] == 50 and not {"accuracy", "nll", "brier", "ece"} & set(d)'
json 'd["mean_entropy"] > json.load(open("eval.json"))["mean_entropy"]'
run 0 eval model.mu8 --data "$MNIST/fashion-images-idx3-ubyte.gz"
says "without labels"
run 0 eval named.mu8 --data folders --json
json 'd["images"] == 4 and d["accuracy"] == 1'
silent
run 0 eval model.mu8 --data folders --json
json 'd["images"] == 4'
json '"conformal" in d and "misclassification" in d'
run 0 eval model.mu8 --data "$DIGITS" --limit 1 --samples 5 --curves --json
json 'd["images"] == 1 and "conformal" not in d and sum(d["curves"]["reliability"]["count"]) == 1'

# ---- eval: uncertainty, images of another kind, curves ----
FASHION=$MNIST/fashion-images-idx3-ubyte.gz
run 0 eval model.mu8 --data "$DIGITS" --predictions p.f32 --uncertainty u.f32 --ood "$FASHION" \
  --ood bad_label-images-idx3-ubyte --curves --json
silent
cp out ood.json
same p64.f32 p.f32
json '{k: v for k, v in json.load(open("eval.json")).items() if "second" not in k}.items()
          <= d.items()'
json 'os.path.getsize("u.f32") == 200 * 3 * 4'
json 'all(near(e, a + m, 1e-5) and m >= 0
          for e, a, m in zip(f32("u.f32")[::3], f32("u.f32")[1::3], f32("u.f32")[2::3]))'
json 'all(near(f32("u.f32")[3 * i], -sum(p * math.log(p) for p in row if p), 1e-6)
          for i in range(200) for row in [f32("p.f32")[10 * i:10 * i + 10]])'
json 'near(d["mean_aleatoric_entropy"], sum(f32("u.f32")[1::3]) / 200)
          and near(d["mean_mutual_information"], sum(f32("u.f32")[2::3]) / 200)'
json '[(o["data"], o["images"]) for o in d["ood"]]
          == [("'"$FASHION"'", 50), ("bad_label-images-idx3-ubyte", 3)]'
json 'all(0.95 < d["ood"][0][k]["auroc"] < 1 and d["ood"][0][k]["fpr95"] < 0.2
          for k in ("by_entropy", "by_mutual_information", "by_confidence"))'
json 'all(sum(h[k]) == n for k in ("entropy", "mutual_information") for h, n in
          [(d["curves"]["histograms"]["in_distribution"], 200)]
          + [(h, o["images"]) for h, o in zip(d["curves"]["histograms"]["ood"], d["ood"])])'
json 'len(d["curves"]["risk_coverage"]["risk"]) == 100
          and near(d["curves"]["risk_coverage"]["risk"][-1], 1 - d["accuracy"])'
run 0 eval model.mu8 --data "$FASHION" --uncertainty u_fashion.f32 --json
json '"misclassification" not in d'
last="eval --ood"  # the AUROC again, from the two files of two runs
"$PYTHON" - <<'PY' >err 2>&1
import json, struct
def entropies(path):
    data = open(path, "rb").read()
    return struct.unpack("<%df" % (len(data) // 4), data)[::3]
inside, outside = entropies("u.f32"), entropies("u_fashion.f32")
pairs = [(o > i) + (o == i) / 2 for o in outside for i in inside]
found = json.load(open("ood.json"))["ood"][0]["by_entropy"]["auroc"]
assert abs(found - sum(pairs) / len(pairs)) < 1e-12, found
PY
verdict "the AUROC follows from the uncertainty files" $?
run 0 eval model.mu8 --data "$DIGITS" --limit 20 --ood "$FASHION" --ood-limit 5 --json
json 'd["images"] == 20 and d["ood"][0]["images"] == 5'
run 0 eval model.mu8 --data "$FASHION" --ood "$DIGITS" --curves --json
json '"accuracy" not in d and list(d["curves"]) == ["histograms"] and len(d["ood"]) == 1'
run 0 eval model.mu8 --data "$DIGITS" --ood "$FASHION"
says "^Out of distribution: .*fashion.*, 50 images"
fails 1 "missing.idx" eval model.mu8 --data "$DIGITS" --ood missing.idx --uncertainty none.f32
fails 1 "cifar.bin: images are 32 x 32 x 3, the model expects 28 x 28 x 1" \
  eval model.mu8 --data "$DIGITS" --ood "$FASHION" --ood cifar.bin --uncertainty none.f32
fails 1 "no folder nowhere" eval model.mu8 --data "$DIGITS" --uncertainty nowhere/u.f32
fails 2 "--ood-limit" eval model.mu8 --data "$DIGITS" --ood-limit 5
fails 2 "--ood-limit" eval model.mu8 --data "$DIGITS" --ood "$FASHION" --ood-limit 0
fails 2 "--curves: expected --json" eval model.mu8 --data "$DIGITS" --curves
fails 1 "label of image 2 is 10, the model has classes 0 to 9" \
  eval model.mu8 --data bad_label-images-idx3-ubyte --predictions none.f32
fails 1 "images are 32 x 32 x 3, the model expects 28 x 28 x 1" \
  eval model.mu8 --data cifar.bin --predictions none.f32
fails 1 "missing.idx" eval model.mu8 --data missing.idx --predictions none.f32
fails 1 "expected 400 = 10 images x 10 classes x 4" \
  eval model.mu8 --data "$DIGITS" --limit 10 --against p64.f32 --predictions none.f32
head -c 400 "$DATA/lenet5_mnist.npz" >noise.f32
fails 1 "row 0 holds no probabilities" \
  eval model.mu8 --data "$DIGITS" --limit 10 --against noise.f32 --predictions none.f32
fails 1 "missing.f32" eval model.mu8 --data "$DIGITS" --against missing.f32 --predictions none.f32
absent none.f32
fails 1 "no folder nowhere" eval model.mu8 --data "$DIGITS" --predictions nowhere/p.f32
fails 2 "--data" eval model.mu8
fails 2 "--limit" eval model.mu8 --data "$DIGITS" --limit 0
fails 2 "--batch" eval model.mu8 --data "$DIGITS" --batch 0

# ---- eval of the FP32 reference ----
REFERENCE="eval $MODEL $POSTERIOR --data $DIGITS"
run 0 $REFERENCE $NORMAL --predictions fp32.f32 --json
silent
json 'd["kernels"] == "fp32" and d["images"] == 200 and d["samples"] == 50'
json 'd["accuracy"] >= 0.97'
json 'abs(d["nll"] - json.load(open("eval.json"))["nll"]) < 0.02'
for batch in 1 64; do
  run 0 $REFERENCE $NORMAL --batch $batch --samples 3 --predictions fp32_$batch.f32
done
json_expression='max(abs(a - b) for a, b in zip(f32("fp32_1.f32"), f32("fp32_64.f32"))) < 1e-4'
run 0 $REFERENCE $NORMAL --mean-weights --json
json 'd["samples"] == 1 and d["mean_mutual_information"] == 0'
json "$json_expression"
run 0 $REFERENCE $NORMAL --mean-weights --ood "$FASHION" --uncertainty u_mean.f32 --curves --json
silent
json 'd["mean_mutual_information"] == 0 and d["ood"][0]["by_mutual_information"]["auroc"] == 0.5'
json 'd["ood"][0]["by_entropy"]["auroc"] > 0.95 and not any(f32("u_mean.f32")[2::3])'
json 'near(d["mean_entropy"], d["mean_aleatoric_entropy"], 1e-6)'
run 0 $REFERENCE $NORMAL --ood "$FASHION" --uncertainty u_fp32.f32 --json
json 'all(near(e, a + m, 1e-5) and m >= 0 for e, a, m in
          zip(f32("u_fp32.f32")[::3], f32("u_fp32.f32")[1::3], f32("u_fp32.f32")[2::3]))'
json 'all(abs(d["ood"][0][k]["auroc"] - json.load(open("ood.json"))["ood"][0][k]["auroc"]) < 0.02
          for k in ("by_entropy", "by_mutual_information", "by_confidence"))'
run 0 eval $MODEL --mean-weights $NORMAL --data "$DIGITS" --limit 20 --json
json 'd["images"] == 20'
run 0 eval model.mu8 --data "$DIGITS" --against fp32.f32 --json
json '0 < d["kl_against"] < 0.05'

# FP32 arithmetic with the file's own draws: what is left is the activations' quantization.
run 0 eval $MODEL $NORMAL --engine-weights model.mu8 --data "$DIGITS" --predictions simulated.f32
run 0 eval model.mu8 --data "$DIGITS" --against simulated.f32 --json
json '0 < d["kl_against"] < 0.001 and d["label_agreement"] >= 0.99'
run 0 eval $MODEL $NORMAL --engine-weights model.mu8 --data "$DIGITS" --samples 3 \
  --json
json 'd["kernels"] == "fp32"'
fails 2 "expected one of them at most" eval $MODEL $NORMAL --engine-weights model.mu8 \
  --mean-weights --data "$DIGITS"
fails 2 "belong to --model" eval model.mu8 --engine-weights model.mu8 --data "$DIGITS"
fails 1 "missing.mu8" eval $MODEL $NORMAL --engine-weights missing.mu8 --data "$DIGITS"
fails 1 "layers that are not the" eval --model "$DATA/resnet20_cifar10.onnx" \
  --engine-weights model.mu8 --data "$DATA/cifar10/test_subset.bin.gz"

# ---- means of fewer bits ----
CONVERT="convert $MODEL $POSTERIOR $NORMAL --calibration $MNIST/calibration-images-idx3-ubyte.gz \
  --calibration-limit 32 --calibration-passes 2 -o packed.mu8"
run 0 $CONVERT --mu-bits 3 --json
json 'd["average_mu_bits"] == 3 and {l["mu_bits"] for l in d["layers"] if l["weights"]} == {3}'
json 'd["file_bytes"] < os.path.getsize("model.mu8") - 35000'
run 0 eval packed.mu8 --data "$DIGITS" --json
json 'd["accuracy"] >= 0.97'
cat >plan.json <<'EOT'
{"method": "by hand", "layers": [{"name": "/conv1/Conv", "mu_bits": 5},
                                {"name": "/fc1/Gemm", "mu_bits": 2}]}
EOT
run 0 $CONVERT --bits plan.json --mu-bits 4 --json
json '[l["mu_bits"] for l in d["layers"] if l["weights"]] == [5, 4, 2, 4, 4]'
json '2.4 < d["average_mu_bits"] < 2.5'
run 0 inspect packed.mu8
says "mu 5 at most, 2.44 on average; sigma 8"
says "format 1.1"
run 0 $CONVERT --mu-bits 3
says "3.000 bits on average"
fails 2 "--mu-bits" $CONVERT --mu-bits 0
fails 2 "--mu-bits" $CONVERT --mu-bits 9
fails 1 "missing.json: cannot be read" $CONVERT --bits missing.json
echo '{"layers": [{"name": "nowhere", "mu_bits": 4}]}' >bad.json
fails 1 "'nowhere', which is no layer with weights" $CONVERT --bits bad.json
echo '{"layers": [{"name": "fc1", "mu_bits": 9}]}' >bad.json
fails 1 "bad.json: layer 0 has 9 bits" $CONVERT --bits bad.json
echo '{"layers": [{"name": "fc1"}]}' >bad.json
fails 1 "bad.json: layer 0 lacks name or mu_bits" $CONVERT --bits bad.json
echo '{' >bad.json
fails 1 "bad.json: is no JSON" $CONVERT --bits bad.json

# ---- bits allocated by the posterior ----
ANY_LAYERS="allocate $MODEL $NORMAL --calibration $MNIST/calibration-images-idx3-ubyte.gz \
  --calibration-limit 32 --calibration-passes 2 --sigma-bits 4 -o allocated.json"
ALLOCATE="$ANY_LAYERS $POSTERIOR --layer-bits 2..5"
run 0 $ALLOCATE --average-bits 3 --json
silent
json 'd == json.load(open("allocated.json")) and d["method"] == "quantile-inform"'
json '2.9 < d["average_bits"] <= 3 and all(2 <= l["mu_bits"] <= 5 for l in d["layers"])'
json 'near(sum(l["weights"] * l["mu_bits"] for l in d["layers"])
          / sum(l["weights"] for l in d["layers"]), d["average_bits"])'
json '[l["name"] for l in d["layers"]] == ["/conv1/Conv", "/conv2/Conv", "/fc1/Gemm", "/fc2/Gemm", "/fc3/Gemm"]'
json '0 < d["divergence"] < 0.5 and d["posterior_error"] > 0 and d["evaluations"] == 1'
run 0 $CONVERT --bits allocated.json --sigma-bits 4 --json
json 'd["average_mu_bits"] == json.load(open("allocated.json"))["average_bits"]'
run 0 eval packed.mu8 --data "$DIGITS" --json
json 'd["accuracy"] >= 0.97'
run 0 $ALLOCATE --average-bits 3 --method random-bits --evaluations 12 --json
json '12 <= d["evaluations"] <= 21 and d["average_bits"] <= 3'
json 'd["divergence"] <= 1.0001 * json.load(open("allocated.json"))["divergence"]'
SEVERAL="$ALLOCATE --average-bits 2.2,2.7 --evaluations 4 --training-images 1e9 \
  --method uniform,snr,posterior-variance,greedy,sensitivity,random-search --seed 1,2"
fails 1 "allocated.json: is no folder, expected one for 14 plans" $SEVERAL
mkdir plans
run 0 ${SEVERAL/-o allocated.json/-o plans} --json
silent
json 'len(d) == 14 and all(p["average_bits"] <= p["average_bits_allowed"] for p in d)'
json 'all(p == json.load(open("plans/%s.%g.seed%d.json" % (p["method"], p["average_bits_allowed"],
                                                            p["seed"]))) for p in d)'
json 'sorted(p["seed"] for p in d if p["method"] == "random-search") == [1, 1, 2, 2]'
json 'all(p["seed"] == 1 for p in d if p["method"] != "random-search")'
json '[p["evaluations"] for p in d if p["method"] in ("uniform", "sensitivity")] == [1, 1, 17, 17]'
run 0 $ALLOCATE --average-bits 2.7 --method sensitivity  # alone: the same plan
says "of 2.700"
run 0 $ALLOCATE --average-bits 2.7 --method sensitivity --json
json 'd["layers"] == json.load(open("plans/sensitivity.2.7.seed1.json"))["layers"]'
run 0 ${ALLOCATE/allocated.json/panels.json} --average-bits 2.3 --unit panel --json
json 'd["unit"] == "panel" and 2.25 < d["average_bits"] <= 2.3'
json '[len(l["mu_bits"]) for l in d["layers"] if isinstance(l["mu_bits"], list)] == [8, 6]'
json '{len(set(l["mu_bits"])) > 1 for l in d["layers"] if isinstance(l["mu_bits"], list)} == {True}'
run 0 $CONVERT --bits panels.json --sigma-bits 4 --json
json 'near(d["average_mu_bits"], json.load(open("panels.json"))["average_bits"])'
json '[l["mu_bits"] for l in d["layers"] if l["weights"]] == [
  l["mu_bits"] for l in json.load(open("panels.json"))["layers"]]'
run 0 inspect packed.mu8 --json
json 'd["format"] == "1.2" and near(d["average_mu_bits"], json.load(open("panels.json"))["average_bits"])'
json '[l["mu_bits"] for l in d["layers"] if "mu_bits" in l] == [
  l["mu_bits"] for l in json.load(open("panels.json"))["layers"]]'
run 0 inspect packed.mu8
run 0 eval packed.mu8 --data "$DIGITS" --json
json 'd["accuracy"] >= 0.97'
echo '{"layers": [{"name": "/fc1/Gemm", "mu_bits": [3, 2, 2]}]}' >bad.json
fails 1 "layer '/fc1/Gemm' has 8 panels of up to 16 output channels, the plan has 3 widths" \
  $CONVERT --bits bad.json
echo '{"layers": [{"name": "/fc1/Gemm", "mu_bits": [3, 2.5]}]}' >bad.json
fails 1 "bad.json: layer 0 has 2.5 bits" $CONVERT --bits bad.json
echo '{"layers": [{"name": "/fc1/Gemm", "mu_bits": []}]}' >bad.json
fails 1 "bad.json: layer 0 has \[\] bits" $CONVERT --bits bad.json
fails 2 "--unit" $ALLOCATE --average-bits 3 --unit channel
cp allocated.json kept.json
fails 2 "--average-bits" $ALLOCATE
fails 2 "--average-bits" $ALLOCATE --average-bits 9
fails 1 "average bits are 1.5" $ALLOCATE --average-bits 1.5
fails 2 "--method" $ALLOCATE --average-bits 3 --method best
fails 2 "expected LEAST..MOST" $ANY_LAYERS $POSTERIOR --average-bits 3 --layer-bits 2-5
fails 1 "layer bits are 5 to 2" $ANY_LAYERS $POSTERIOR --average-bits 3 --layer-bits 5..2
fails 1 "cut.npz" $ANY_LAYERS --average-bits 3 --posterior cut.npz
same kept.json allocated.json

# ---- eval of predictions that something else made ----
RECORDED="eval $MODEL --data $DIGITS --recorded fp32.f32"
run 0 $REFERENCE $NORMAL --predictions fp32.f32 --uncertainty u_fp32.f32 --ood "$FASHION" --json
cp out reference.json
run 0 eval $MODEL $POSTERIOR $NORMAL --data "$FASHION" --predictions p_fashion.f32 \
  --uncertainty u_fashion.f32 --json
run 0 $RECORDED --recorded-uncertainty u_fp32.f32 --ood "$FASHION" --recorded p_fashion.f32 \
  --recorded-uncertainty u_fashion.f32 --json
silent
json 'd["kernels"] == "recorded" and "seconds" not in d and "seconds" not in d["ood"][0]'
json 'd == {k: v if k != "ood" else [{k: v for k, v in v[0].items() if k != "seconds"}]
            for k, v in (json.load(open("reference.json")) | {"kernels": "recorded"}).items()
            if "second" not in k}'
run 0 $RECORDED --recorded-uncertainty u_fp32.f32
says "kernels recorded"
run 0 $RECORDED --json
json 'd["mean_mutual_information"] == 0 and near(d["mean_entropy"], d["mean_aleatoric_entropy"])
          and d["accuracy"] == json.load(open("reference.json"))["accuracy"]'
run 0 $RECORDED --samples 7 --seed 9 --json
json 'd["samples"] == 7 and d["seed"] == 9'
fails 2 "--recorded: expected --model" eval model.mu8 --data "$DIGITS" --recorded fp32.f32
fails 2 "nothing is run" $RECORDED $POSTERIOR
fails 2 "nothing is run" $RECORDED --batch 4
fails 2 "nothing is run" $RECORDED --antithetic
fails 2 "--recorded: given 1 times, expected 2" $RECORDED --ood "$FASHION"
fails 2 "--recorded-uncertainty: given 1 times, expected 2" $RECORDED --ood "$FASHION" \
  --recorded p_fashion.f32 --recorded-uncertainty u_fp32.f32
fails 2 "--recorded-uncertainty" eval $MODEL $POSTERIOR --data "$DIGITS" \
  --recorded-uncertainty u_fp32.f32
fails 1 "p_fashion.f32: has 2000 bytes, expected 8000 = 200 images x 10 classes x 4" \
  eval $MODEL --data "$DIGITS" --recorded p_fashion.f32
fails 1 "u_fashion.f32: has 600 bytes, expected 2400 = 200 images x 3 entropies x 4" \
  $RECORDED --recorded-uncertainty u_fashion.f32
run 0 $REFERENCE $NORMAL --seed 2 --samples 2 --uncertainty u_other.f32 --json
fails 1 "u_other.f32: row [0-9]* holds" $RECORDED --recorded-uncertainty u_other.f32
fails 1 "missing.f32" eval $MODEL --data "$DIGITS" --recorded missing.f32

fails 2 "expected either" eval --data "$DIGITS"
fails 2 "expected either" eval model.mu8 $MODEL $POSTERIOR --data "$DIGITS"
fails 2 "--posterior" eval $MODEL --data "$DIGITS"
fails 2 "belong to --model" eval model.mu8 --data "$DIGITS" --mean 0.1 --std 0.3
fails 2 "--kernels" $REFERENCE --kernels scalar
fails 1 "cut.npz" eval $MODEL --posterior cut.npz --data "$DIGITS"
fails 1 "2 means and 2 stds" $REFERENCE --mean 1,2 --std 1,2
fails 1 "images are 32 x 32 x 3" eval $MODEL $POSTERIOR $NORMAL --data cifar.bin

# ---- diff ----
DIFF="diff sigma4.mu8 $MODEL $POSTERIOR $NORMAL"
run 0 $DIFF --data "$DIGITS" --limit 20 --samples 2
says "costs most"
says "KL(FP32 || engine)"
run 0 $DIFF --data "$DIGITS" --limit 20 --samples 2 --json
silent
json 'd["images"] == 20 and d["samples"] == 2 and len(d["layers"]) == 7'
json '0 <= d["kl"] < 0.01 and d["label_agreement"] > 0.9'
json 'all(l["sqnr_db"] > 15 for l in d["layers"])'
json 'sum(l["kl_of_weights"] > 0 for l in d["layers"]) == 5'
fails 1 "layers that are not" diff "$DATA/golden/tiny_sigma4.mu8" $MODEL $POSTERIOR --data "$DIGITS"
fails 1 "images are 32 x 32 x 3" $DIFF --data cifar.bin
fails 1 "missing.idx" $DIFF --data missing.idx
fails 1 "one number for each" diff sigma4.mu8 $MODEL $POSTERIOR --mean 1,2 --std 1,2 --data "$DIGITS"
fails 2 "--posterior" diff sigma4.mu8 $MODEL --data "$DIGITS"
fails 2 "--samples" $DIFF --data "$DIGITS" --samples 0

# ---- bench ----
run 0 inspect model.mu8 --json
cp out inspect.json
run 0 bench model.mu8 --json
silent
json 'd["samples"] == 50 and d["batch"] == 1 and d["threads"] == 1'
json '0 < d["us_per_prediction_p50"] <= d["us_per_prediction_p99"]'
json 'near(d["us_per_pass_p50"], d["us_per_prediction_p50"] / 50)'
json 'd["arena_bytes"] == json.load(open("inspect.json"))["arena_bytes"] and d["kernels"]'
run 0 bench model.mu8 --samples 2 --batch 4 --kernels scalar
says "per pass"
run 0 bench model.mu8 --samples 2 --threads 2
says "2 threads"
fails 2 "a fixed number of passes" bench model.mu8 --stop-error 0.05
fails 2 "MODEL" bench

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
