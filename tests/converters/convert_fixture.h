// Small networks as a user has them, in files: ONNX, posterior and calibration images; converted
// and run, by the engine and by the FP32 reference, on the same images.
#pragma once

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "converters/calibrate/calibration.h"
#include "converters/convert.h"
#include "converters/fp32/executor.h"
#include "converters/network/input.h"
#include "converters/network/rewrites.h"
#include "converters/network/steps.h"
#include "tests/converters/onnx/onnx_builder.h"
#include "tests/converters/temp_folder.h"
#include "tests/support/aligned_bytes.h"
#include "tests/support/predict.h"

namespace mu8::convert::testing {

using mu8::testing::Bytes;
using mu8::testing::Folder;
using mu8::testing::Random;

// Writes `count` images of uniform noise over a random brightness as an IDX file (magic 0x804,
// channels last) and returns its path.
inline std::string WriteImages(const Folder& folder, const std::string& name, int count, int height,
                               int width, int channels, std::uint64_t seed) {
  Bytes bytes = {0, 0, 8, 4};
  for (const int n : {count, height, width, channels}) {
    for (const int shift : {24, 16, 8, 0}) bytes.push_back(static_cast<std::uint8_t>(n >> shift));
  }
  Random random(seed);
  for (int image = 0; image < count; ++image) {
    const int low = random.Between(0, 150);
    for (int i = 0; i < height * width * channels; ++i) {
      bytes.push_back(static_cast<std::uint8_t>(random.Between(low, low + 105)));
    }
  }
  return folder.Write(name, bytes);
}

// A chain of ONNX nodes with random weights of variance 1 / fan-in. `spread` is sigma over that
// weight's typical magnitude; 0: no sigma is written.
class SmallNet {
 public:
  SmallNet(int channels, int height, int width, std::uint64_t seed, double spread)
      : builder({0, channels, height, width}),
        input_{height, width, channels},
        h_(height),
        w_(width),
        c_(channels),
        random_(seed),
        spread_(spread) {}

