// mu8 eval: accuracy and calibration over a data set, of a .mu8 file or of the FP32 reference.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <optional>

#include "converters/convert.h"
#include "converters/error.h"
#include "tools/mu8/command.h"
#include "tools/mu8/ensemble.h"
#include "tools/mu8/json_output.h"
#include "tools/mu8/options.h"
#include "tools/mu8/text.h"

namespace mu8::tool {
namespace {

struct Options {
  std::string model_path;                 // a .mu8 file, or
  std::string onnx_path, posterior_path;  // the FP32 reference
  bool mean_weights = false;
  bool engine_noise = false;
  std::string mean, std;
  std::string data_path;
  std::size_t limit = std::numeric_limits<std::size_t>::max();
  SamplingOptions sampling;
  std::optional<std::uint32_t> batch;
  std::string predictions_path;
  std::string against_path;
  bool json = false;
};

constexpr std::uint32_t kQuantizedBatch = 64;
constexpr std::uint32_t kReferenceBatch = 200;

constexpr const char* kFooter = R"(
DATA is an IDX image file (MNIST; labels in the file beside it), a CIFAR-10 binary batch, or a
folder of images in class folders; .gz and .xz are unpacked. Without labels only the label-free
figures are given. Class folders named as the model's labels are those classes; other names count in
sorted order.

accuracy   fraction of images whose most probable class is the label
nll        mean of -ln max(p[label], 1e-12), nats
brier      mean of sum_c (p_c - 1[c = label])^2, 0 to 2
ece        expected calibration error, 15 equal-width right-closed bins of the top probability
mean_entropy             total uncertainty, nats
mean_mutual_information  its epistemic part, nats; grows with the samples: compare at equal T
kl_against mean KL(other || this) in nats, both clipped at 1e-9

All but mutual information follow from the float32 probabilities that --predictions writes (images x
classes, nothing else); --against reads such a file of another run over the same data. seconds is
the time of the predictions alone.)";

// What the data must fit.
struct Shape {
  int height = 0, width = 0, channels = 0;
  std::size_t classes = 0;
  std::vector<std::string> labels;  // class names, or empty
};

void CheckUsage(const Options& options) {
  const bool reference = !options.onnx_path.empty();
  if (reference == !options.model_path.empty()) {
    throw UsageError("expected either MODEL.mu8 or --model M.onnx (the FP32 reference)");
  }
  if (reference) {
    if (options.posterior_path.empty() && !options.mean_weights) {
      throw UsageError("--model: expected --posterior P.npz with it, or --mean-weights");
    }
    if (options.sampling.kernels != "auto") {
      throw UsageError("--kernels: belongs to a .mu8 file, not to the FP32 reference");
    }
  } else if (!options.posterior_path.empty() || options.mean_weights || options.engine_noise ||
             !options.mean.empty() || !options.std.empty()) {
    throw UsageError(
        "--posterior, --mean-weights, --engine-noise, --mean and --std belong to --model M.onnx; a "
        ".mu8 file has its own");
  }
}

// Labels by class folder name where all names are the model's, else by sorted position.
void MatchLabelNames(const Shape& shape, convert::Dataset* data) {
  std::vector<int> class_of;
  for (const std::string& name : data->label_names) {
    const auto found = std::find(shape.labels.begin(), shape.labels.end(), name);
    if (found == shape.labels.end()) {
      std::fprintf(stderr,
                   "mu8: note: class folder \"%s\" is not among the model's labels; class folders "
                   "count in sorted order\n",
                   Printable(name).c_str());
      return;
    }
    class_of.push_back(static_cast<int>(found - shape.labels.begin()));
  }
  for (int& label : data->labels) label = class_of[static_cast<std::size_t>(label)];
}

convert::Dataset LoadData(const Options& options, const Shape& shape) {
  convert::Dataset data = convert::LoadDataset(options.data_path, options.limit);
  if (data.height != shape.height || data.width != shape.width || data.channels != shape.channels) {
    const auto text = [](int height, int width, int channels) {
      return Dimensions(static_cast<std::size_t>(height), static_cast<std::size_t>(width),
                        static_cast<std::size_t>(channels));
    };
    throw convert::Error(options.data_path + ": images are " +
                         text(data.height, data.width, data.channels) + ", the model expects " +
                         text(shape.height, shape.width, shape.channels) +
                         " (height x width x channels)");
  }
  if (!data.label_names.empty()) MatchLabelNames(shape, &data);
  for (std::size_t i = 0; i < data.labels.size(); ++i) {
    if (data.labels[i] < 0 || static_cast<std::size_t>(data.labels[i]) >= shape.classes) {
      throw convert::Error(options.data_path + ": label of image " + std::to_string(i) + " is " +
                           std::to_string(data.labels[i]) + ", the model has classes 0 to " +
                           std::to_string(shape.classes - 1));
    }
  }
  return data;
}

// Predictions of another run: float32, images x classes.
std::vector<float> LoadAgainst(const std::string& path, std::size_t images, std::size_t classes) {
  const AlignedBuffer bytes = ReadBytes(path, "predictions of another run");
  if (bytes.size() != images * classes * sizeof(float)) {
    throw convert::Error(path + ": has " + std::to_string(bytes.size()) + " bytes, expected " +
                         std::to_string(images * classes * sizeof(float)) + " = " +
                         std::to_string(images) + " images x " + std::to_string(classes) +
                         " classes x 4");
  }
  std::vector<float> values(images * classes);
  std::memcpy(values.data(), bytes.data(), bytes.size());
  for (std::size_t i = 0; i < images; ++i) {
    double sum = 0;
    for (std::size_t c = 0; c < classes; ++c) {
      const auto p = static_cast<double>(values[i * classes + c]);
      sum += p >= 0 ? p : std::nan("");
    }
    if (!(std::abs(sum - 1.0) < 1e-3)) {
      throw convert::Error(path + ": row " + std::to_string(i) +
                           " holds no probabilities that sum to one, expected float32, images x "
                           "classes");
    }
  }
  return values;
}

struct Report {
  EnsembleResult result;
  std::vector<int> labels;
  std::optional<double> kl_against;
};

Json ReportJson(const Options& options, const Report& report) {
  const EnsembleResult& result = report.result;
  const std::size_t images = result.mutual_information.size();
  Json json{{"model", options.onnx_path.empty() ? options.model_path : options.onnx_path},
            {"data", options.data_path},
            {"images", images},
            {"classes", result.classes},
            {"samples", result.samples},
            {"seed", options.sampling.seed},
            {"kernels", result.kernels}};
  if (!report.labels.empty()) {
    json["accuracy"] = Accuracy(result.view(), report.labels);
    json["nll"] = NegativeLogLikelihood(result.view(), report.labels);
    json["brier"] = BrierScore(result.view(), report.labels);
    json["ece"] = ExpectedCalibrationError(result.view(), report.labels);
  }
  json["mean_entropy"] = MeanEntropy(result.view());
  json["mean_mutual_information"] = Mean(result.mutual_information);
  if (report.kl_against) json["kl_against"] = *report.kl_against;
  json["seconds"] = result.seconds;
  json["images_per_second"] = static_cast<double>(images) / result.seconds;
  return json;
}

void PrintAsText(const Options& options, const Json& json) {
  const auto number = [&json](const char* key) { return json[key].get<double>(); };
  Table fields = Fields();
  fields.Add({"model", Printable(json["model"].get<std::string>())});
  fields.Add({"data", Printable(options.data_path) + ", " +
                          std::to_string(json["images"].get<std::size_t>()) + " images" +
                          (json.contains("accuracy") ? "" : " without labels")});
  fields.Add({"samples", std::to_string(json["samples"].get<std::uint32_t>()) + ", seed " +
                             std::to_string(options.sampling.seed) + ", kernels " +
                             json["kernels"].get<std::string>()});
  if (json.contains("accuracy")) {
    fields.Add({"accuracy", Percent(number("accuracy"), 2)});
    fields.Add({"NLL", Fixed(number("nll"), 5) + " nats"});
    fields.Add({"Brier score", Fixed(number("brier"), 5)});
    fields.Add({"ECE, 15 bins", Percent(number("ece"), 3)});
  }
  fields.Add({"mean entropy", Fixed(number("mean_entropy"), 5) + " nats"});
  fields.Add({"mean mutual information", Fixed(number("mean_mutual_information"), 5) + " nats"});
  if (json.contains("kl_against")) {
    fields.Add({"KL(other || this)", Significant(number("kl_against"), 5) + " nats, other is " +
                                         Printable(options.against_path)});
  }
  fields.Add({"time", Fixed(number("seconds"), 2) + " s, " + Fixed(number("images_per_second"), 1) +
                          " images/s"});
  std::fputs(fields.ToString().c_str(), stdout);
}

// Everything after loading the network: `run` predicts.
void Evaluate(const Options& options, const Shape& shape,
              const std::function<EnsembleResult(const convert::Dataset&)>& run) {
  convert::Dataset data = LoadData(options, shape);
  std::vector<float> other;
  if (!options.against_path.empty()) {
    other = LoadAgainst(options.against_path, data.count, shape.classes);
  }
  if (!options.predictions_path.empty()) CheckOutputFolder(options.predictions_path);

  Report report{.result = run(data), .labels = std::move(data.labels), .kl_against = {}};
  const std::vector<float>& probabilities = report.result.probabilities;
  if (!other.empty()) {
    report.kl_against = MeanKl({other, shape.classes}, report.result.view());
  }
  if (!options.predictions_path.empty()) {
    convert::WriteFileAtomically(options.predictions_path, probabilities.data(),
                                 probabilities.size() * sizeof(float));
  }
  const Json json = ReportJson(options, report);
  if (options.json) {
    PrintJson(json);
  } else {
    PrintAsText(options, json);
  }
}

void RunReference(const Options& options) {
  ReferenceOptions to{.onnx_path = options.onnx_path,
                      .posterior_path = options.posterior_path,
                      .samples = options.sampling.samples,
                      .seed = options.sampling.seed,
                      .batch = options.batch.value_or(kReferenceBatch),
                      .mean_weights = options.mean_weights,
                      .engine_noise = options.engine_noise,
                      .mean = {},
                      .std = {}};
  ParseNormalization(options.mean, options.std, &to.mean, &to.std);
  const Reference reference(to);
  if (!reference.has_normalization()) {
    std::fputs("mu8: note: no --mean and --std, and none in the ONNX file: inputs are u8 / 255\n",
               stderr);
  }
  Evaluate(options,
           {.height = reference.height(),
            .width = reference.width(),
            .channels = reference.channels(),
            .classes = reference.classes(),
            .labels = reference.labels()},
           [&reference](const convert::Dataset& data) { return reference.Run(data); });
}

void RunModel(const Options& options) {
  const ModelFile file = OpenModel(options.model_path);
  const Model& model = file.model;
  Shape shape{.height = static_cast<int>(model.input_height()),
              .width = static_cast<int>(model.input_width()),
              .channels = static_cast<int>(model.input_channels()),
              .classes = model.class_count(),
              .labels = {}};
  for (std::uint32_t i = 0; i < model.class_count(); ++i) {
    shape.labels.emplace_back(model.label(i));
  }
  const SessionOptions session{.mc_samples = options.sampling.samples,
                               .seed = options.sampling.seed,
                               .batch = options.batch.value_or(kQuantizedBatch),
                               .kernels = ParseKernels(options.sampling.kernels)};
  Evaluate(options, shape,
           [&](const convert::Dataset& data) { return RunQuantized(file, session, data); });
}

void Run(const Options& options) {
  CheckUsage(options);
  if (options.onnx_path.empty()) {
    RunModel(options);
  } else {
    RunReference(options);
  }
}

}  // namespace

