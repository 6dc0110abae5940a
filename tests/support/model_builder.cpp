#include "tests/support/model_builder.h"

#include <algorithm>
#include <cmath>
#include <span>

namespace mu8::testing {
namespace {

using format::LayerRecord;
using format::OpCode;
using format::TensorRecord;

bool IsBayesian(const LayerRecord& layer) { return (layer.flags & format::kLayerBayesian) != 0; }

// Levels per channel (or per panel for 4 bits) of a codebook; 0 for 8 bits, which has none.
std::size_t CodeCount(std::uint32_t sigma_bits) {
  return sigma_bits == 8 ? 0 : std::size_t{1} << sigma_bits;
}

// Stores the sigma code of panel byte i: each 64-byte block of weights has 8 * bits bytes of codes.
void StoreCode(std::uint32_t bits, std::size_t i, std::uint8_t code, std::uint8_t* sigma) {
  const std::size_t code_bytes = 8 * bits;
  std::uint8_t* block = sigma + i / 64 * code_bytes;
  const std::size_t in_block = i % 64;
  const std::size_t byte = bits == 1 ? in_block / 8 : in_block % code_bytes;
  const std::size_t first_bit = bits == 1 ? in_block % 8 : in_block / code_bytes * bits;
  const std::uint32_t mask = ((1U << bits) - 1) << first_bit;
  block[byte] = static_cast<std::uint8_t>((block[byte] & ~mask) |
                                          (static_cast<std::uint32_t>(code) << first_bit));
}

template <typename T>
void StoreSlot(T value, std::uint64_t offset, std::uint32_t slot, std::uint8_t* bytes) {
  std::memcpy(bytes + offset + slot * sizeof(T), &value, sizeof(T));
}

// Everything that no valid result may depend on. Shifts stay in 1..15: they are checked everywhere.
void FillGarbage(const format::PanelLayout& panels, const format::ParameterLayout& layout,
                 bool bayesian, Random* random, std::span<std::uint8_t> bytes) {
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random->Next());
  for (std::uint32_t slot = 0; slot < panels.padded_channels; ++slot) {
    StoreSlot<std::int32_t>(random->Between(-100000, 100000), layout.bias_mu, slot, bytes.data());
  }
  if (bayesian) {
    for (std::uint64_t at = layout.bias_shift; at < layout.codebook; ++at) {
      bytes[at] = static_cast<std::uint8_t>(random->Between(1, 15));
    }
  }
}

std::uint32_t PanelOf(const format::PanelLayout& panels, std::uint32_t channel) {
  return channel / panels.group_channels * panels.panels_per_group +
         channel % panels.group_channels / 16;
}

// Bytes from the start of mu to a panel's.
std::size_t MuOffset(const format::PanelLayout& panels, const std::vector<std::uint8_t>& bits,
                     std::uint32_t panel) {
  std::size_t offset = 0;
  for (std::uint32_t p = 0; p < panel; ++p) offset += panels.panel_bytes(p) / 8 * bits[p];
  return offset;
}

// Any means, -128 excepted; of codes those of 0, with which no rule finds fault.
void FillMeans(const LayerRecord& record, const format::PanelLayout& panels,
               const format::ParameterLayout& layout, const LayerWeights& weights,
               std::span<std::uint8_t> bytes) {
  const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(layout.mu);
  const auto end =
      begin + static_cast<std::ptrdiff_t>(MuOffset(panels, weights.mu_bits, panels.panel_count()));
  if (record.mu_bits == 8) {
    std::replace(begin, end, std::uint8_t{0x80}, std::uint8_t{0x7f});
  } else {
    std::fill(begin, end, std::uint8_t{0});
  }
}

// Stores the code of panel byte i in its planes, the widest first.
void StoreMean(std::uint32_t bits, std::size_t i, std::uint32_t code, std::uint8_t* mu) {
  std::uint8_t* plane = mu + i / 64 * 8 * bits;
  std::uint32_t left = bits;
  for (const std::uint32_t width : {4U, 2U, 1U}) {
    if ((bits & width) == 0) continue;
    left -= width;
    StoreCode(width, i % 64, static_cast<std::uint8_t>((code >> left) & ((1U << width) - 1)),
              plane);
    plane += 8 * width;
  }
}

// Padded inputs weigh nothing, in unused channels too.
void SilencePadding(const format::PanelLayout& panels, std::uint8_t* mu) {
  for (std::uint32_t panel = 0; panel < panels.panel_count(); ++panel) {
    const std::uint32_t width = panels.width(panel);
    for (std::uint32_t position = 0; position < panels.inputs; ++position) {
      if (position % panels.padded_run < panels.run_length) continue;
      for (std::uint32_t c = 0; c < width; ++c) {
        mu[panels.panel_offset(panel) + (position / 4 * width + c) * 4 + position % 4] = 0;
      }
    }
  }
}

void PackChannel(const LayerRecord& record, const LayerWeights& weights, std::uint32_t channel,
                 std::uint8_t* bytes) {
  const format::PanelLayout panels = format::MakePanelLayout(record);
  const bool bayesian = IsBayesian(record);
  const auto layout = format::MakeParameterLayout(record);
  const std::uint32_t slot = format::SlotOf(panels, channel);
  StoreSlot(weights.scale[channel], layout.weight_scale, slot, bytes);
  StoreSlot(weights.bias_mu[channel], layout.bias_mu, slot, bytes);
  if (bayesian) {
    StoreSlot(weights.bias_level[channel], layout.bias_level, slot, bytes);
    StoreSlot(weights.bias_shift[channel], layout.bias_shift, slot, bytes);
    StoreSlot(weights.shift[channel], layout.shift, slot, bytes);
  }
  if (bayesian && record.sigma_bits < 4) {
    const std::size_t codes = CodeCount(record.sigma_bits);
    for (std::size_t code = 0; code < codes; ++code) {
      bytes[layout.codebook + code * panels.padded_channels + slot] =
          weights.codebook[channel * codes + code];
    }
  }
  const std::uint32_t panel = PanelOf(panels, channel);
  std::uint8_t* mu = bytes + layout.mu + MuOffset(panels, weights.mu_bits, panel);
  std::size_t logical = std::size_t{channel} * panels.runs * panels.run_length;
  for (std::uint32_t run = 0; run < panels.runs; ++run) {
    for (std::uint32_t input = 0; input < panels.run_length; ++input, ++logical) {
      const std::uint64_t at = format::WeightOffset(panels, channel, run, input);
      const std::uint64_t in_panel = at - panels.panel_offset(panel);
      if (weights.mu_bits[panel] == 8) {
        mu[in_panel] = static_cast<std::uint8_t>(weights.mu[logical]);
      } else {
        StoreMean(weights.mu_bits[panel], in_panel, weights.mu_code[logical], mu);
      }
      if (bayesian && record.sigma_bits != 0) {
        StoreCode(record.sigma_bits, at, weights.sigma[logical], bytes + layout.sigma);
      }
    }
  }
}

void SetLifetimes(format::FileContent* content) {
  const auto layers = static_cast<std::uint16_t>(content->layers.size());
  for (std::uint16_t t = 0; t < layers; ++t) {
    TensorRecord& tensor = content->tensors[t];
    tensor.first_layer = t == 0 ? format::kNoTensor : static_cast<std::uint16_t>(t - 1);
    // A value that nobody reads lives for one more layer.
    tensor.last_layer = t;
  }
  for (std::uint16_t i = 0; i < layers; ++i) {
    for (const std::uint16_t input : {content->layers[i].input, content->layers[i].input2}) {
      if (input == format::kNoTensor) continue;
      content->tensors[input].last_layer = std::max(content->tensors[input].last_layer, i);
    }
  }
}

// The layers before it are computed once for an image.
std::size_t FirstPassLayer(const std::vector<LayerRecord>& layers) {
  std::size_t index = 0;
  while (index + 1 < layers.size() && !IsBayesian(layers[index])) ++index;
  return index;
}

// Whether two values are alive in the same layer. What is computed once and read by the passes
// stays alive.
bool Together(std::size_t earlier, std::size_t first_pass_layer, const TensorRecord& a,
              const TensorRecord& b) {
  const bool once = earlier <= first_pass_layer;  // tensor i is written by layer i - 1
  const bool kept = once && a.last_layer >= first_pass_layer;
  return kept || a.last_layer >= b.first_layer;
}

// Whether tensor t may lie where its layer's residual lies (FORMAT.md section 4, Placement).
bool ReplacesResidual(const format::FileContent& content, std::size_t first_pass_layer,
                      std::size_t t) {
  if (t == 0) return false;
  const LayerRecord& layer = content.layers[t - 1];
  if (static_cast<format::OpCode>(layer.op) != format::OpCode::kConv2d ||
      layer.input2 == format::kNoTensor || layer.input2 == layer.input) {
    return false;
  }
  const TensorRecord& residual = content.tensors[layer.input2];
  const bool kept = layer.input2 <= first_pass_layer && residual.last_layer >= first_pass_layer;
  return !kept && residual.last_layer + 1U == t &&
         format::SameGeometry(residual, content.tensors[t]);
}

void SetOffsets(bool share_memory, format::FileContent* content) {
  const std::size_t first_pass_layer = FirstPassLayer(content->layers);
  std::vector<TensorRecord>* const tensors = &content->tensors;
  for (std::size_t t = 0; t < tensors->size(); ++t) {
    TensorRecord& tensor = (*tensors)[t];
    tensor.offset = 0;
    if (share_memory && ReplacesResidual(*content, first_pass_layer, t)) {
      tensor.offset = (*tensors)[content->layers[t - 1].input2].offset;
      continue;
    }
    // Lowest place behind some value and clear of all that matter.
    for (bool moved = true; moved;) {
      moved = false;
      for (std::size_t u = 0; u < t; ++u) {
        const TensorRecord& other = (*tensors)[u];
        if (share_memory && !Together(u, first_pass_layer, other, tensor)) continue;
        if (tensor.offset < other.offset + other.bytes &&
            other.offset < tensor.offset + tensor.bytes) {
          tensor.offset = other.offset + other.bytes;
          moved = true;
        }
      }
    }
  }
}

}  // namespace