  struct ConvShape {
    Dims kernel = {3, 3}, strides = {1, 1}, pads = {0, 0, 0, 0}, dilations = {1, 1};
    int groups = 1;
    bool bias = true;
  };
  SmallNet& Conv(int out, const ConvShape& s) {
    const std::vector<std::string> inputs =
        Parameters({out, c_ / s.groups, s.kernel[0], s.kernel[1]},
                   static_cast<double>(c_ / s.groups * s.kernel[0] * s.kernel[1]), out, s.bias);
    Add("Conv", inputs)
        .Ints("kernel_shape", s.kernel)
        .Ints("strides", s.strides)
        .Ints("pads", s.pads)
        .Ints("dilations", s.dilations)
        .Int("group", s.groups);
    Slide(s.kernel, s.strides, s.pads, s.dilations);
    c_ = out;
    return *this;
  }
  // A transposed convolution of as many rows as columns, without padding.
  SmallNet& Up(int out, int kernel, int stride, bool bias = true) {
    const auto area = static_cast<std::int64_t>(kernel) * kernel;
    const double fan_in = static_cast<double>(c_ * area) / (stride * stride);
    Add("ConvTranspose", Parameters({c_, out, kernel, kernel}, fan_in, out, bias))
        .Ints("strides", {stride, stride});
    h_ = (h_ - 1) * stride + kernel;
    w_ = (w_ - 1) * stride + kernel;
    c_ = out;
    return *this;
  }
  // Twice as many rows and columns.
  SmallNet& Doubled(const std::string& mode) {
    builder.Initializer("scales" + last_, {4}, {1, 1, 2, 2});
    Add("Resize", {last_, "", "scales" + last_}).String("mode", mode);
    h_ *= 2;
    w_ *= 2;
    return *this;
  }
  // `op` with a constant for each channel, or for each element.
  SmallNet& WithConstant(const std::string& op, bool by_channel) {
    const std::size_t count = static_cast<std::size_t>(by_channel ? c_ : c_ * h_ * w_);
    Floats values;
    for (std::size_t i = 0; i < count; ++i) values.push_back(static_cast<float>(Normal() * 0.5));
    const std::string name = "constant" + last_;
    builder.Initializer(name, by_channel ? Dims{c_, 1, 1} : Dims{c_, h_, w_}, values);
    Add(op, {last_, name});
    return *this;
  }
  SmallNet& Gemm(int out) {
    const auto in = static_cast<std::int64_t>(c_) * h_ * w_;
    Add("Gemm", Parameters({out, in}, static_cast<double>(in), out, true)).Int("transB", 1);
    h_ = w_ = 1;
    c_ = out;
    return *this;
  }
  SmallNet& BatchNorm() {
    std::vector<std::string> inputs = {last_};
    const auto channels = static_cast<std::size_t>(c_);
    for (const char* kind : {"scale", "offset", "mean", "variance"}) {
      Floats values;
      for (std::size_t i = 0; i < channels; ++i) {
        const bool positive = std::string(kind) == "variance";
        values.push_back(static_cast<float>(Normal() * 0.4 + (positive ? 2.0 : 0.3)));
        if (positive) values.back() = std::abs(values.back()) + 0.5F;
      }
      inputs.push_back("bn" + std::to_string(nodes_) + kind);
      builder.Initializer(inputs.back(), {c_}, values);
    }
    Add("BatchNormalization", inputs);
    return *this;
  }
  SmallNet& Relu() {
    Add("Relu", {last_});
    return *this;
  }
  SmallNet& Flatten() {
    Add("Flatten", {last_});
    return *this;
  }
  SmallNet& Pool(const std::string& op, const Dims& kernel, const Dims& strides,
                 const Dims& pads = {0, 0, 0, 0}, bool count_include_pad = false) {
    Add(op, {last_}).Ints("kernel_shape", kernel).Ints("strides", strides).Ints("pads", pads);
    if (count_include_pad) builder.Int("count_include_pad", 1);
    Slide(kernel, strides, pads, {1, 1});
    return *this;
  }
  // A node that keeps the shape, such as Sigmoid.
  SmallNet& Function(const std::string& op) {
    Add(op, {last_});
    return *this;
  }
  SmallNet& GlobalAverage() {
    Add("GlobalAveragePool", {last_});
    h_ = w_ = 1;
    return *this;
  }
  // Every second pixel, with `before` and `after` channels of zeros: He's option A.
  SmallNet& Shortcut(int before, int after) {
    const auto integers = [&](const std::string& name, const Dims& values) {
      builder.Initializer(name + last_, OnnxBuilder::Integers(values));
      return name + last_;
    };
    const std::string starts = integers("starts", {0, 0});
    const std::string ends = integers("ends", {1 << 20, 1 << 20});
    const std::string axes = integers("axes", {2, 3});
    const std::string steps = integers("steps", {2, 2});
    const std::string pads = integers("pads", {0, before, 0, 0, 0, after, 0, 0});
    Add("Slice", {last_, starts, ends, axes, steps});
    Add("Pad", {last_, pads});
    h_ = (h_ + 1) / 2;
    w_ = (w_ + 1) / 2;
    c_ += before + after;
    return *this;
  }
  // Marks the last value; Join() combines the mark with what is the last value then.
  SmallNet& Fork() {
    forks_.push_back({last_, {h_, w_, c_}});
    return *this;
  }
  // Exchanges the last value and the mark.
  SmallNet& Swap() {
    Mark& mark = forks_.back();
    const Mark now{last_, {h_, w_, c_}};
    last_ = mark.name;
    h_ = mark.shape.height;
    w_ = mark.shape.width;
    c_ = mark.shape.channels;
    mark = now;
    return *this;
  }
  SmallNet& Join(const std::string& op) {
    const Mark mark = forks_.back();
    forks_.pop_back();
    Add(op, {last_, mark.name});
    if (op == "Concat") {
      builder.Int("axis", 1);
      c_ += mark.shape.channels;
    }
    h_ = std::max(h_, mark.shape.height);  // one operand may be one pixel
    w_ = std::max(w_, mark.shape.width);
    return *this;
  }
  // From here on the weights' sigma is `spread`.
  SmallNet& Spread(double spread) {
    spread_ = spread;
    return *this;
  }
  void Finish() { builder.graph().mutable_node(nodes_ - 1)->set_output(0, "y"); }

