#include "converters/lower/pack.h"

#include <algorithm>
#include <cstring>

namespace mu8::convert {
namespace {

using format::LayerRecord;
using format::PanelLayout;
using format::ParameterLayout;

template <typename T>
void Put(T value, std::uint64_t offset, std::vector<std::uint8_t>* bytes) {
  std::memcpy(bytes->data() + offset, &value, sizeof(T));
}

// Adds the code of panel byte `offset` to the packed sigma (FORMAT.md section 6.3).
void PutCode(std::uint8_t code, std::uint64_t offset, std::uint32_t bits, std::uint8_t* sigma) {
  const std::uint64_t in_block = offset % 64;
  std::uint8_t* block = sigma + offset / 64 * 8 * bits;
  if (bits == 1) {
    block[in_block / 8] |= static_cast<std::uint8_t>(code << (in_block % 8));
  } else if (bits != 0) {
    const std::uint64_t part = in_block / (8 * bits);
    block[in_block % (8 * bits)] |= static_cast<std::uint8_t>(code << (part * bits));
  }
}

// The code of a mean (FORMAT.md 6.7): its high bits, or its place in the panel's table.
std::uint8_t MuCode(std::int8_t mu, std::uint32_t bits, const std::int8_t* table) {
  if (bits > format::kMostTableBits) {
    return static_cast<std::uint8_t>(static_cast<std::uint8_t>(mu) >> (8 - bits));
  }
  return static_cast<std::uint8_t>(std::find(table, table + (1 << bits), mu) - table);
}

// Adds the code of panel byte `offset` to packed means, plane by plane, the highest bits first.
void PutMu(std::uint8_t code, std::uint64_t offset, std::uint32_t bits, std::uint8_t* mu) {
  std::uint8_t* plane = mu + offset / 64 * 8 * bits;
  std::uint32_t left = bits;
  for (const std::uint32_t plane_bits : {4U, 2U, 1U}) {
    if ((bits & plane_bits) == 0) continue;
    left -= plane_bits;
    PutCode(static_cast<std::uint8_t>(std::uint32_t{code} >> left & ((1U << plane_bits) - 1)),
            offset % 64, plane_bits, plane);
    plane += 8 * plane_bits;
  }
}

// `mu` is at the panel of the channel.
void PackChannel(const LayerRecord& layer, const PanelLayout& panels, const ParameterLayout& layout,
                 const QuantizedWeights& weights, const format::MuCursor& mu, std::uint32_t channel,
                 std::vector<std::uint8_t>* bytes) {
  const bool bayesian = (layer.flags & format::kLayerBayesian) != 0;
  const std::uint32_t slot = format::SlotOf(panels, channel);
  Put(weights.weight_scale[channel], layout.weight_scale + slot * 4, bytes);
  Put(weights.bias_mu[channel], layout.bias_mu + slot * 4, bytes);
  if (bayesian) {
    Put(weights.bias_level[channel], layout.bias_level + slot * 2, bytes);
    Put(weights.bias_shift[channel], layout.bias_shift + slot, bytes);
    Put(weights.shift[channel], layout.shift + slot, bytes);
    const std::uint32_t levels = layer.sigma_bits <= 2 ? 1U << layer.sigma_bits : 0;
    for (std::uint32_t code = 0; code < levels; ++code) {
      Put(weights.codebook[channel * levels + code],
          layout.codebook + code * panels.padded_channels + slot, bytes);
    }
  }
  const std::int8_t* table = weights.mu_table.data() +
                             (weights.mu_table.empty() ? 0 : mu.panel() * format::kMuTableEntries);
  std::uint8_t* panel = bytes->data() + layout.mu + mu.offset();
  const std::uint32_t length = panels.runs * panels.run_length;
  for (std::uint32_t i = 0; i < length; ++i) {
    const std::uint64_t offset =
        format::WeightOffset(panels, channel, i / panels.run_length, i % panels.run_length);
    const std::uint64_t in_panel = offset - panels.panel_offset(mu.panel());
    const std::int8_t mean = weights.mu[std::size_t{channel} * length + i];
    if (mu.bits() == 8) {
      panel[in_panel] = static_cast<std::uint8_t>(mean);
    } else {
      PutMu(MuCode(mean, mu.bits(), table), in_panel, mu.bits(), panel);
    }
    if (bayesian) {
      PutCode(weights.code[std::size_t{channel} * length + i], offset, layer.sigma_bits,
              bytes->data() + layout.sigma);
    }
  }
}

}  // namespace

void SetMuBits(const QuantizedWeights& weights, LayerRecord* layer) {
  if (weights.mu_bits.size() == 1) {
    layer->mu_bits = static_cast<std::uint8_t>(weights.mu_bits.front());
    return;
  }
  layer->mu_bits = format::kMuBitsByPanel;
  const std::vector<std::uint8_t> bits(weights.mu_bits.begin(), weights.mu_bits.end());
  const format::PanelLayout panels = format::MakePanelLayout(*layer);
  format::MuCursor mu(*layer, panels, bits.data());
  while (mu.panel() < bits.size()) mu.Next();
  layer->mu_bytes = static_cast<std::uint32_t>(mu.offset());
}

std::vector<std::uint8_t> PackParameters(const LayerRecord& layer,
                                         const QuantizedWeights& weights) {
  const PanelLayout panels = format::MakePanelLayout(layer);
  const bool bayesian = (layer.flags & format::kLayerBayesian) != 0;
  const ParameterLayout layout = format::MakeParameterLayout(layer);
  std::vector<std::uint8_t> bytes(layout.bytes, 0);
  // Unused slots keep shift 1, the least that the kernels accept.
  for (std::uint64_t at = layout.bias_shift; at < layout.codebook; ++at) bytes[at] = 1;
  if (layer.mu_bits == format::kMuBitsByPanel) {
    std::copy(weights.mu_bits.begin(), weights.mu_bits.end(),
              bytes.begin() + static_cast<std::ptrdiff_t>(layout.panel_bits));
  }
  format::MuCursor mu(layer, panels, bytes.data() + layout.panel_bits);
  for (; mu.panel() < panels.panel_count(); mu.Next()) {
    for (std::uint32_t c = 0; c < panels.channels(mu.panel()); ++c) {
      PackChannel(layer, panels, layout, weights, mu, panels.channel(mu.panel()) + c, &bytes);
    }
  }
  if (bayesian && layer.sigma_bits == 4) {
    std::memcpy(bytes.data() + layout.codebook, weights.codebook.data(), weights.codebook.size());
  }
  if (!weights.mu_table.empty()) {
    std::memcpy(bytes.data() + layout.mu_table, weights.mu_table.data(), weights.mu_table.size());
  }
  return bytes;
}

}  // namespace mu8::convert
