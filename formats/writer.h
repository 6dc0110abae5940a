// Builds .mu8 files (host only: heap and std::vector). The caller gives records and arrays; the
// writer adds what follows from them: offsets, sizes, totals and checksums.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "formats/layout.h"

namespace mu8::format {

// What section 7 holds (FORMAT.md 8.1); each head takes its own part.
struct OutputParameters {
  std::vector<float> noise_variance;               // kValues: [outputs], or empty: no section 7
  ScaleForm scale_form = ScaleForm::kLogVariance;  // kGaussian
  std::vector<ScaleBounds> scale_bounds;           // kGaussian: [outputs], half the last channels
  float error_unit = 0x1p-20F;                     // kReconstruction: a power of two
  std::vector<Affine> targets;                     // kReconstruction: [input channels]
  std::vector<OutputRange> ranges;                 // section 8: [outputs], or empty: none
  AbstainRecord abstain{};                         // section 9
  std::vector<float> abstain_thresholds;           // AbstainThresholds of them, or empty: none
  std::vector<MomentsRecord> moments;              // section 10: [layers], or empty: none
};

// One file before it is laid out. `layers[i].parameter_offset` and `parameter_bytes` are filled in
// by Write from `parameters[i]` (empty for layers without any), and the model record wholly.
struct FileContent {
  std::vector<TensorRecord> tensors;  // offsets and lifetimes set
  std::vector<LayerRecord> layers;
  std::vector<std::vector<std::uint8_t>> parameters;  // one per layer, multiple of 64 bytes
  std::vector<std::uint8_t> input_table;              // u8 [channels][256]
  std::vector<float> input_affine;  // [channels][gain, offset]; not empty: instead of input_table
  std::map<std::string, std::string> metadata;
  Head head = Head::kSoftmax;
  OutputParameters outputs;
  std::uint32_t output_height = 0, output_width = 0;  // of the last layer; both 0: 1 x 1
};

// The file's bytes. Does not validate: open the result with the reader.
std::vector<std::byte> Write(FileContent content);

// A section as Assemble takes it; `bytes` without padding.
struct Section {
  std::uint32_t id = 0;
  std::uint32_t flags = kSectionRequired;
  std::vector<std::byte> bytes;
};

// Lays sections out in the given order and adds header, table, padding and checksums.
std::vector<std::byte> Assemble(const std::vector<Section>& sections,
                                std::uint16_t version_minor = 0);

// Recomputes every checksum of a file whose section table is intact, so that tests and fuzzers get
// past them.
void RepairChecksums(std::vector<std::byte>* file);

}  // namespace mu8::format
