#include "converters/judge/engine_trace.h"

#include <cstring>

#include "converters/host/error.h"
#include "engine/src/input.h"
#include "engine/src/layer_work.h"
#include "engine/src/layers.h"
#include "engine/src/moments.h"

namespace mu8::convert {
namespace {

// The file with every tensor behind the one before it. Only the places change, so the view needs no
// second validation.
host::AlignedBuffer SpreadTensors(const host::ModelFile& file) {
  host::AlignedBuffer bytes(file.bytes.size());
  std::memcpy(bytes.data(), file.bytes.data(), bytes.size());
  const format::View view = format::Reopen(bytes.span());
  std::uint64_t end = 0;
  for (std::uint32_t i = 0; i < view.tensor_count(); ++i) {
    format::TensorRecord tensor = view.tensor(i);
    if (end > UINT32_MAX) throw host::Error(file.path + ": activations exceed 4 GiB");
    tensor.offset = static_cast<std::uint32_t>(end);
    end += tensor.bytes;
    std::memcpy(bytes.data() + view.tensor_offset(i), &tensor, sizeof(tensor));
  }
  return bytes;
}

std::uint64_t ActivationBytes(const format::View& view) {
  const format::TensorRecord last = view.tensor(view.tensor_count() - 1);
  return std::uint64_t{last.offset} + last.bytes;
}

}  // namespace

EngineTrace::EngineTrace(const host::ModelFile& file, std::uint32_t batch, std::uint64_t seed,
                         const kernels::KernelTable& kernels)
    : seed_(seed),
      kernels_(kernels),
      bytes_(SpreadTensors(file)),
      view_(format::Reopen(bytes_.span())) {
  view_.model.activation_bytes = ActivationBytes(view_);
  activations_ = host::AlignedBuffer(batch * view_.model.activation_bytes);
  panel_ = host::AlignedBuffer(view_.model.panel_bytes);
  const format::LayerRecord last = view_.layer(view_.layer_count() - 1);
  const std::size_t slots = format::MakePanelLayout(last).padded_channels;
  const std::size_t positions = format::OutputPositions(view_.model);
  outputs_ = positions * view_.model.class_count;
  accumulators_ = host::AlignedBuffer(batch * positions * slots * sizeof(std::int32_t));
  logits_.resize(batch * outputs_);
}

void EngineTrace::Load(const host::Dataset& data, std::size_t first, std::uint32_t count) {
  const bool takes_numbers = view_.input_kind() == format::InputKind::kNumbers;
  if (takes_numbers && !data.is_numbers()) {
    throw host::Error("the model takes numbers, the data are pixels");
  }
  images_ = count;
  auto* activations = reinterpret_cast<std::uint8_t*>(activations_.data());
  for (std::uint32_t i = 0; i < count; ++i, activations += view_.model.activation_bytes) {
    if (data.is_numbers()) {
      LoadFloats(view_, data.Values(first + i, 1).data(), activations);
    } else {
      LoadPixels(view_, data.Pixels(first + i, 1).data(), activations);
    }
  }
  PassContext context = Context(0);
  RunOnce(&context);
}

PassContext EngineTrace::Context(std::uint32_t pass) {
  return {
      .view = view_,
      .kernels = kernels_,
      .stream = {.seed = seed_, .pass = pass},
      .images = {nullptr, 0, images_},
      .activations = reinterpret_cast<std::uint8_t*>(activations_.data()),
      .panel = reinterpret_cast<std::int8_t*>(panel_.data()),
      .accumulators = reinterpret_cast<std::int32_t*>(accumulators_.data()),
      .logits = logits_.data(),
      .logits_stride = outputs_,
  };
}

void EngineTrace::RunPass(std::uint32_t pass) {
  PassContext context = Context(pass);
  mu8::RunPass(&context);
}

void EngineTrace::SetMoments(std::uint32_t layer, const format::MomentsRecord& record) {
  std::memcpy(bytes_.data() + view_.moments.offset + layer * sizeof(record), &record,
              sizeof(record));
}

void EngineTrace::RunMoments(std::uint32_t layer) {
  if (variances_.size() == 0) {
    variances_ = host::AlignedBuffer(activations_.size());
    std::memset(variances_.data(), 0, variances_.size());
    pieces_ = MomentsScratchBytes(view_);
    std::uint64_t bytes = 0;
    for (const std::uint64_t piece : pieces_.bytes) bytes += piece;
    scratch_ = host::AlignedBuffer(bytes);
  }
  PassContext context = Context(0);
  context.variances = reinterpret_cast<std::uint8_t*>(variances_.data());
  context.panel = reinterpret_cast<std::int8_t*>(scratch_.data());
  context.scratch = &pieces_;
  LayerCursor at{.layer = layer};
  LayerWork work;
  RunNext(&context, kAllPanels, &at, &work);
}

std::vector<std::uint8_t> EngineTrace::Stored(std::uint32_t tensor) const {
  return Codes(activations_, tensor);
}

std::vector<std::uint8_t> EngineTrace::StoredVariances(std::uint32_t tensor) const {
  return Codes(variances_, tensor);
}

std::vector<std::uint8_t> EngineTrace::Codes(const host::AlignedBuffer& of,
                                             std::uint32_t tensor_index) const {
  const format::TensorRecord tensor = view_.tensor(tensor_index);
  const std::size_t row = std::size_t{tensor.width} * tensor.channels;
  std::vector<std::uint8_t> stored;
  stored.reserve(images_ * tensor.height * row);
  for (std::uint32_t image = 0; image < images_; ++image) {
    const auto* first = reinterpret_cast<const std::uint8_t*>(of.data()) +
                        image * view_.model.activation_bytes + tensor.offset +
                        std::size_t{tensor.pad_top} * tensor.row_stride +
                        std::size_t{tensor.pad_left} * tensor.channels;
    for (std::uint32_t y = 0; y < tensor.height; ++y) {
      const std::uint8_t* at = first + std::size_t{y} * tensor.row_stride;
      stored.insert(stored.end(), at, at + row);
    }
  }
  return stored;
}

std::vector<float> EngineTrace::Real(std::uint32_t tensor_index) const {
  if (tensor_index == view_.tensor_count()) {
    return {logits_.begin(), logits_.begin() + static_cast<std::ptrdiff_t>(images_ * outputs_)};
  }
  const format::TensorRecord tensor = view_.tensor(tensor_index);
  std::vector<float> real;
  for (const std::uint8_t q : Stored(tensor_index)) {
    real.push_back(static_cast<float>(q - tensor.zero_point) * tensor.scale);
  }
  return real;
}

// The panel at `mu`, drawn into panel_ and `bias` or unpacked, or as the file has it.
EngineTrace::Panel EngineTrace::DrawPanel(const Parameters& parameters,
                                          const format::LayerRecord& layer,
                                          const format::MuCursor& mu,
                                          const kernels::StreamId& stream, std::int32_t* bias) {
  kernels::SampleArgs sample{};
  sample.stream = stream;
  Shifts shifts;
  SetPanel(parameters, layer, mu, &shifts, &sample);
  if (!parameters.bayesian && layer.mu_bits == 8) {
    return {reinterpret_cast<const std::int8_t*>(sample.mu), sample.bias_mu};
  }
  sample.weights = reinterpret_cast<std::int8_t*>(panel_.data());
  sample.bias = bias;
  (parameters.bayesian ? kernels_.sample_panel : kernels_.unpack_panel)(sample);
  return {sample.weights, parameters.bayesian ? bias : sample.bias_mu};
}

RealWeights EngineTrace::Draw(std::uint32_t layer_index, std::uint32_t pass) {
  const format::LayerRecord layer = view_.layer(layer_index);
  RealWeights real;
  if (layer.mu_bits == 0) return real;
  const Parameters parameters(view_, layer);
  const format::PanelLayout& panels = parameters.panels;
  const float input_scale = view_.tensor(layer.input).scale;
  const std::size_t k = std::size_t{panels.runs} * panels.run_length;
  real.weights.resize(layer.output_channels * k);
  real.biases.resize(layer.output_channels);
  std::int32_t bias[kernels::kPanelWidth];
  format::MuCursor mu = parameters.FirstMu(layer);
  for (; mu.panel() < panels.panel_count(); mu.Next()) {
    const std::uint32_t p = mu.panel();
    const Panel panel = DrawPanel(parameters, layer, mu, {seed_, pass, layer_index}, bias);
    const float* scale = parameters.Slots<float>(parameters.layout.weight_scale, p);
    for (std::uint32_t c = 0; c < panels.channels(p); ++c) {
      const std::uint32_t channel = panels.channel(p) + c;
      real.biases[channel] = static_cast<float>(panel.bias[c]) * scale[c] * input_scale;
      float* to = real.weights.data() + channel * k;
      for (std::uint32_t run = 0; run < panels.runs; ++run) {
        for (std::uint32_t i = 0; i < panels.run_length; ++i) {
          const std::uint64_t at =
              format::WeightOffset(panels, channel, run, i) - panels.panel_offset(p);
          *to++ = static_cast<float>(panel.weights[at]) * scale[c];
        }
      }
    }
  }
  return real;
}

}  // namespace mu8::convert
