// Invalid files, part three: parameters, totals and metadata.
#include <limits>

#include "tests/formats/invalid_files.h"
#include "tests/support/model_builder.h"

namespace mu8::testing {
namespace {

using format::LayerRecord;
using format::ModelRecord;
using format::Section;
using format::SectionId;

// 2 x 2 x 1 -> average pool 2 x 2 -> dense, 1 class.
std::vector<std::byte> AveragePool(float input_scale, float output_scale) {
  TestModel model = TinyModel(0, false);
  format::FileContent& content = model.content;
  content.tensors = {MakeTensor(2, 2, 1, input_scale, 0), MakeTensor(1, 1, 1, output_scale, 0)};
  content.layers = {MakeLayer(format::OpCode::kAveragePool, 0, 1),
                    MakeLayer(format::OpCode::kDense, 1, 1)};
  content.layers[0].kernel_h = content.layers[0].kernel_w = 2;
  SetRuns(content.tensors[1], &content.layers[1]);
  Finish(&content, false);
  Random random(1);
  content.parameters[0].clear();
  content.parameters[1] =
      Pack(content.layers[1], RandomWeights(content.layers[1], output_scale, 0, &random));
  return format::Write(content);
}

// Where things lie in TinyModel(2): layer 0 has 8 slots (5 used), layer 1 has 4 (3 used).
format::ParameterLayout LayoutOf(const TestModel& model, std::size_t layer) {
  return format::MakeParameterLayout(model.content.layers[layer]);
}

void AddSizes(std::vector<InvalidFile>* files) {
  const std::vector<std::byte> tiny = format::Write(TinyModel(2).content);
  const auto add = [&](const char* name, std::vector<std::byte> bytes) {
    files->push_back({Status::kParameterLayout, name, std::move(bytes)});
  };
  add("offset",
      Editor(tiny).Layer(1, [](LayerRecord* l) { l->parameter_offset -= 64; }).Repaired());
  add("bytes", Editor(tiny).Layer(0, [](LayerRecord* l) { l->parameter_bytes += 64; }).Repaired());
  TestModel model = TinyModel(2);
  model.content.parameters[1].resize(model.content.parameters[1].size() + 64);
  std::vector<std::byte> longer = format::Write(model.content);
  add("bytes_behind_the_last_layer",
      Editor(longer).Layer(1, [](LayerRecord* l) { l->parameter_bytes -= 64; }).Repaired());
  model = TinyModel(2);
  model.content.parameters[1].resize(model.content.parameters[1].size() - 64);
  std::vector<std::byte> shorter = format::Write(model.content);
  add("section_ends_early",
      Editor(shorter).Layer(1, [](LayerRecord* l) { l->parameter_bytes += 64; }).Repaired());
}

// No parameters at all: what the layers ask for lies behind the end of the file.
InvalidFile Nothing() {
  TestModel model = TinyModel(2);
  std::vector<std::byte> bare = [&] {
    TestModel empty = model;
    for (auto& parameters : empty.content.parameters) parameters.clear();
    return format::Write(empty.content);
  }();
  Editor editor(std::move(bare));
  std::uint32_t offset = 0;
  for (std::size_t i = 0; i < 2; ++i) {
    const auto bytes = static_cast<std::uint32_t>(model.content.parameters[i].size());
    editor.Layer(i, [&](LayerRecord* l) {
      l->parameter_offset = offset;
      l->parameter_bytes = bytes;
    });
    offset += bytes;
  }
  return {Status::kParameterLayout, "empty_section", editor.Repaired()};
}

void AddScales(std::vector<InvalidFile>* files) {
  const TestModel model = TinyModel(2);
  const std::vector<std::byte> tiny = format::Write(model.content);
  const auto scale = [&](const char* name, std::size_t layer, std::uint64_t channel, float value) {
    files->push_back(
        {Status::kWeightScale, name,
         Editor(tiny)
             .Parameter(layer, LayoutOf(model, layer).weight_scale + 4 * channel, value)
             .Repaired()});
  };
  scale("zero", 0, 4, 0.0F);
  scale("negative", 0, 4, -0.001F);
  scale("nan", 1, 2, std::numeric_limits<float>::quiet_NaN());
  scale("subnormal_multiplier", 0, 0, std::numeric_limits<float>::min());
  // Subnormal scales whose multipliers are normal.
  Editor subnormal(tiny);
  subnormal.Tensor(0, [](format::TensorRecord* t) { t->scale = 1e20F; });
  subnormal.Tensor(1, [](format::TensorRecord* t) { t->scale = 1e-10F; });
  for (std::uint64_t channel = 0; channel < 5; ++channel) {
    subnormal.Parameter(0, LayoutOf(model, 0).weight_scale + 4 * channel, 1e-39F);
  }
  files->push_back({Status::kWeightScale, "subnormal", subnormal.Repaired()});
  scale("multiplier_of_one_or_more", 0, 0, 100.0F);
  // Logits of this size would not be finite.
  scale("infinite_logits", 1, 0, 1e38F);
  // s_in / s_out / 4 may not pass 1, nor be subnormal.
  files->push_back({Status::kWeightScale, "average_pool_above_one", AveragePool(4.01F, 1)});
  files->push_back({Status::kWeightScale, "average_pool_subnormal", AveragePool(2e-38F, 1)});
}

// Scales of sums, products and residuals; the valid side of each bound is in test_reader.cpp.
void AddSums(std::vector<InvalidFile>* files) {
  using format::OpCode;
  const auto add = [&](Status status, const char* name, const TestModel& model) {
    files->push_back({status, name, format::Write(model.content)});
  };
  constexpr float kLeast = std::numeric_limits<float>::min();
  add(Status::kFixedPoint, "sum_of_large", BinaryModel(OpCode::kAdd, 0x1p20F, 1, 1));
  add(Status::kFixedPoint, "sum_of_large_second", BinaryModel(OpCode::kAdd, 1, 0x1p20F, 1));
  add(Status::kFixedPoint, "sum_of_small", BinaryModel(OpCode::kAdd, 0x1.fffffep-11F, 0x1p-20F, 1));
  add(Status::kFixedPoint, "large_residual", ResidualModel(0x1p20F, 1, 0));
  add(Status::kFixedPoint, "small_residual", ResidualModel(0x1.fffffep-11F, 1, 0));
  add(Status::kWeightScale, "sum_subnormal", BinaryModel(OpCode::kAdd, kLeast, 1, 4));
  add(Status::kWeightScale, "sum_subnormal_second", BinaryModel(OpCode::kAdd, 1, kLeast, 4));
  add(Status::kWeightScale, "sum_infinite", BinaryModel(OpCode::kAdd, 1e30F, 1, 1e-30F));
  add(Status::kWeightScale, "product_of_one", BinaryModel(OpCode::kMultiply, 2, 0.5F, 1));
  add(Status::kWeightScale, "product_subnormal",
      BinaryModel(OpCode::kMultiply, 1e-20F, 1e-20F, 1e-10F));
  add(Status::kWeightScale, "product_subnormal_multiplier",
      BinaryModel(OpCode::kMultiply, 1e-15F, 1e-15F, 1e10F));
  add(Status::kWeightScale, "residual_subnormal_unit", ResidualModel(0x1p15F, 0x1p-118F, 0));
  TestModel infinite = ResidualModel(1, 0x1p-100F, 0);
  infinite.content.tensors[1].scale = 0x1p100F;
  add(Status::kWeightScale, "residual_infinite", infinite);
  add(Status::kAccumulatorOverflow, "residual", ResidualModel(1, 1, kResidualMostBias + 1));
  add(Status::kAccumulatorOverflow, "residual_of_a_negative_bias",
      ResidualModel(1, 1, -kResidualMostBias - 1));
  TestModel model = EveryOperatorModel();
  model.content.parameters[7].resize(64);
  add(Status::kParameterLayout, "sum", model);
  model = EveryOperatorModel();
  model.content.parameters[10].resize(format::kLookupBytes);
  add(Status::kParameterLayout, "concat_of_one_table", model);
}

void AddIntegers(std::vector<InvalidFile>* files) {
  const TestModel model = TinyModel(2);
  const std::vector<std::byte> tiny = format::Write(model.content);
  const format::ParameterLayout conv = LayoutOf(model, 0);
  const format::ParameterLayout dense = LayoutOf(model, 1);
  const auto add = [&](Status status, const char* name, std::size_t layer, std::uint64_t offset,
                       auto value) {
    files->push_back({status, name, Editor(tiny).Parameter(layer, offset, value).Repaired()});
  };
  add(Status::kShift, "zero", 0, conv.shift, std::uint8_t{0});
  add(Status::kShift, "sixteen", 1, dense.shift + 2, std::uint8_t{16});
  add(Status::kShift, "bias_zero", 0, conv.bias_shift + 4, std::uint8_t{0});
  add(Status::kShift, "unused_slot", 0, conv.shift + 7, std::uint8_t{255});
  constexpr std::int32_t kMost = std::numeric_limits<std::int32_t>::max();
  add(Status::kAccumulatorOverflow, "bias", 0, conv.bias_mu, kMost);
  add(Status::kAccumulatorOverflow, "least_bias", 1, dense.bias_mu + 8,
      std::numeric_limits<std::int32_t>::min());
  // The sampler draws the biases of all slots.
  add(Status::kAccumulatorOverflow, "bias_of_an_unused_slot", 0, conv.bias_mu + 28, kMost);
  add(Status::kMuRange, "minus_128", 0, conv.mu + 1, std::uint8_t{0x80});
  add(Status::kMuRange, "minus_128_behind_the_panel", 0, conv.sigma - 1, std::uint8_t{0x80});
  // Three inputs per kernel row: the fourth is padding.
  add(Status::kPaddingWeight, "first_run", 0, conv.mu + 3, std::uint8_t{1});
  add(Status::kPaddingWeight, "last_run_unused_channel", 0, conv.mu + 3 * 32 - 1,
      std::uint8_t{0xff});
}

// Means of fewer bits: TinyModel's first layer has one panel of 3 runs of 3 inputs, padded to 4.
void AddPackedMeans(std::vector<InvalidFile>* files) {
  const auto add = [&](std::uint32_t bits, Status status, const char* name, auto place,
                       auto value) {
    const TestModel model = TinyModel(2, true, bits);
    const format::ParameterLayout conv = LayoutOf(model, 0);
    files->push_back(
        {status, name,
         Editor(format::Write(model.content)).Parameter(0, place(conv), value).Repaired()});
  };
  const auto table = [](std::uint64_t entry) {
    return [entry](const format::ParameterLayout& layout) { return layout.mu_table + entry; };
  };
  const auto mu = [](std::uint64_t byte) {
    return [byte](const format::ParameterLayout& layout) { return layout.mu + byte; };
  };
  add(3, Status::kMuRange, "table_minus_128", table(7), std::uint8_t{0x80});
  add(3, Status::kMuRange, "table_beyond_its_codes", table(8), std::uint8_t{1});
  // Of 5 bits a block has 32 bytes of bits 1 to 4 and 8 of bit 0.
  add(5, Status::kMuRange, "code_of_minus_128_behind_the_panel", mu(40 + 31), std::uint8_t{0x80});
  add(4, Status::kPaddingWeight, "code_of_the_first_run", mu(3), std::uint8_t{0x01});
  add(1, Status::kPaddingWeight, "bit_of_an_unused_channel", mu(3), std::uint8_t{0x80});
  const TestModel five = TinyModel(2, true, 5);
  const std::uint64_t first = LayoutOf(five, 0).mu;
  files->push_back({Status::kMuRange, "code_of_minus_128",
                    Editor(format::Write(five.content))
                        .Parameter(0, first + 1, std::uint8_t{0x08})
                        .Parameter(0, first + 32, std::uint8_t{0})
                        .Repaired()});
  const TestModel packed = TinyModel(2, false, 3);
  files->push_back({Status::kPanelBytes, "unpacked_nowhere",
                    Editor(format::Write(packed.content))
                        .Model([](ModelRecord* m) { m->panel_bytes = 0; })
                        .Repaired()});
}

// TinyModel with a width for each panel, and 40 outputs: panels of 16, 16 and 8 channels in the
// dense layer.
TestModel ByPanel(std::vector<std::uint8_t> widths) {
  TestModel model = TinyModel(2, true, 4);
  format::FileContent& content = model.content;
  LayerRecord& dense = content.layers[1];
  dense.output_channels = 40;
  dense.mu_bits = format::kMuBitsByPanel;
  Finish(&content, false);
  Random random(9);
  model.weights[1] = RandomWeights(dense, content.tensors[1].scale, 0.0F, &random, widths);
  SetMuBytes(model.weights[1], &dense);
  content.parameters[1] = Pack(dense, model.weights[1]);
  content.metadata = {{"name", "by panel"}};
  return model;
}

void AddPanelWidths(std::vector<InvalidFile>* files) {
  const TestModel model = ByPanel({8, 3, 6});
  const std::vector<std::byte> valid = format::Write(model.content);
  const format::ParameterLayout layout = LayoutOf(model, 1);
  const format::PanelLayout panels = format::MakePanelLayout(model.content.layers[1]);
  const auto add = [&](Status status, const char* name, std::uint64_t offset, auto value) {
    files->push_back({status, name, Editor(valid).Parameter(1, offset, value).Repaired()});
  };
  add(Status::kBitWidth, "panel_0", layout.panel_bits, std::uint8_t{0});
  add(Status::kBitWidth, "panel_9", layout.panel_bits + 2, std::uint8_t{9});
  add(Status::kParameterLayout, "widths_need_other_bytes", layout.panel_bits + 1, std::uint8_t{2});
  for (const std::uint32_t bytes : {0U, 8U, 0xffffffffU}) {
    files->push_back(
        {Status::kParameterLayout, "mu_bytes_" + std::to_string(bytes),
         Editor(valid).Layer(1, [&](LayerRecord* l) { l->mu_bytes = bytes; }).Repaired()});
  }
  add(Status::kMuRange, "table_of_8_bits", layout.mu_table, std::uint8_t{1});
  add(Status::kMuRange, "table_beyond_3_bits", layout.mu_table + 16 + 8, std::uint8_t{1});
  add(Status::kMuRange, "table_of_6_bits", layout.mu_table + 32 + 15, std::uint8_t{1});
  add(Status::kMuRange, "minus_128_of_8_bits", layout.mu + 5, std::uint8_t{0x80});
  // Code 32 of 6 bits: 8 in the plane of 4 bits, 0 in that of 2.
  const std::uint64_t third = layout.mu + panels.panel_bytes(0) + panels.panel_bytes(1) / 8 * 3;
  files->push_back({Status::kMuRange, "minus_128_of_6_bits",
                    Editor(valid)
                        .Parameter(1, third, std::uint8_t{0x88})
                        .Parameter(1, third + 32, std::uint8_t{0})
                        .Repaired()});
  // The dense layer has runs of 45 inputs, stored as 48: the last byte of every four is padding.
  const std::uint64_t group = layout.mu + panels.panel_bytes(0) - 64;
  add(Status::kPaddingWeight, "of_8_bits", group + 3, std::uint8_t{1});
}

void AddTotals(std::vector<InvalidFile>* files) {
  const std::vector<std::byte> tiny = format::Write(TinyModel(2).content);
  const auto add = [&](Status status, const char* name, auto change) {
    files->push_back({status, name, Editor(tiny).Model(change).Repaired()});
  };
  add(Status::kReservedNotZero, "model", [](ModelRecord* m) { m->reserved[9] = 1; });
  add(Status::kClassCount, "one_class_more", [](ModelRecord* m) { ++m->class_count; });
  add(Status::kActivationBytes, "too_many", [](ModelRecord* m) { m->activation_bytes += 64; });
  add(Status::kPanelBytes, "too_few", [](ModelRecord* m) { m->panel_bytes -= 64; });
  add(Status::kArenaBytes, "too_few", [](ModelRecord* m) { m->arena_bytes -= 64; });
}

void AddMetadata(std::vector<InvalidFile>* files) {
  const TestModel model = TinyModel(2);
  const std::vector<std::byte> tiny = format::Write(model.content);
  const format::SectionRecord metadata = Editor(tiny).Section(SectionId::kMetadata);
  // u32 count; per pair u16 key bytes, u16 zero, u32 value bytes, key, value. Keys: labels, name.
  const auto add = [&](const char* name, std::uint64_t offset, auto value) {
    Editor editor(tiny);
    editor.Store(metadata.offset + offset, value);
    files->push_back({Status::kMetadata, name, editor.Repaired()});
  };
  add("one_pair_less", 0, std::uint32_t{1});
  add("one_pair_more", 0, std::uint32_t{3});
  add("four_billion_pairs", 0, std::uint32_t{0xffffffffU});
  add("empty_key", 4, std::uint16_t{0});
  add("reserved", 6, std::uint16_t{1});
  add("value_leaves_the_section", 8, std::uint32_t{0xfffffff0U});
  add("unsorted_keys", 12, std::uint8_t{'z'});
  // The pairs end where the file ends, and the count asks for another.
  TestModel full = TinyModel(2);
  full.content.metadata["name"] = std::string(23, 'n');
  Editor more(format::Write(full.content));
  more.Store(more.Section(SectionId::kMetadata).offset, std::uint32_t{3});
  files->push_back({Status::kMetadata, "one_pair_more_at_the_end", more.Repaired()});
  // The second key becomes the first one.
  TestModel twice = TinyModel(2);
  twice.content.metadata = {{"name", "a"}, {"nama", "b"}};
  Editor editor(format::Write(twice.content));
  editor.Store(editor.Section(SectionId::kMetadata).offset + 12 + 3, std::uint8_t{'e'});
  files->push_back({Status::kMetadata, "repeated_key", editor.Repaired()});
  for (const std::size_t bytes : {0U, 3U}) {
    std::vector<Section> sections;
    for (std::uint32_t id = 1; id <= 6; ++id) {
      const format::SectionRecord record = Editor(tiny).Section(static_cast<SectionId>(id));
      const auto begin = tiny.begin() + static_cast<std::ptrdiff_t>(record.offset);
      sections.push_back(
          {id, record.flags, {begin, begin + static_cast<std::ptrdiff_t>(record.bytes)}});
    }
    sections.back().bytes.resize(bytes);
    files->push_back({Status::kMetadata, bytes == 0 ? "empty_section" : "torn_count",
                      format::Assemble(sections)});
  }
}

}  // namespace

std::vector<InvalidFile> InvalidParameters() {
  std::vector<InvalidFile> files;
  AddSizes(&files);
  files.push_back(Nothing());
  AddScales(&files);
  AddIntegers(&files);
  AddPackedMeans(&files);
  AddPanelWidths(&files);
  AddSums(&files);
  AddTotals(&files);
  AddMetadata(&files);
  return files;
}

}  // namespace mu8::testing
