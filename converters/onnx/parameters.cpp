// mu and sigma of one parameter, checked. The rules protect independence: a sigma belongs to
// exactly one layer, because the engine draws each layer's weights on their own.
#include "converters/onnx/parameters.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "converters/host/words.h"

namespace mu8::convert {
namespace {

// The random parameters that the constant `name` is or is computed of; empty: it is not random.
std::vector<std::string> RandomParameters(const OnnxImporter& importer, const std::string& name) {
  if (importer.posterior.contains(name)) return {name};
  const auto constant = importer.graph.constants.find(name);
  if (constant == importer.graph.constants.end() || constant->second.origin == nullptr) return {};
  return constant->second.origin->parameters;
}

// `node` takes the parameter as its own.
void Claim(OnnxImporter* importer, const OnnxNode& node, const std::string& name) {
  const auto [reader, is_first] = importer->sigma_readers.emplace(name, node.name);
  if (is_first) return;
  Report(importer, node,
         "its Bayesian parameter \"" + name + "\" is shared with \"" + reader->second +
             "\"; the engine draws each layer's weights independently");
}

// The deviations of a constant that is computed of random parameters; empty when it has none that
// are independent, which is then reported.
std::vector<float> FollowOrigin(OnnxImporter* importer, const OnnxNode& node, const Origin& origin,
                                const std::string& constant) {
  std::vector<std::string> names;
  std::set<std::string_view> known;
  for (const std::string& name : origin.parameters) {
    if (!known.insert(name).second) continue;
    Claim(importer, node, name);
    names.push_back(name);
  }
  if (!origin.why_not.empty()) {
    Report(importer, node,
           "its parameter is computed of " + host::NameList(names) + ", which has a sigma, but " +
               origin.why_not +
               ": its weights are no independent Gaussians; give the posterior \"" + constant +
               ".sigma\" itself, or export the layer's own weight (remove_weight_norm and its "
               "like) with its sigma");
    return {};
  }
  std::vector<float> sigma(origin.elements.size(), 0.0F);
  std::set<std::pair<std::string_view, std::uint32_t>> seen;
  for (std::size_t i = 0; i < sigma.size(); ++i) {
    const Origin::Element& from = origin.elements[i];
    if (from.factor == 0.0F) continue;
    const std::string& name = origin.parameters[from.parameter];
    if (!seen.emplace(name, from.element).second) {
      Report(importer, node,
             "its parameter repeats elements of \"" + name +
                 "\", which has a sigma; the engine draws each weight independently");
      return {};
    }
    const std::vector<float>& values = importer->posterior.at(name).values;
    if (from.element >= values.size()) return {};  // another size, reported by CheckPosterior
    sigma[i] = values[from.element] * std::fabs(from.factor);
  }
  return sigma;
}

std::string SigmaPlace(const std::string& name) { return "posterior: \"" + name + ".sigma\": "; }

std::vector<std::int64_t> SignedShape(const SigmaArray& sigma) {
  std::vector<std::int64_t> dims;
  for (const std::size_t dim : sigma.shape) dims.push_back(static_cast<std::int64_t>(dim));
  return dims;
}

void CheckSigmaValues(OnnxImporter* importer, const std::string& name, const SigmaArray& sigma) {
  std::size_t count = 0, first = 0;
  for (std::size_t i = 0; i < sigma.values.size(); ++i) {
    const float value = sigma.values[i];
    if (std::isfinite(value) && value >= 0.0f) continue;
    if (count++ == 0) first = i;
  }
  if (count == 0) return;
  importer->problems.push_back(
      SigmaPlace(name) + std::to_string(count) + " of " + std::to_string(sigma.values.size()) +
      " values are negative or not finite, the first is " + std::to_string(sigma.values[first]) +
      " at index " + std::to_string(first));
}

// Refuses a sigma that was trained for other weights than the file's, as when an exporter has
// folded BatchNormalization into them and kept their name. Rounding to half precision is no
// difference.
void CheckMeans(OnnxImporter* importer, const std::string& name, const SigmaArray& sigma,
                const OnnxConstant& constant) {
  constexpr float kRounding = 1.0F / 256;  // of BF16: 8 bits
  const auto weights = FloatValues(constant);
  if (!weights || sigma.means.size() != weights->size()) return;
  float largest = 0.0F, difference = 0.0F;
  for (std::size_t i = 0; i < weights->size(); ++i) {
    largest = std::max(largest, std::fabs(sigma.means[i]));
    const float apart = std::fabs(sigma.means[i] - (*weights)[i]);
    if (!(apart <= difference)) difference = apart;  // NaN, too
  }
  if (difference <= kRounding * largest) return;
  importer->problems.push_back(
      SigmaPlace(name) + "belongs to other weights than the initializer's: they differ by up to " +
      std::to_string(difference) + " from \"" + name + ".mean\", whose largest is " +
      std::to_string(largest) +
      "; has the exporter folded BatchNormalization into them? Export with "
      "tools/export_posterior.py, or torch.onnx.export(..., dynamo=False, "
      "training=TrainingMode.PRESERVE, do_constant_folding=False)");
}

// Exporters that fold BatchNormalization under the old name are PyTorch's of 2.x, whose least
// operator set is 18 unless it is told otherwise; that of 1.x renames what it folds.
void NoteMissingMeans(OnnxImporter* importer) {
  constexpr std::int64_t kFirstOpset = 18;
  const onnx::ModelProto& model = importer->graph.model;
  const bool may_fold =
      importer->graph.opset >= kFirstOpset ||
      (model.producer_name() == "pytorch" && !model.producer_version().starts_with("1."));
  if (!may_fold) return;
  std::size_t missing = 0;
  for (const auto& [name, sigma] : importer->posterior) missing += sigma.means.empty() ? 1U : 0U;
  if (missing == 0) return;
  importer->network.notices.push_back(
      "the posterior has no means beside " + std::to_string(missing) + " of its " +
      std::to_string(importer->posterior.size()) +
      " sigmas: that they belong to these weights is taken on trust (arrays <initializer>.mean "
      "would show it; tools/export_posterior.py writes them)");
}

std::vector<float> ReadFloats(OnnxImporter* importer, const OnnxConstant& constant,
                              const std::string& name) {
  SpendBytes(importer, sizeof(float) * constant.count);
  std::optional<std::vector<float>> values = FloatValues(constant);
  if (!values) throw NodeProblem{"\"" + name + "\" is not a floating-point tensor"};
  return std::move(*values);
}

// `dims` without leading ones: [1, 1, n] broadcasts like [n].
std::vector<std::int64_t> WithoutLeadingOnes(std::vector<std::int64_t> dims) {
  std::size_t ones = 0;
  while (ones < dims.size() && dims[ones] == 1) ++ones;
  dims.erase(dims.begin(), dims.begin() + static_cast<std::ptrdiff_t>(ones));
  return dims;
}

}  // namespace

GaussianTensor ReadGaussian(OnnxImporter* importer, const OnnxNode& node, int i) {
  const OnnxConstant& constant = ReadConstant(*importer, node, i);
  GaussianTensor gaussian{.mu = ReadFloats(importer, constant, InputName(node, i)), .sigma = {}};
  const auto own = importer->posterior.find(InputName(node, i));
  if (own != importer->posterior.end()) {
    Claim(importer, node, own->first);
    // Another size has been reported by CheckPosterior.
    if (own->second.values.size() == gaussian.mu.size()) gaussian.sigma = own->second.values;
  } else if (constant.origin != nullptr) {
    gaussian.sigma = FollowOrigin(importer, node, *constant.origin, InputName(node, i));
  }
  return gaussian;
}

std::vector<float> ReadDeterministic(OnnxImporter* importer, const OnnxNode& node, int i,
                                     const std::string& why) {
  const OnnxConstant& constant = ReadConstant(*importer, node, i);
  for (const std::string& name : RandomParameters(*importer, InputName(node, i))) {
    importer->sigma_readers.emplace(name, node.name);
    Report(importer, node, "\"" + name + "\" has a sigma: " + why);
  }
  return ReadFloats(importer, constant, InputName(node, i));
}

bool HasSigma(OnnxImporter* importer, const OnnxNode& node, int i) {
  return !RandomParameters(*importer, InputName(node, i)).empty();
}

GaussianTensor ReadBias(OnnxImporter* importer, const OnnxNode& node, int i,
                        const std::vector<std::int64_t>& per_channel, std::size_t max_rank) {
  const OnnxConstant& constant = ReadConstant(*importer, node, i);
  const std::vector<std::int64_t> dims = WithoutLeadingOnes(constant.dims);
  const bool is_single = constant.count == 1;
  if (constant.dims.size() > max_rank || (!is_single && dims != WithoutLeadingOnes(per_channel))) {
    throw NodeProblem{"constant " + DimsText(constant.dims) + " is not one value per channel, " +
                      DimsText(per_channel)};
  }
  GaussianTensor bias = ReadGaussian(importer, node, i);
  const std::size_t channels = static_cast<std::size_t>(per_channel[0]);
  if (!is_single || channels == 1) return bias;
  if (!bias.sigma.empty()) {
    Report(importer, node,
           "a single Bayesian value added to all channels is not supported: the engine draws each "
           "channel's bias independently");
  }
  SpendBytes(importer, sizeof(float) * channels);
  return {.mu = std::vector<float>(channels, bias.mu[0]), .sigma = {}};
}

void AddTo(GaussianTensor* bias, const GaussianTensor& more) {
  if (bias->mu.empty()) {
    *bias = more;
    return;
  }
  for (std::size_t i = 0; i < bias->mu.size(); ++i) bias->mu[i] += more.mu[i];
  if (bias->sigma.empty()) {
    bias->sigma = more.sigma;
  } else if (!more.sigma.empty()) {
    for (std::size_t i = 0; i < bias->sigma.size(); ++i) {
      bias->sigma[i] = std::hypot(bias->sigma[i], more.sigma[i]);
    }
  }
}

void CheckPosterior(OnnxImporter* importer) {
  for (const auto& [name, sigma] : importer->posterior) {
    const auto found = importer->graph.constants.find(name);
    if (found == importer->graph.constants.end()) {
      importer->problems.push_back(SigmaPlace(name) + "there is no initializer \"" + name +
                                   "\" in " + importer->graph.path);
      continue;
    }
    const std::vector<std::int64_t> shape = SignedShape(sigma);
    if (shape != found->second.dims || sigma.values.size() != found->second.count) {
      importer->problems.push_back(SigmaPlace(name) + "has shape " + DimsText(shape) + " and " +
                                   std::to_string(sigma.values.size()) +
                                   " values, the initializer " + DimsText(found->second.dims));
    }
    CheckSigmaValues(importer, name, sigma);
    if (found->second.tensor != nullptr) CheckMeans(importer, name, sigma, found->second);
  }
  NoteMissingMeans(importer);
}

void CheckSigmasRead(OnnxImporter* importer) {
  // Inputs of nodes that failed: whether they would have taken the sigma is not known.
  std::set<std::string> unknown;
  for (const OnnxNode& node : importer->graph.nodes) {
    if (!importer->failed.contains(OutputName(node, 0))) continue;
    for (const std::string& input : node.proto->input()) {
      unknown.insert(input);
      const std::vector<std::string> names = RandomParameters(*importer, input);
      unknown.insert(names.begin(), names.end());
    }
  }
  for (const auto& [name, sigma] : importer->posterior) {
    if (importer->sigma_readers.contains(name) || unknown.contains(name)) continue;
    if (!importer->graph.constants.contains(name)) continue;  // reported by CheckPosterior
    importer->problems.push_back(SigmaPlace(name) +
                                 "the initializer is not a weight or bias of a "
                                 "layer that the output depends on");
  }
}

}  // namespace mu8::convert
