// Opens a .mu8 file in place: no copy, no heap, no exceptions. The bytes are untrusted; Open checks
// every rule of FORMAT.md in time linear in the file's size, and a View that it returned is safe to
// execute. Checks are ordinary code, never assert: they hold in release builds. OpenStreamed does
// the same to a file that is read through a callback (formats/stream.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "formats/layout.h"
#include "mu8/config.h"
#include "mu8/source.h"
#include "mu8/status.h"

namespace mu8::format {

// Of a section that lies within the file, which has at most 2^31 bytes.
struct SectionView {
  std::uint32_t offset = 0;
  std::uint32_t bytes = 0;

  SectionView() = default;
  SectionView(std::uint64_t at, std::uint64_t size)
      : offset(static_cast<std::uint32_t>(at)), bytes(static_cast<std::uint32_t>(size)) {}
};

// What a layer reads and writes.
struct Operands {
  TensorRecord input;
  TensorRecord input2;  // zero if the layer has none
  TensorRecord output;  // for the logits: height, width and channels, else zero
  bool logits;
};

// A validated file. Records are copied out by value, so no alignment or aliasing rule is bent.
struct View {
  std::uint64_t file_bytes = 0;
  ModelRecord model{};
  const std::byte* data = nullptr;  // the file; of a streamed one all but section 5
  // Of a streamed file: what gives section 5 (Source), how much memory is staged of it at a time at
  // most (formats/stream.h), and, where a run has it, the last layer's weight_scale.
  void* read_context = nullptr;
  decltype(Source::read) read = nullptr;
  std::uint32_t skipped_bytes = 0;  // of section 5; 0 if the file is in memory
  std::uint32_t staging_bytes = 0;
  const std::uint8_t* output_scales = nullptr;
  SectionView tensors, layers, input_table, parameters, metadata;
  SectionView outputs;             // of heads that have it; else, or if a file has none, all 0
  SectionView ranges;              // of heads that may have it; else, or if a file has none, all 0
  SectionView abstain;             // if a file has none, all 0
  SectionView moments;             // the same
  std::uint32_t output_slots = 0;  // of the last layer: accumulators at each position
  std::uint32_t input_height = 0, input_width = 0, input_channels = 0;
  std::uint32_t first_pass = 0;    // what FindFirstPassLayer has found
  std::uint32_t records_hash = 0;  // formats/recheck.h

  std::uint32_t tensor_count() const { return tensors.bytes / std::uint32_t{sizeof(TensorRecord)}; }
  std::uint32_t layer_count() const { return layers.bytes / kLayerRecordBytes; }
  std::uint64_t tensor_offset(std::uint32_t index) const {
    return std::uint64_t{tensors.offset} + std::uint64_t{index} * sizeof(TensorRecord);
  }
  std::uint64_t layer_offset(std::uint32_t index) const {
    return std::uint64_t{layers.offset} + std::uint64_t{index} * kLayerRecordBytes;
  }
  TensorRecord tensor(std::uint32_t index) const {
    return Load<TensorRecord>(tensor_offset(index));
  }
  LayerRecord layer(std::uint32_t index) const { return Load<LayerRecord>(layer_offset(index)); }

  // Copies of what a layer, the last or not, reads and writes. Its tensors exist.
  void LoadOperands(const LayerRecord& layer, bool last, Operands* to) const;

  bool IsBayesian(std::uint32_t index) const {
    const std::uint64_t flags = layer_offset(index) + offsetof(LayerRecord, flags);
    return (Load<std::uint8_t>(flags) & kLayerBayesian) != 0;
  }

  // Layers before it are computed once for an image, the others in every pass: the first Bayesian
  // layer, or the last layer if none is. As Open has found it: whoever asked the records of a run
  // twice could get two answers.
  std::uint32_t first_pass_layer() const { return first_pass; }
  std::uint32_t FindFirstPassLayer() const {
    std::uint32_t index = 0;
    while (index + 1 < layer_count() && !IsBayesian(index)) ++index;  // at most the layers
    return index;
  }

  // Whether a tensor is alive in a layer (FORMAT.md section 4). What is computed once an image and
  // read by the passes stays: every pass reads it again. `first`: first_pass_layer().
  bool IsAlive(std::uint32_t index, std::uint32_t layer, std::uint32_t first) const {
    const std::uint64_t at = tensor_offset(index);
    const auto first_layer = Load<std::uint16_t>(at + offsetof(TensorRecord, first_layer));
    const auto last_layer = Load<std::uint16_t>(at + offsetof(TensorRecord, last_layer));
    if (index != 0 && first_layer > layer) return false;
    const bool once = index == 0 || first_layer < first;
    return last_layer >= layer || (once && last_layer >= first);
  }