TensorRecord MakeTensor(std::uint32_t height, std::uint32_t width, std::uint32_t channels,
                        float scale, std::uint8_t zero_point) {
  TensorRecord tensor{};
  tensor.height = height;
  tensor.width = width;
  tensor.channels = channels;
  tensor.scale = scale;
  tensor.zero_point = zero_point;
  return tensor;
}

LayerRecord MakeLayer(OpCode op, std::uint16_t input, std::uint32_t channels) {
  LayerRecord layer{};
  layer.op = static_cast<std::uint8_t>(op);
  layer.mu_bits = op == OpCode::kConv2d || op == OpCode::kDense ? 8 : 0;
  layer.input = input;
  layer.input2 = format::kNoTensor;
  layer.output = format::kNoTensor;
  layer.kernel_h = layer.kernel_w = layer.stride_h = layer.stride_w = 1;
  layer.dilation_h = layer.dilation_w = 1;
  layer.clamp_max = 255;
  layer.groups = 1;
  layer.output_channels = channels;
  return layer;
}

namespace {

// Codes for the means, and the means that they stand for.
void PackMeans(const LayerRecord& layer, Random* random, LayerWeights* weights) {
  const format::PanelLayout panels = format::MakePanelLayout(layer);
  const std::size_t inputs = std::size_t{layer.runs} * layer.run_length;
  if (layer.mu_bits <= 4 || layer.mu_bits == format::kMuBitsByPanel) {
    weights->mu_table.assign(std::size_t{16} * panels.panel_count(), 0);
    for (std::size_t i = 0; i < weights->mu_table.size(); ++i) {
      const std::uint32_t bits = weights->mu_bits[i / 16];
      if (bits <= 4 && i % 16 < (std::size_t{1} << bits)) {
        weights->mu_table[i] = static_cast<std::int8_t>(random->Between(-127, 127));
      }
    }
  }
  for (std::size_t i = 0; i < weights->mu.size(); ++i) {
    const std::uint32_t panel = PanelOf(panels, static_cast<std::uint32_t>(i / inputs));
    const std::uint32_t bits = weights->mu_bits[panel];
    const std::int32_t half = 1 << (bits - 1);
    std::int32_t code = random->Between(0, 2 * half - 1);
    if (bits == 8) {
      code = 0;  // stored as it is
    } else if (bits > 4) {
      if (code == half) code = 0;
      const std::int32_t value = code < half ? code : code - 2 * half;
      weights->mu[i] = static_cast<std::int8_t>(value * (1 << (8 - bits)));
    } else {
      weights->mu[i] = weights->mu_table[std::size_t{16} * panel + static_cast<std::size_t>(code)];
    }
    weights->mu_code.push_back(static_cast<std::uint8_t>(code));
  }
}

}  // namespace