Command AddEval(CLI::App* parent) {
  CLI::App* app = parent->add_subcommand("eval", "Accuracy and calibration over a data set");
  const auto options = std::make_shared<Options>();
  app->add_option("MODEL", options->model_path, "A .mu8 file");
  app->add_option("--model", options->onnx_path, "Instead of it: the FP32 reference's ONNX file")
      ->type_name("M.onnx");
  app->add_option("--posterior", options->posterior_path, "The reference's sigmas")
      ->type_name("P.npz");
  app->add_flag("--mean-weights", options->mean_weights,
                "Reference: one pass with the mean weights");
  app->add_flag("--engine-noise", options->engine_noise,
                "Reference: the random bytes that the engine draws for this seed, so that only "
                "quantization separates the two");
  app->add_option("--mean", options->mean, "Reference: input is (u8 / 255 - mean) / std")
      ->type_name("A,B,..");
  app->add_option("--std", options->std, "See --mean")->type_name("A,B,..");
  app->add_option("--data", options->data_path, "Images, with or without labels")
      ->required()
      ->type_name("DATA");
  app->add_option("--limit", options->limit, "Use the first N images only")
      ->check(WholeNumber(1, std::numeric_limits<std::size_t>::max()))
      ->type_name("N");
  options->sampling.AddTo(app);
  app->add_option("--batch", options->batch, "Images a call [64; FP32 reference: 200]")
      ->check(WholeNumber(1, 65536));
  app->add_option("--predictions", options->predictions_path,
                  "Write the float32 probabilities, images x classes")
      ->type_name("FILE");
  app->add_option("--against", options->against_path,
                  "Such a file of another run: gives kl_against")
      ->type_name("FILE.f32");
  AddJsonFlag(app, &options->json);
  app->footer(kFooter);
  return {app, [options] { Run(*options); }};
}

}  // namespace mu8::tool