  InputKind input_kind() const { return static_cast<InputKind>(model.input); }
  // u8 [channels of the input][256]: raw pixel -> quantized input; of InputKind::kPixels.
  const std::uint8_t* input_lookup() const { return Bytes(input_table.offset); }
  // A number of that channel -> quantized input; of InputKind::kNumbers.
  Affine input_affine(std::uint32_t channel) const {
    return Load<Affine>(input_table.offset + channel * sizeof(Affine));
  }
  Head head() const { return static_cast<Head>(model.head); }
  std::uint32_t output_height() const { return model.output_height == 0 ? 1 : model.output_height; }
  std::uint32_t output_width() const { return model.output_width == 0 ? 1 : model.output_width; }
  // Of kValues: whether the file has the variance of the observations' noise, and that of a
  // channel.
  bool has_stored_noise() const { return head() == Head::kValues && outputs.offset != 0; }
  float stored_noise(std::uint32_t channel) const {
    return LoadBehind<float>(outputs.offset + channel * sizeof(float));
  }
  // Of kValues and kGaussian: whether the file has a range for each output, and that of one.
  bool has_ranges() const { return ranges.offset != 0; }
  OutputRange range(std::uint32_t output) const {
    return LoadBehind<OutputRange>(ranges.offset + output * sizeof(OutputRange));
  }
  // Whether predictions may abstain, by which measure, and above which value of an output of a
  // position, or of all.
  bool has_abstain() const { return abstain.offset != 0; }
  AbstainRecord abstain_record() const { return LoadBehind<AbstainRecord>(abstain.offset); }
  float abstain_threshold(std::uint32_t index) const {
    return LoadBehind<float>(abstain.offset + sizeof(AbstainRecord) + index * sizeof(float));
  }
  // Whether predictions by moments can be made, and what they need of a layer.
  bool has_moments() const { return moments.offset != 0; }
  MomentsRecord layer_moments(std::uint32_t layer) const {
    return LoadBehind<MomentsRecord>(moments.offset + layer * sizeof(MomentsRecord));
  }
  // Of kGaussian.
  ScaleForm scale_form() const { return LoadBehind<ScaleForm>(outputs.offset); }
  ScaleBounds scale_bounds(std::uint32_t channel) const {
    return LoadBehind<ScaleBounds>(outputs.offset + kOutputsHeaderBytes +
                                   channel * sizeof(ScaleBounds));
  }
  // Of kReconstruction: the unit of squared errors, and what makes a target of an input.
  float error_unit() const { return LoadBehind<float>(outputs.offset); }
  Affine target_affine(std::uint32_t channel) const {
    return LoadBehind<Affine>(outputs.offset + kOutputsHeaderBytes + channel * sizeof(Affine));
  }
  // The parameters of a layer; MakeParameterLayout's offsets count from here. In the file, and, if
  // it is not streamed, in memory.
  std::uint64_t parameters_at(const LayerRecord& layer) const {
    return parameters.offset + layer.parameter_offset;
  }
  const std::uint8_t* layer_parameters(const LayerRecord& layer) const {
    return Bytes(parameters_at(layer));
  }
  // Whether section 5 is not in memory.
  bool is_streamed() const { return config::kStreamed && read != nullptr; }
  // Bytes of one of a layer's panels as it is drawn, unpacked or copied; 0 where it is used as it
  // lies.
  std::uint64_t PanelBytes(const LayerRecord& layer) const {
    if (!is_streamed()) return PanelScratch(layer);
    return layer.mu_bits == 0 ? 0 : MakePanelLayout(layer).panel_bytes(0);
  }

  // Of the sections before section 5, and wherever bytes are asked for by their place in a file
  // that is in memory.
  const std::uint8_t* Bytes(std::uint64_t offset) const {
    return reinterpret_cast<const std::uint8_t*>(data) + offset;
  }
  template <typename Record>
  Record Load(std::uint64_t offset) const {
    Record record;
    std::memcpy(&record, data + offset, sizeof(Record));
    return record;
  }
  // Of those behind it: 6 to 10, and what this version does not know.
  const std::uint8_t* BytesBehind(std::uint64_t offset) const {
    return Bytes(config::kStreamed ? offset - skipped_bytes : offset);
  }
  template <typename Record>
  Record LoadBehind(std::uint64_t offset) const {
    return Load<Record>(config::kStreamed ? offset - skipped_bytes : offset);
  }
  // Of either.
  std::uint64_t Place(std::uint64_t offset) const {
    return config::kStreamed && offset > parameters.offset ? offset - skipped_bytes : offset;
  }
};

// `bytes` must stay valid as long as the view is used, and start at a multiple of 16. They ought to
// stay unchanged; formats/recheck.h has what keeps an executor safe if they do not.
// On failure `*view` is not to be used and `*diagnostic` (if given) says what, where and expected.
Status Open(std::span<const std::byte> bytes, View* view, Diagnostic* diagnostic = nullptr);

// The same of a file that `source` gives, with the same findings, and kReadFailed where a read
// failed. `resident` receives all of the file but section 5, file_bytes - section.bytes bytes;
// `scratch` (kLeastScratchBytes or more) is free again afterwards. kArenaTooSmall says which of the
// two is too small, and what it must have. What `source` reads from and `resident` are used as long
// as the view is.
Status OpenStreamed(const Source& source, std::span<std::byte> resident,
                    std::span<std::byte> scratch, View* view, Diagnostic* diagnostic = nullptr);
inline constexpr std::size_t kLeastScratchBytes = 640;

// The view of bytes that Open has accepted before, without checking them again.
void Reopen(std::span<const std::byte> bytes, View* view);
View Reopen(std::span<const std::byte> bytes);

// MakeParameterLayout, once in a program: half a kilobyte on a processor of 32 bits.
ParameterLayout ParametersOf(const LayerRecord& layer);

// Finds a metadata value by key; false when there is none. The text is UTF-8, not NUL-terminated.
bool FindMetadata(const View& view, std::string_view key, std::string_view* value);

// How many metadata pairs there are, and the first; then from each to the next, in one walk.
// `place` starts as 0 and is the walk's own. The i-th call of MetadataCount(view) gives the i-th
// pair.
std::uint32_t MetadataCount(const View& view);
void NextMetadata(const View& view, std::uint64_t* place, std::string_view* key,
                  std::string_view* value);

// Line `index` of a newline-separated value such as "labels"; empty when there is none.
std::string_view Line(std::string_view text, std::uint32_t index);

}  // namespace mu8::format