LayerWeights RandomWeights(const LayerRecord& layer, float input_scale, float output_scale,
                           Random* random, std::vector<std::uint8_t> mu_bits) {
  const std::size_t channels = layer.output_channels;
  const std::size_t inputs = std::size_t{layer.runs} * layer.run_length;
  LayerWeights weights;
  weights.mu.resize(channels * inputs);
  random->Fill(std::span(weights.mu), -127, 127);
  weights.mu_bits = std::move(mu_bits);
  if (weights.mu_bits.empty()) {
    weights.mu_bits.assign(format::MakePanelLayout(layer).panel_count(), layer.mu_bits);
    if (layer.mu_bits == format::kMuBitsByPanel) random->Fill(std::span(weights.mu_bits), 1, 8);
  }
  if (layer.mu_bits != 8) PackMeans(layer, random, &weights);
  weights.bias_mu.resize(channels);
  random->Fill(std::span(weights.bias_mu), -20000, 20000);
  // A sum of n products of u8 and s8 values is about 5000 sqrt(n).
  const double spread = 5000.0 * std::sqrt(static_cast<double>(inputs));
  for (std::size_t c = 0; c < channels; ++c) {
    const double wanted = output_scale == 0.0F ? 2.0 : 60.0 * static_cast<double>(output_scale);
    const double scale =
        wanted / (spread * static_cast<double>(input_scale)) * (0.5 + random->Unit());
    weights.scale.push_back(static_cast<float>(scale));
  }
  if (!IsBayesian(layer)) return weights;
  const std::uint32_t bits = layer.sigma_bits;
  if (bits != 0) {
    weights.sigma.resize(channels * inputs);
    random->Fill(std::span(weights.sigma), 0, (1 << bits) - 1);
  }
  const format::PanelLayout panels = format::MakePanelLayout(layer);
  weights.codebook.resize(CodeCount(bits) * (bits == 4 ? panels.panel_count() : channels));
  random->Fill(std::span(weights.codebook), 0, 255);
  weights.shift.resize(channels);
  random->Fill(std::span(weights.shift), 4, 12);
  weights.bias_level.resize(channels);
  random->Fill(std::span(weights.bias_level), 0, 5000);
  weights.bias_shift.resize(channels);
  random->Fill(std::span(weights.bias_shift), 1, 15);
  if (random->OneIn(4)) random->Fill(std::span(weights.shift), 1, 15);
  return weights;
}

