// The .mu8 file as records and sizes: the C++ twin of FORMAT.md, which is normative.
// Everything here is plain data and arithmetic; reader.h validates, writer.h writes.
// All fields are little-endian; records have no implicit padding (asserted below).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "formats/limits.h"

namespace mu8::format {

// Records are read where they lie.
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "mu8 runs on little-endian processors: .mu8 files are little-endian and read in place"
#endif

// 0x93 is no ASCII and no UTF-8 start byte; CR LF, ^Z and LF catch text-mode transfers.
inline constexpr std::array<std::uint8_t, 8> kMagic = {0x93, 'm', 'u', '8', '\r', '\n', 0x1a, '\n'};
inline constexpr std::uint16_t kVersionMajor = 1;
inline constexpr std::uint16_t kVersionMinor = 6;  // what moments need
inline constexpr std::uint16_t kAbstainMinor = 5;  // when to abstain
inline constexpr std::uint16_t kTablesMinor = 4;   // operators since 10, tables by channel, ranges
inline constexpr std::uint16_t kHeadsMinor = 3;    // outputs that are no softmax, numbers as input
inline constexpr std::uint16_t kByPanelMinor = 2;  // a width of mu for each panel
inline constexpr std::uint16_t kPackedMinor = 1;   // mu of 1 to 7 bits; without any of them, 0
inline constexpr std::uint32_t kEndianMark = 0x01020304;
inline constexpr std::uint64_t kAlignment = 64;      // of what lies in a file, and of tensors
inline constexpr std::uint64_t kFileAlignment = 16;  // of a file's start, for typed access

inline constexpr std::uint16_t kNoTensor = 0xffff;
inline constexpr std::uint32_t kPanelChannels = 16;
// A run is read in groups of 4 bytes, so the last one may read 3 bytes past its tensor's last row.
// 64 leaves room for kernels that load a whole register of activations.
inline constexpr std::uint32_t kTensorTailBytes = 64;

enum class SectionId : std::uint32_t {
  kModel = 1,
  kTensors = 2,
  kLayers = 3,
  kInputTable = 4,
  kParameters = 5,
  kMetadata = 6,
  kOutputs = 7,   // of kValues, kGaussian, kReconstruction
  kRanges = 8,    // of kValues, kGaussian, where a writer gives them; not required
  kAbstain = 9,   // when a prediction abstains, where a writer says it; not required
  kMoments = 10,  // what predictions by moments need, where a writer has measured it; not required
};
inline constexpr auto kLastSection = static_cast<std::uint32_t>(SectionId::kMoments);

enum class OpCode : std::uint8_t {
  kConv2d = 1,
  kDense = 2,
  kMaxPool = 3,
  kAveragePool = 4,
  kLookup = 5,
  kAdd = 6,
  kMultiply = 7,
  kSlice = 8,
  kConcat = 9,
  kGather = 10,
  kMaximum = 11,
  kMinimum = 12,
  kConstant = 13,
};

struct FileHeader {
  std::array<std::uint8_t, 8> magic;
  std::uint16_t version_major;
  std::uint16_t version_minor;
  std::uint32_t endian_mark;
  std::uint64_t file_bytes;
  std::uint32_t section_count;
  std::array<std::uint32_t, 8> reserved;
  std::uint32_t header_crc;  // CRC-32C of bytes 0..59 and of the section table
};
static_assert(sizeof(FileHeader) == 64);

struct SectionRecord {
  std::uint32_t id;
  std::uint32_t flags;  // bit 0: a reader that does not know the id must reject the file
  std::uint64_t offset;
  std::uint64_t bytes;
  std::uint32_t crc;  // CRC-32C of the section's bytes, padding excluded
  std::uint32_t reserved;
};
static_assert(sizeof(SectionRecord) == 32);
inline constexpr std::uint32_t kSectionRequired = 1;

// What the network's outputs are (FORMAT.md 10).
enum class Head : std::uint32_t {
  kSoftmax = 0,  // logits of classes that exclude each other
  kSigmoid = 1,  // logits of labels, each true or not
  kValues = 2,   // numbers
  // Numbers and the noise of each: channels 0 to K - 1 are the numbers, K to 2 K - 1 what their
  // noise follows from.
  kGaussian = 3,
  kReconstruction = 4,  // numbers that ought to be the input again
};
inline constexpr std::uint32_t kHeadCount = 5;

// How the noise of kGaussian's numbers follows from the clamped output r (FORMAT.md 10.4).
enum class ScaleForm : std::uint32_t {
  kLogVariance = 0,  // variance = e^r
  kSoftplus = 1,     // standard deviation = ln(1 + e^r)
};
inline constexpr std::uint32_t kScaleFormCount = 2;

// Section 7 of kGaussian: a ScaleForm, a u32 that is 0, then the clamp of each r.
struct ScaleBounds {
  float low, high;
};
static_assert(sizeof(ScaleBounds) == 8);
inline constexpr std::uint64_t kOutputsHeaderBytes = 8;

// Section 7 of kReconstruction: an f32, the unit of squared errors, a u32 that is 0, then an Affine
// for each input channel, which makes a target of an input. A pass counts an output's squared error
// up to 2^40 units, and that of all outputs up to 2^47 (FORMAT.md 10.5).
inline constexpr std::uint64_t kMostOutputError = std::uint64_t{1} << 40;
inline constexpr std::uint64_t kMostError = std::uint64_t{1} << 47;

// Section 8 of kValues and kGaussian: for each output, between which values a decision about it is
// meant to lie. Predictions do not depend on it, the stop rule's promise does (engine/STOPPING.md).
struct OutputRange {
  float low, high;
};
static_assert(sizeof(OutputRange) == 8);

// What the network's inputs are, and so what section 4 holds (FORMAT.md 5.1).
enum class InputKind : std::uint32_t {
  kPixels = 0,   // u8 [channels][256]: stored value of each pixel
  kNumbers = 1,  // Affine [channels]: stored value = value * gain + offset
};
inline constexpr std::uint32_t kInputKindCount = 2;

struct Affine {
  float gain, offset;
};
static_assert(sizeof(Affine) == 8);

struct ModelRecord {
  std::uint32_t class_count;
  std::uint32_t panel_bytes;                  // scratch for the largest sampled panel
  std::uint64_t activation_bytes;             // all tensors of one image
  std::uint64_t arena_bytes;                  // ArenaBytes for batch 1 without logits
  std::uint32_t head;                         // Head
  std::uint32_t input;                        // InputKind
  std::uint32_t output_height, output_width;  // of the last layer; both 0: 1 x 1
};
static_assert(sizeof(ModelRecord) == 40);
inline constexpr std::uint32_t kModelRecordBytes = 64;  // in the file: zeros follow

// The positions at which the last layer answers: pixels, say. Each has class_count logits.
constexpr std::uint64_t OutputPositions(const ModelRecord& model) {
  const std::uint64_t positions = std::uint64_t{model.output_height} * model.output_width;
  return positions == 0 ? 1 : positions;
}

// A u8 activation, NHWC, x_real = scale * (q - zero_point). Its first pixel is at
// offset + pad_top * row_stride + pad_left * channels of the image's activation memory.
struct TensorRecord {
  std::uint32_t height, width, channels;
  std::uint32_t row_stride;  // bytes; >= (pad_left + width + pad_right) * channels
  std::uint16_t pad_top, pad_bottom, pad_left, pad_right;
  std::uint32_t offset;  // multiple of 64
  std::uint32_t bytes;   // TensorBytes
  float scale;
  std::uint16_t first_layer;  // the layer that writes it; 0xffff for the input (tensor 0)
  std::uint16_t last_layer;   // the last layer that reads it
  std::uint8_t zero_point;
  std::array<std::uint8_t, 7> reserved;
};
static_assert(sizeof(TensorRecord) == 48);

struct LayerRecord {
  std::uint8_t op;
  std::uint8_t flags;    // kLayerBayesian and the others below
  std::uint8_t mu_bits;  // 1 to 8, kMuBitsByPanel; 0 without weights
  std::uint8_t sigma_bits;
  std::uint16_t input;
  std::uint16_t input2;  // of operators of two tensors; of a conv2d the residual; else kNoTensor
  std::uint16_t output;  // kNoTensor: the logits
  std::uint16_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
  std::uint8_t clamp_min, clamp_max;  // bounds of the stored output value
  std::uint32_t groups;
  std::uint32_t output_channels;
  std::uint32_t runs;              // contiguous pieces of input that one output value reads
  std::uint32_t run_length;        // bytes of each; stored panels round it up to 4
  std::uint32_t parameter_offset;  // in the parameter section, multiple of 64
  std::uint32_t parameter_bytes;
  std::int32_t offset_h, offset_w, offset_c;  // slice
  std::uint32_t mu_bytes;                     // of mu with kMuBitsByPanel, else 0
};
static_assert(sizeof(LayerRecord) == 68);
inline constexpr std::uint32_t kLayerRecordBytes = 128;  // in the file: zeros follow
inline constexpr std::uint8_t kMuBitsByPanel = 255;
inline constexpr std::uint8_t kLayerBayesian = 1;
inline constexpr std::uint8_t kLayerCountPadding = 2;
inline constexpr std::uint8_t kLayerDepthwise = 4;  // as many groups as channels, in and out
inline constexpr std::uint8_t kLayerByChannel = 8;  // a lookup with a table for each channel

constexpr std::uint64_t RoundUp(std::uint64_t value, std::uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}

// Bytes that a tensor occupies in one image's activation memory.
constexpr std::uint64_t TensorBytes(const TensorRecord& tensor) {
  const std::uint64_t rows = std::uint64_t{tensor.pad_top} + tensor.height + tensor.pad_bottom;
  return RoundUp(rows * tensor.row_stride + kTensorTailBytes, kAlignment);
}

// Whether pixels and padding of two tensors lie alike, so that one may take the other's place.
constexpr bool SameGeometry(const TensorRecord& a, const TensorRecord& b) {
  return a.height == b.height && a.width == b.width && a.channels == b.channels &&
         a.row_stride == b.row_stride && a.pad_top == b.pad_top && a.pad_bottom == b.pad_bottom &&
         a.pad_left == b.pad_left && a.pad_right == b.pad_right;
}

// How a convolution's or dense layer's weights are cut into panels (FORMAT.md section 6).
// A panel holds `width` output channels: for each group of 4 consecutive inputs, for each channel,
// the 4 weights. All panels of a group have width 16 except perhaps the last: 4, 8 or 16.
struct PanelLayout {
  std::uint32_t groups;          // that panels do not straddle; 1 if depthwise
  std::uint32_t group_channels;  // output channels of one of them
  std::uint32_t panels_per_group;
  std::uint32_t last_width;       // width of a group's last panel
  std::uint32_t padded_channels;  // parameter slots of the whole layer
  std::uint32_t runs;
  std::uint32_t run_length;
  std::uint32_t padded_run;  // run_length rounded up to 4
  std::uint32_t inputs;      // K = runs * padded_run

