#include "tools/mu8/eval_options.h"

#include <algorithm>

#include "tools/mu8/command.h"

namespace mu8::tool {
namespace {

constexpr const char* kFooter = R"(
DATA: pictures, an IDX image file (MNIST; labels in the file beside it), a CIFAR-10 binary batch, or
a folder of images in class folders, .gz and .xz unpacked; or numbers, .npz (arrays x and y), .npy,
.csv or .f32. Without labels or targets only the figures that need none are given. Class folders are
named as the model's labels, or by the index of the class.

A softmax takes the index of a class as target, a sigmoid 0 or 1 for each label, values a number for
each output. The figures of values are in the units of their targets; those of a Gaussian need the
noise of observations, which --noise gives or the file holds.

Every figure, with its formula and source, is in tools/mu8/METRICS.md. The usual ones:

accuracy   fraction of images whose most probable class is the label
nll        mean of -ln max(p[label], 1e-12), nats
brier      mean of sum_c (p_c - 1[c = label])^2, 0 to 2
ece        expected calibration error, equal-width right-closed bins of the top probability
uce        the same of the error and the entropy over ln(classes)
entropy    total uncertainty, nats: aleatoric + mutual information (epistemic); the latter grows with
           the samples: compare at equal T
AUROC, AUPR, FPR95   how well a score tells errors from correct answers, or the images of --ood from
           those of --data
kl_against mean KL(other || this) in nats, both clipped at 1e-9

All follow from the labels and the two float32 files that --predictions (images x classes) and
--uncertainty (images x 3: entropy, aleatoric, mutual information) write; they have no header.
--against reads the predictions of another run over the same data. The time is that of the
predictions alone.

--recorded judges predictions that something else made of the network in M.onnx, PyTorch say: one
file for --data and one for each --ood, in their order, as --predictions writes them. Without
--recorded-uncertainty each is taken for a single pass: all of its entropy is aleatoric.)";

// Recorded predictions were sampled elsewhere: no option may say how.
void CheckRecordedUsage(const EvalOptions& options) {
  if (options.onnx_path.empty()) {
    throw UsageError("--recorded: expected --model M.onnx with it, the network that was run");
  }
  if (!options.posterior_path.empty() || options.mean_weights || options.engine_noise ||
      !options.engine_weights.empty() || !options.mean.empty() || !options.std.empty() ||
      options.batch || options.sampling.EngineOnly() != nullptr) {
    throw UsageError(
        "--recorded: nothing is run, of the sampling options only --samples and "
        "--seed mean something: what the predictions were made with");
  }
  const std::size_t sets = 1 + options.ood_paths.size();
  if (options.recorded.size() != sets) {
    throw UsageError("--recorded: given " + std::to_string(options.recorded.size()) +
                     " times, expected " + std::to_string(sets) +
                     ": for --data, then for each --ood");
  }
  if (!options.recorded_uncertainty.empty() && options.recorded_uncertainty.size() != sets) {
    throw UsageError("--recorded-uncertainty: given " +
                     std::to_string(options.recorded_uncertainty.size()) + " times, expected " +
                     std::to_string(sets) + ", as often as --recorded");
  }
}

bool IsNumeric(convert::Head head) {
  return head != convert::Head::kSoftmax && head != convert::Head::kSigmoid;
}

// The model, or the FP32 reference and how it draws.
void AddModelOptions(CLI::App* app, EvalOptions* options) {
  app->add_option("MODEL", options->model_paths,
                  "A .mu8 file; several are the members of an ensemble");
  app->add_option("--model", options->onnx_path, "Instead of it: the FP32 reference's ONNX file")
      ->type_name("M.onnx");
  app->add_option("--posterior", options->posterior_path, "The reference's sigmas")
      ->type_name("P.npz");
  options->head.AddTo(app);
  app->add_option("--output-name", options->output_name,
                  "Which of the reference's outputs, if it has several")
      ->type_name("NAME");
  app->add_flag("--mean-weights", options->mean_weights,
                "Reference: one pass with the mean weights");
  app->add_flag("--engine-noise", options->engine_noise,
                "Reference: the random bytes that the engine draws for this seed, so that only "
                "quantization separates the two");
  app->add_option("--engine-weights", options->engine_weights,
                  "Reference: the weights that the engine draws from this file, made of M.onnx, so "
                  "that only activations are quantized differently; needs no --posterior")
      ->type_name("FILE.mu8");
  app->add_option("--mean", options->mean, "Reference: input is (u8 / 255 - mean) / std")
      ->type_name("A,B,..");
  app->add_option("--std", options->std, "See --mean")->type_name("A,B,..");
}

void AddDataSets(CLI::App* app, EvalOptions* options) {
  app->add_flag("--sorted-folders", options->sorted_folders,
                "Class folders are the classes in sorted order, whatever their names");
  AddDataOptions(app, &options->data);
  AddTargets(app, &options->data);
  app->add_option("--data", options->data_path, "Data, with or without labels or targets")
      ->required()
      ->type_name("DATA");
  app->add_option("--noise", options->noise,
                  "Values: the variance of the observations' noise, one for each output")
      ->type_name("A,B,..");
  app->add_option("--limit", options->limit, "Use the first N images only")
      ->check(WholeNumber(1, std::numeric_limits<std::size_t>::max()))
      ->type_name("N");
  options->sampling.AddTo(app);
  app->add_option("--batch", options->batch, "Images a call [64; FP32 reference: 16]")
      ->check(WholeNumber(1, 65536));
  CLI::Option* ood = app->add_option("--ood", options->ood_paths,
                                     "Images of something else: how well uncertainty tells them "
                                     "from those of --data; may be given again")
                         ->type_name("DATA")
                         ->expected(1)
                         ->take_all();
  app->add_option("--ood-limit", options->ood_limit, "Use the first N images of each --ood only")
      ->check(WholeNumber(1, std::numeric_limits<std::size_t>::max()))
      ->needs(ood)
      ->type_name("N");
}

// Predictions written, and predictions of other runs.
void AddPredictionFiles(CLI::App* app, EvalOptions* options) {
  app->add_option("--predictions", options->predictions_path,
                  "Write the float32 probabilities, images x classes")
      ->check(FileName())
      ->type_name("FILE");
  app->add_option("--uncertainty", options->uncertainty_path,
                  "Write float32 entropy, aleatoric entropy and mutual information, images x 3")
      ->check(FileName())
      ->type_name("FILE");
  CLI::Option* recorded =
      app->add_option("--recorded", options->recorded,
                      "Judge these predictions of M.onnx instead of running it; see below")
          ->type_name("FILE.f32")
          ->expected(1)
          ->take_all();
  app->add_option("--recorded-uncertainty", options->recorded_uncertainty,
                  "Their entropies, as --uncertainty writes them")
      ->type_name("FILE.f32")
      ->expected(1)
      ->take_all()
      ->needs(recorded);
  app->add_option("--against", options->against_path,
                  "Such a file of another run: gives kl_against")
      ->type_name("FILE.f32");
}

}  // namespace