  // Files in `folder`, and the options that convert them.
  ConvertOptions Write(const Folder& folder, int images = 70) {
    Finish();
    ConvertOptions options;
    const std::string onnx = builder.Bytes();
    options.model_path = folder.Write("model.onnx", Bytes(onnx.begin(), onnx.end()));
    if (!posterior_.empty()) {
      const std::string npz = Zip(posterior_);
      options.posterior_path = folder.Write("posterior.npz", Bytes(npz.begin(), npz.end()));
    }
    options.calibration_path = WriteImages(folder, "images-idx4-ubyte", images, input_.height,
                                           input_.width, input_.channels, 99);
    options.calibration_passes = 3;
    options.mean = Floats(static_cast<std::size_t>(input_.channels), 0.4F);
    options.std = Floats(static_cast<std::size_t>(input_.channels), 0.3F);
    return options;
  }

  OnnxBuilder builder;

 private:
  struct Shape {
    int height, width, channels;
  };

  double Normal() {
    double sum = -6.0;
    for (int i = 0; i < 12; ++i) sum += random_.Unit();
    return sum;
  }
  OnnxBuilder& Add(const std::string& op, const std::vector<std::string>& inputs) {
    last_ = "v" + std::to_string(++nodes_);
    return builder.Node(op, op + std::to_string(nodes_), inputs, {last_});
  }
  void Slide(const Dims& kernel, const Dims& strides, const Dims& pads, const Dims& dilations) {
    const auto size = [&](int in, std::size_t a) {
      const std::int64_t slack = in + pads[a] + pads[a + 2] - dilations[a] * (kernel[a] - 1) - 1;
      return static_cast<int>(slack / strides[a] + 1);
    };
    h_ = size(h_, 0);
    w_ = size(w_, 1);
  }
  // Weight and bias initializers of the next node, with their sigmas; returns its inputs.
  std::vector<std::string> Parameters(const Dims& dims, double fan_in, int out, bool bias) {
    std::vector<std::string> inputs = {last_};
    for (const bool is_bias : {false, true}) {
      if (is_bias && !bias) break;
      const Dims shape = is_bias ? Dims{out} : dims;
      std::size_t count = 1;
      for (const std::int64_t dim : shape) count *= static_cast<std::size_t>(dim);
      const double scale = is_bias ? 0.2 : 1.0 / std::sqrt(fan_in);
      Floats mu, sigma;
      for (std::size_t i = 0; i < count; ++i) {
        mu.push_back(static_cast<float>(scale * Normal()));
        sigma.push_back(static_cast<float>(scale * spread_ * (0.5 + random_.Unit())));
      }
      inputs.push_back("p" + std::to_string(nodes_) + (is_bias ? "b" : "w"));
      builder.Initializer(inputs.back(), shape, mu);
      if (spread_ == 0.0) continue;
      std::string text = "(";
      for (const std::int64_t dim : shape) text += std::to_string(dim) + ",";
      posterior_.emplace_back(inputs.back() + ".sigma.npy",
                              Npy("<f4", text + ")", Float32Bytes(sigma)));
    }
    return inputs;
  }

  struct Mark {
    std::string name;
    Shape shape;
  };