  constexpr std::uint32_t panel_count() const { return groups * panels_per_group; }
  constexpr bool is_last(std::uint32_t panel) const {
    return panel % panels_per_group == panels_per_group - 1;
  }
  constexpr std::uint32_t width(std::uint32_t panel) const {
    return is_last(panel) ? last_width : kPanelChannels;
  }
  // First parameter slot of a panel, and the real channels among its `width` slots.
  constexpr std::uint32_t slot(std::uint32_t panel) const {
    return panel / panels_per_group * slots_per_group() + panel % panels_per_group * kPanelChannels;
  }
  constexpr std::uint32_t channel(std::uint32_t panel) const {
    return panel / panels_per_group * group_channels + panel % panels_per_group * kPanelChannels;
  }
  constexpr std::uint32_t channels(std::uint32_t panel) const {
    return is_last(panel) ? group_channels - (panels_per_group - 1) * kPanelChannels
                          : kPanelChannels;
  }
  constexpr std::uint32_t slots_per_group() const {
    return (panels_per_group - 1) * kPanelChannels + last_width;
  }
  // Bytes of one panel's mu, rounded up to whole 64-byte blocks of noise.
  constexpr std::uint64_t panel_bytes(std::uint32_t panel) const {
    return RoundUp(std::uint64_t{width(panel)} * inputs, kAlignment);
  }
  // Byte offset of a panel's mu from the first panel's.
  constexpr std::uint64_t panel_offset(std::uint32_t panel) const {
    const std::uint64_t full = RoundUp(std::uint64_t{kPanelChannels} * inputs, kAlignment);
    const std::uint64_t last = RoundUp(std::uint64_t{last_width} * inputs, kAlignment);
    const std::uint64_t group_bytes = (panels_per_group - 1) * full + last;
    return panel / panels_per_group * group_bytes + panel % panels_per_group * full;
  }
  constexpr std::uint64_t mu_bytes() const { return panel_offset(panel_count()); }
};

constexpr PanelLayout MakePanelLayout(const LayerRecord& layer) {
  PanelLayout layout{};
  // Depthwise panels hold 16 channels, each with the taps of its own.
  layout.groups = (layer.flags & kLayerDepthwise) != 0 ? 1 : layer.groups;
  layout.group_channels = layer.output_channels / layout.groups;
  layout.panels_per_group = (layout.group_channels + kPanelChannels - 1) / kPanelChannels;
  const std::uint32_t last = layout.group_channels - (layout.panels_per_group - 1) * kPanelChannels;
  layout.last_width = last <= 4 ? 4 : last <= 8 ? 8 : kPanelChannels;
  layout.padded_channels = layout.groups * layout.slots_per_group();
  layout.runs = layer.runs;
  layout.run_length = layer.run_length;
  layout.padded_run = static_cast<std::uint32_t>(RoundUp(layer.run_length, 4));
  layout.inputs = layout.runs * layout.padded_run;
  return layout;
}

// Byte offset, from the first panel's mu, of the weight of output channel `channel` for input
// `input` of run `run`.
constexpr std::uint64_t WeightOffset(const PanelLayout& panels, std::uint32_t channel,
                                     std::uint32_t run, std::uint32_t input) {
  const std::uint32_t in_group = channel % panels.group_channels;
  const std::uint32_t panel =
      channel / panels.group_channels * panels.panels_per_group + in_group / kPanelChannels;
  const std::uint64_t position = std::uint64_t{run} * panels.padded_run + input;
  return panels.panel_offset(panel) +
         (position / 4 * panels.width(panel) + in_group % kPanelChannels) * 4 + position % 4;
}

// Memory that a layer's panels are drawn or unpacked into; 0 where they are used as they lie.
constexpr std::uint64_t PanelScratch(const LayerRecord& layer) {
  const bool weighted = layer.mu_bits != 0;
  const bool as_it_lies = (layer.flags & kLayerBayesian) == 0 && layer.mu_bits == 8;
  return weighted && !as_it_lies ? MakePanelLayout(layer).panel_bytes(0) : 0;
}

// The parameter slot of an output channel.
constexpr std::uint32_t SlotOf(const PanelLayout& panels, std::uint32_t channel) {
  return channel / panels.group_channels * panels.slots_per_group() +
         channel % panels.group_channels;
}

// Byte offsets of a layer's arrays from the start of its parameters (FORMAT.md section 6).
// Arrays that a layer does not have are empty.
struct ParameterLayout {
  std::uint64_t weight_scale;  // f32 [slots]
  std::uint64_t bias_mu;       // s32 [slots]
  std::uint64_t bias_level;    // u16 [slots]
  std::uint64_t bias_shift;    // u8 [slots]
  std::uint64_t shift;         // u8 [slots]
  std::uint64_t codebook;      // u8: [1|2|4][slots] for 0, 1, 2 bits; [panels][16] for 4 bits
  std::uint64_t panel_bits;    // u8 [panels]
  std::uint64_t mu_table;      // s8 [panels][16]
  std::uint64_t mu;            // s8 panels, or packed, mu_bytes * mu_bits / 8
  std::uint64_t sigma;         // packed panels, mu_bytes * sigma_bits / 8
  std::uint64_t bytes;         // multiple of 64
};

constexpr std::uint64_t CodebookBytes(const PanelLayout& panels, std::uint32_t sigma_bits) {
  switch (sigma_bits) {
    case 0:
    case 1:
    case 2:
      return (std::uint64_t{1} << sigma_bits) * panels.padded_channels;
    case 4:
      return std::uint64_t{16} * panels.panel_count();
    default:
      return 0;
  }
}

// A layer's table of means: 16 entries a panel, of which 2^mu_bits count.
inline constexpr std::uint32_t kMuTableEntries = 16;
inline constexpr std::uint32_t kMostTableBits = 4;

// The byte of a plane of `bits` bits (4, 2 or 1) that holds those of byte i of a 64-byte block.
constexpr std::uint64_t CodeByte(std::uint32_t bits, std::uint64_t i) {
  return bits == 1 ? i / 8 : i % (8 * bits);
}

// The code of byte i of a 64-byte block of packed mu (FORMAT.md 6.7).
constexpr std::uint32_t MuCode(const std::uint8_t* block, std::uint32_t mu_bits, std::uint32_t i) {
  std::uint32_t code = 0;
  for (std::uint32_t bits = 4; bits != 0; bits /= 2) {
    if ((mu_bits & bits) == 0) continue;
    const std::uint32_t first = bits == 1 ? i % 8 : i / (8 * bits) * bits;
    code = code << bits | ((std::uint32_t{block[CodeByte(bits, i)]} >> first) & ((1U << bits) - 1));
    block += 8 * bits;
  }
  return code;
}

constexpr ParameterLayout MakeParameterLayout(const LayerRecord& layer) {
  const PanelLayout panels = MakePanelLayout(layer);
  const bool bayesian = (layer.flags & kLayerBayesian) != 0;
  const std::uint32_t sigma_bits = layer.sigma_bits;
  const std::uint64_t slots = panels.padded_channels;
  ParameterLayout layout{};
  layout.weight_scale = 0;
  layout.bias_mu = slots * 4;
  layout.bias_level = slots * 8;
  layout.bias_shift = layout.bias_level + (bayesian ? slots * 2 : 0);
  layout.shift = layout.bias_shift + (bayesian ? slots : 0);
  layout.codebook = layout.shift + (bayesian ? slots : 0);
  const std::uint64_t codebook_bytes = bayesian ? CodebookBytes(panels, sigma_bits) : 0;
  layout.panel_bits = layout.codebook + codebook_bytes;
  const bool by_panel = layer.mu_bits == kMuBitsByPanel;
  layout.mu_table = layout.panel_bits + (by_panel ? panels.panel_count() : 0);
  const bool tables = by_panel || layer.mu_bits <= kMostTableBits;
  const std::uint64_t table_bytes =
      tables ? std::uint64_t{kMuTableEntries} * panels.panel_count() : 0;
  layout.mu = RoundUp(layout.mu_table + table_bytes, kAlignment);
  const std::uint64_t mu_bytes = by_panel ? layer.mu_bytes : panels.mu_bytes() * layer.mu_bits / 8;
  layout.sigma = RoundUp(layout.mu + mu_bytes, kAlignment);
  const std::uint64_t sigma_bytes = bayesian ? panels.mu_bytes() * sigma_bits / 8 : 0;
  layout.bytes = RoundUp(layout.sigma + sigma_bytes, kAlignment);
  return layout;
}

// Walks over the panels of a layer's mu, which may each have a width of their own (FORMAT.md 6.8).
class MuCursor {
 public:
  // `panel_bits`: the layer's array of that name; read with kMuBitsByPanel only, once for each
  // panel: where the next one begins follows from what was used for this one, even if the file
  // changes in between. Null where Take is told each panel's width.
  constexpr MuCursor(const LayerRecord& layer, const PanelLayout& panels,
                     const std::uint8_t* panel_bits = nullptr)
      : panels_(panels),
        panel_bits_(layer.mu_bits == kMuBitsByPanel ? panel_bits : nullptr),
        bits_(layer.mu_bits) {
    Read();
  }