void AddEvalOptions(CLI::App* app, EvalOptions* options) {
  AddModelOptions(app, options);
  AddDataSets(app, options);
  AddPredictionFiles(app, options);
  app->footer(kFooter);
}

void CheckUsage(const EvalOptions& options) {
  const bool reference = !options.onnx_path.empty();
  if (reference == !options.model_paths.empty()) {
    throw UsageError("expected either MODEL.mu8 or --model M.onnx (the FP32 reference)");
  }
  if (!options.recorded.empty()) {
    CheckRecordedUsage(options);
  } else if (reference) {
    const int weights = (options.mean_weights ? 1 : 0) + (options.engine_noise ? 1 : 0) +
                        (options.engine_weights.empty() ? 0 : 1);
    if (weights > 1) {
      throw UsageError(
          "--mean-weights, --engine-noise, --engine-weights: expected one of them at most");
    }
    if (options.posterior_path.empty() && (weights == 0 || options.engine_noise)) {
      throw UsageError(
          "--model: expected --posterior P.npz with it, or --mean-weights, or --engine-weights "
          "FILE.mu8");
    }
    if (const char* name = options.sampling.EngineOnly()) {
      throw UsageError(std::string(name) + ": belongs to a .mu8 file, not to the FP32 reference");
    }
  } else if (!options.posterior_path.empty() || options.mean_weights || options.engine_noise ||
             !options.engine_weights.empty() || !options.mean.empty() || !options.std.empty()) {
    throw UsageError(
        "--posterior, --mean-weights, --engine-noise, --engine-weights, --mean and --std belong to "
        "--model M.onnx; a .mu8 file has its own");
  }
  if (options.curves && !options.json) throw UsageError("--curves: expected --json with it");
  if (options.model_paths.size() > 1 &&
      (options.sampling.stop.error || options.sampling.is_auto())) {
    throw UsageError(
        "--stop-error, --method auto: decide about the networks of one MODEL, several are given");
  }
}

// Files of predictions made elsewhere, and comparisons with them, are of classes so far.
void CheckHead(const EvalOptions& options, convert::Head head) {
  if (head != convert::Head::kValues && !options.noise.empty()) {
    throw UsageError(std::string("--noise: belongs to values, the head is ") +
                     convert::HeadName(head));
  }
  if (head == convert::Head::kSoftmax) return;
  const char* option = !options.recorded.empty()                              ? "--recorded"
                       : !options.against_path.empty() && IsNumeric(head)     ? "--against"
                       : options.curves                                       ? "--curves"
                       : IsNumeric(head) && !options.uncertainty_path.empty() ? "--uncertainty"
                                                                              : nullptr;
  if (option != nullptr) {
    throw UsageError(std::string(option) + ": is about probabilities of classes, the outputs are " +
                     (head == convert::Head::kSigmoid ? "labels" : "numbers"));
  }
}

std::vector<double> ParseNoise(const std::string& text, const Outputs& outputs) {
  if (text.empty()) return {};
  const std::vector<float> values = ParseFloats("--noise", text);
  if (values.size() != outputs.count ||
      std::ranges::any_of(values, [](float value) { return value <= 0; })) {
    throw UsageError("--noise: is \"" + text + "\", expected " + std::to_string(outputs.count) +
                     " variances above zero, one for each output");
  }
  return {values.begin(), values.end()};
}

}  // namespace mu8::tool