  Shape input_;
  std::vector<Mark> forks_;
  int h_, w_, c_, nodes_ = 0;
  Random random_;
  double spread_;
  std::string last_ = "x";
  std::vector<std::pair<std::string, std::string>> posterior_;
};

// images x classes: mean over the passes, and variance.
struct Logits {
  std::size_t classes = 0;
  std::vector<double> mean, variance;
};

inline void Accumulate(const float* pass, Logits* logits) {
  for (std::size_t i = 0; i < logits->mean.size(); ++i) {
    logits->mean[i] += double{pass[i]};
    logits->variance[i] += double{pass[i]} * double{pass[i]};
  }
}

inline Logits Averaged(Logits logits, int passes) {
  for (std::size_t i = 0; i < logits.mean.size(); ++i) {
    logits.mean[i] /= passes;
    logits.variance[i] = logits.variance[i] / passes - logits.mean[i] * logits.mean[i];
  }
  return logits;
}

// The FP32 network with mean weights (passes 0), or sampled.
inline Logits ReferenceLogits(const Network& network, const host::Dataset& data, int passes) {
  const Value& output = network.values[static_cast<std::size_t>(network.output)];
  Logits logits{output.size(), {}, {}};
  logits.mean.resize(data.count * output.size());
  logits.variance.resize(logits.mean.size());
  Fp32Executor executor(network, static_cast<int>(data.count));
  const std::vector<float> input = Normalize(network, data, 0, data.count);
  SampledWeights weights;
  for (int pass = 0; pass < std::max(passes, 1); ++pass) {
    if (passes == 0) MeanWeights(network, &weights);
    if (passes > 0) SampleGaussian(network, 3, static_cast<std::uint32_t>(pass), &weights);
    executor.SetWeights(weights);
    executor.Run(input.data());
    Accumulate(executor.value(network.output), &logits);
  }
  return Averaged(std::move(logits), std::max(passes, 1));
}

inline Logits EngineLogits(const std::vector<std::byte>& file, const host::Dataset& data,
                           int passes) {
  const mu8::testing::AlignedBytes bytes{std::span<const std::byte>(file)};
  SessionOptions options;
  options.mc_samples = static_cast<std::uint32_t>(passes);
  options.batch = static_cast<std::uint32_t>(data.count);
  options.keep_logits = true;
  mu8::testing::Engine engine;
  REQUIRE(engine.Open(bytes.span(), options) == Status::kOk);
  std::vector<Prediction> predictions(data.count);
  REQUIRE(engine.session.Predict(std::span<const std::uint8_t>(data.pixels), predictions) ==
          Status::kOk);
  Logits logits{engine.model.class_count(), {}, {}};
  logits.mean.resize(data.count * logits.classes);
  logits.variance.resize(logits.mean.size());
  std::vector<float> one(logits.mean.size());
  for (std::size_t pass = 0; pass < options.mc_samples; ++pass) {
    for (std::size_t i = 0; i < one.size(); ++i) {
      const Prediction& prediction = predictions[i / logits.classes];
      one[i] = prediction.logits[pass * prediction.logits_stride + i % logits.classes];
    }
    Accumulate(one.data(), &logits);
  }
  return Averaged(std::move(logits), passes);
}

// 10 log10 of the spread of the expected logits over the images, class by class, to the error.
inline double SnrDb(const Logits& expected, const Logits& found) {
  REQUIRE(expected.mean.size() == found.mean.size());
  const std::size_t classes = expected.classes;
  const std::size_t images = expected.mean.size() / classes;
  std::vector<double> centre(classes, 0.0);
  for (std::size_t i = 0; i < expected.mean.size(); ++i) {
    centre[i % classes] += expected.mean[i] / static_cast<double>(images);
  }
  double signal = 0, error = 0;
  for (std::size_t i = 0; i < expected.mean.size(); ++i) {
    signal += std::pow(expected.mean[i] - centre[i % classes], 2);
    error += std::pow(expected.mean[i] - found.mean[i], 2);
  }
  return 10 * std::log10(signal / error);
}

// The network that `options` converts, folded and with its input normalization.
inline Network ReferenceNetwork(const ConvertOptions& options) {
  Network network = ImportWithPosterior(options.model_path, options.posterior_path);
  PrepareNetwork(&network);
  network.mean = options.mean;
  network.std = options.std;
  return network;
}

}  // namespace mu8::convert::testing