  MuCursor(const LayerRecord&, PanelLayout&&, const std::uint8_t*) = delete;  // it refers to it

  constexpr std::uint32_t panel() const { return panel_; }
  constexpr std::uint32_t bits() const { return bits_; }
  // Bytes from the first panel's mu to this one's.
  constexpr std::uint64_t offset() const { return offset_; }
  // To where an earlier cursor over the same layer stood.
  constexpr void MoveTo(std::uint32_t panel, std::uint64_t offset) {
    panel_ = panel;
    offset_ = offset;
    Read();
  }
  constexpr void Take(std::uint32_t bits) { bits_ = bits; }
  constexpr void Next() {
    offset_ += panels_.panel_bytes(panel_) * bits() / 8;
    ++panel_;
    Read();
  }

 private:
  constexpr void Read() {
    if (panel_bits_ != nullptr && panel_ < panels_.panel_count()) bits_ = panel_bits_[panel_];
  }

  const PanelLayout& panels_;
  const std::uint8_t* panel_bits_;
  std::uint32_t bits_;
  std::uint32_t panel_ = 0;
  std::uint64_t offset_ = 0;
};

inline constexpr std::uint64_t kLookupBytes = 256;

// A gather's parameters: one of these for each row, column and channel of its output. Output value
// (y, x, c) is read from the row and the byte of that row that the three add up to; it is 0.0 if
// one of them is kOutside (FORMAT.md 5.10).
struct GatherPlace {
  std::uint32_t row, offset;
};
static_assert(sizeof(GatherPlace) == 8);
inline constexpr std::uint32_t kOutside = 0xffffffff;  // as a row

constexpr std::uint64_t GatherBytes(const TensorRecord& output) {
  const std::uint64_t places = std::uint64_t{output.height} + output.width + output.channels;
  return RoundUp(places * sizeof(GatherPlace), kAlignment);
}

// A constant's parameters: the values of its output, without padding.
constexpr std::uint64_t ConstantBytes(const TensorRecord& output) {
  return RoundUp(std::uint64_t{output.height} * output.width * output.channels, kAlignment);
}

// Section 9: a prediction abstains where this measure of it is above a threshold (FORMAT.md 8.3,
// 10.6). f32 thresholds follow, AbstainThresholds of them.
struct AbstainRecord {
  std::uint32_t measure;
  std::uint32_t mc_samples;  // that the thresholds were measured with; 0: not known
};
static_assert(sizeof(AbstainRecord) == 8);

// Section 10, one for each layer: what a code of its output's variance is worth, in squared codes
// of the tensor, and what the variance of independent inputs is multiplied with (FORMAT.md 8.4,
// 13).
struct MomentsRecord {
  float step = 1.0F;
  float factor = 1.0F;
};
static_assert(sizeof(MomentsRecord) == 8);
inline constexpr float kLeastMomentsStep = 0x1p-40F, kMostMomentsStep = 0x1p16F;
inline constexpr float kLeastMomentsFactor = 0x1p-10F, kMostMomentsFactor = 0x1p10F;

enum class AbstainMeasure : std::uint32_t {
  kPredictiveEntropy = 1,
  kMutualInformation = 2,
  kVariance = 3,       // of each output, over the networks
  kTotalVariance = 4,  // and that of the noise of observations
  kError = 5,
};
inline constexpr std::uint32_t kAbstainMeasureEnd = 6;

// `has_noise`: whether predictions have a noise_variance.
constexpr bool FitsHead(AbstainMeasure measure, Head head, bool has_noise) {
  const bool numbers = head != Head::kSoftmax && head != Head::kSigmoid;
  switch (measure) {
    case AbstainMeasure::kPredictiveEntropy:
    case AbstainMeasure::kMutualInformation:
      return !numbers;
    case AbstainMeasure::kVariance:
      return numbers;
    case AbstainMeasure::kTotalVariance:
      return has_noise;
    case AbstainMeasure::kError:
      return head == Head::kReconstruction;
  }
  return false;
}

// Variances have a threshold for each output of a position, other measures one.
constexpr std::uint32_t AbstainThresholds(AbstainMeasure measure, std::uint32_t outputs) {
  const bool by_output =
      measure == AbstainMeasure::kVariance || measure == AbstainMeasure::kTotalVariance;
  return by_output ? outputs : 1;
}

// Whether files of a head may have section 8.
constexpr bool HasRanges(Head head) { return head == Head::kValues || head == Head::kGaussian; }

// The outputs that a user sees at one position, of the last layer's class_count.
constexpr std::uint32_t OutputChannels(const ModelRecord& model) {
  const bool gaussian = model.head == static_cast<std::uint32_t>(Head::kGaussian);
  return gaussian ? model.class_count / 2 : model.class_count;
}

}  // namespace mu8::format