void SetMuBytes(const LayerWeights& weights, LayerRecord* record) {
  if (record->mu_bits != format::kMuBitsByPanel) return;
  const format::PanelLayout panels = format::MakePanelLayout(*record);
  record->mu_bytes =
      static_cast<std::uint32_t>(MuOffset(panels, weights.mu_bits, panels.panel_count()));
}

std::vector<std::uint8_t> Pack(const LayerRecord& record, const LayerWeights& weights,
                               Random* garbage) {
  const format::PanelLayout panels = format::MakePanelLayout(record);
  const bool bayesian = IsBayesian(record);
  const auto layout = format::MakeParameterLayout(record);
  std::vector<std::uint8_t> bytes(layout.bytes);
  if (bayesian) {
    std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(layout.bias_shift),
              bytes.begin() + static_cast<std::ptrdiff_t>(layout.codebook), std::uint8_t{1});
  }
  if (garbage != nullptr) FillGarbage(panels, layout, bayesian, garbage, bytes);
  FillMeans(record, panels, layout, weights, bytes);
  if (record.mu_bits == 8) SilencePadding(panels, bytes.data() + layout.mu);
  if (!weights.mu_table.empty()) {
    std::memcpy(bytes.data() + layout.mu_table, weights.mu_table.data(), weights.mu_table.size());
  }
  if (record.mu_bits == format::kMuBitsByPanel) {
    std::memcpy(bytes.data() + layout.panel_bits, weights.mu_bits.data(), weights.mu_bits.size());
  }
  if (bayesian && record.sigma_bits == 4) {
    std::copy(weights.codebook.begin(), weights.codebook.end(),
              bytes.begin() + static_cast<std::ptrdiff_t>(layout.codebook));
  }
  for (std::uint32_t channel = 0; channel < record.output_channels; ++channel) {
    PackChannel(record, weights, channel, bytes.data());
  }
  return bytes;
}

void Finish(format::FileContent* content, bool share_memory) {
  for (TensorRecord& tensor : content->tensors) {
    if (tensor.row_stride == 0) {
      tensor.row_stride = (tensor.pad_left + tensor.width + tensor.pad_right) * tensor.channels;
    }
    tensor.bytes = static_cast<std::uint32_t>(format::TensorBytes(tensor));
  }
  for (std::size_t i = 0; i + 1 < content->layers.size(); ++i) {
    content->layers[i].output = static_cast<std::uint16_t>(i + 1);
  }
  SetLifetimes(content);
  SetOffsets(share_memory, content);
}

}  // namespace mu8::testing
