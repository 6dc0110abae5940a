// Invalid files, part three: parameters, totals and metadata.
#include <doctest/doctest.h>

#include <limits>

#include "tests/formats/invalid_files.h"
#include "tests/support/model_builder.h"

namespace mu8::testing {
namespace {

using format::LayerRecord;
using format::ModelRecord;
using format::Section;
using format::SectionId;
using format::SectionRecord;
using format::TensorRecord;

constexpr float kBelowOne = 0x1.fffffep-1F;  // the largest float below 1

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

const Field kParameterBytes = TableField(SectionId::kParameters, &SectionRecord::bytes);

void AddSizes(std::vector<InvalidFile>* files) {
  TestModel model = TinyModel(2);
  Collector tiny(format::Write(model.content), files);
  const std::size_t first = model.content.parameters[0].size();
  const std::size_t second = model.content.parameters[1].size();
  tiny.Set(Status::kParameterLayout, "offset", LayerField(1, &LayerRecord::parameter_offset),
           first - 64, first);
  tiny.Set(Status::kParameterLayout, "bytes", LayerField(0, &LayerRecord::parameter_bytes),
           first + 64, first);
  const Field bytes = LayerField(1, &LayerRecord::parameter_bytes);
  model.content.parameters[1].resize(second + 64);
  tiny.Add(Status::kParameterLayout, "bytes_behind_the_last_layer",
           Editor(format::Write(model.content)).Add(bytes, -64).Repaired(), kParameterBytes,
           first + second);
  model.content.parameters[1].resize(second - 64);
  tiny.Add(Status::kParameterLayout, "section_ends_early",
           Editor(format::Write(model.content)).Add(bytes, 64).Repaired(),
           kParameterBytes.InLayer(1), first + second);
  // No parameters at all: what the layers ask for lies behind the end of the file.
  TestModel empty = TinyModel(2);
  for (auto& parameters : empty.content.parameters) parameters.clear();
  tiny.Add(Status::kParameterLayout, "empty_section",
           Editor(format::Write(empty.content))
               .Set(LayerField(0, &LayerRecord::parameter_bytes), first)
               .Set(LayerField(1, &LayerRecord::parameter_offset), first)
               .Set(bytes, second)
               .Repaired(),
           kParameterBytes.InLayer(0), first);
}

void AddScales(std::vector<InvalidFile>* files) {
  const TestModel model = TinyModel(2);
  Collector tiny(format::Write(model.content), files);
  const auto scale = [&](std::int32_t layer, std::uint64_t channel) {
    const auto index = static_cast<std::size_t>(layer);
    return tiny.Edit().Parameter(layer, LayoutOf(model, index).weight_scale + 4 * channel, 4);
  };
  constexpr float kRatio = 0.0078125F / 0.03F;  // of the scales of tensors 0 and 1
  constexpr float kLeast = std::numeric_limits<float>::min();
  const auto set = [&](const char* name, const Field& field, float value, std::uint64_t expected) {
    tiny.Set(Status::kWeightScale, name, field, Bits(value), expected);
  };
  // The scale is normal, the multiplier that follows from it is not.
  const auto set_multiplier = [&](const char* name, const Field& field, float value,
                                  float multiplier, std::uint64_t expected) {
    tiny.Set(Status::kWeightScale, name, field, Bits(value), field, expected, Bits(multiplier));
  };
  set("zero", scale(0, 4), 0.0F, kLeastNormalBits);
  set("negative", scale(0, 4), -0.001F, kLeastNormalBits);
  set("nan", scale(1, 2), std::numeric_limits<float>::quiet_NaN(), kMostNormalBits);
  set_multiplier("subnormal_multiplier", scale(0, 0), kLeast, kLeast * kRatio, kLeastNormalBits);
  // Subnormal scales whose multipliers are normal.
  Editor subnormal(tiny.valid());
  subnormal.Set(TensorField(0, &TensorRecord::scale), Bits(1e20F));
  subnormal.Set(TensorField(1, &TensorRecord::scale), Bits(1e-10F));
  for (std::uint64_t channel = 0; channel < 5; ++channel) {
    subnormal.Set(scale(0, channel), Bits(1e-39F));
  }
  tiny.Add(Status::kWeightScale, "subnormal", subnormal.Repaired(), scale(0, 0), kLeastNormalBits);
  set_multiplier("multiplier_of_one_or_more", scale(0, 0), 100.0F, 100.0F * kRatio,
                 Bits(kBelowOne));
  // Logits of this size would not be finite.
  set_multiplier("infinite_logits", scale(1, 0), 1e38F, 1e38F * 0.03F, Bits(0x1.fffffep63F));
}

// s_in / s_out / 4 may not pass 1, nor be subnormal.
void AddAveragePools(std::vector<InvalidFile>* files) {
  Collector pools({}, files);
  const Field output = TensorField(1, &TensorRecord::scale).InLayer(0);
  pools.Add(Status::kWeightScale, "average_pool_above_one", AveragePool(4.01F, 1), output,
            Bits(1.0F), Bits(4.01F / 4.0F));
  pools.Add(Status::kWeightScale, "average_pool_subnormal", AveragePool(2e-38F, 1), output,
            kLeastNormalBits, Bits(2e-38F / 4.0F));
}

// Scales of sums, products and residuals; the valid side of each bound is in test_reader.cpp.
// Layer 1 reads tensors 0 and 1 and writes tensor 2.
void AddSums(std::vector<InvalidFile>* files) {
  using format::OpCode;
  Collector collector({}, files);
  const auto scale = [](std::int32_t tensor) {
    return TensorField(tensor, &TensorRecord::scale).InLayer(1);
  };
  const auto add = [&](Status status, const char* name, const TestModel& model, const Field& wrong,
                       std::uint64_t expected, float found) {
    collector.Add(status, name, format::Write(model.content), wrong, expected, Bits(found));
  };
  constexpr float kLeast = std::numeric_limits<float>::min();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  // Between them one shift of 1 to 30 serves all factors.
  const std::uint64_t most = Bits(0x1.fffffep19F);
  const std::uint64_t least = Bits(0x1p-10F);
  constexpr float kSmall = 0x1.fffffep-11F;
  add(Status::kFixedPoint, "sum_of_large", BinaryModel(OpCode::kAdd, 0x1p20F, 1, 1), scale(0), most,
      0x1p20F);
  add(Status::kFixedPoint, "sum_of_large_second", BinaryModel(OpCode::kAdd, 1, 0x1p20F, 1),
      scale(1), most, 0x1p20F);
  add(Status::kFixedPoint, "sum_of_small", BinaryModel(OpCode::kAdd, kSmall, 0x1p-20F, 1), scale(0),
      least, kSmall);
  // The first weight_scale of layer 1.
  const auto slot = [](const TestModel& model) {
    return Editor(format::Write(model.content)).Parameter(1, LayoutOf(model, 1).weight_scale, 4);
  };
  const auto add_residual = [&](Status status, const char* name, const TestModel& model,
                                std::uint64_t expected, float found) {
    add(status, name, model, slot(model), expected, found);
  };
  add_residual(Status::kFixedPoint, "large_residual", ResidualModel(0x1p20F, 1, 0), most, 0x1p20F);
  add_residual(Status::kFixedPoint, "small_residual", ResidualModel(kSmall, 1, 0), least, kSmall);
  add(Status::kWeightScale, "sum_subnormal", BinaryModel(OpCode::kAdd, kLeast, 1, 4), scale(0),
      kLeastNormalBits, kLeast / 4.0F);
  add(Status::kWeightScale, "sum_subnormal_second", BinaryModel(OpCode::kAdd, 1, kLeast, 4),
      scale(1), kLeastNormalBits, kLeast / 4.0F);
  add(Status::kWeightScale, "sum_infinite", BinaryModel(OpCode::kAdd, 1e30F, 1, 1e-30F), scale(0),
      kMostNormalBits, kInfinity);
  add(Status::kWeightScale, "product_of_one", BinaryModel(OpCode::kMultiply, 2, 0.5F, 1), scale(2),
      Bits(kBelowOne), 1.0F);
  add(Status::kWeightScale, "product_subnormal",
      BinaryModel(OpCode::kMultiply, 1e-20F, 1e-20F, 1e-10F), scale(0), kLeastNormalBits,
      1e-20F * 1e-20F);
  add(Status::kWeightScale, "product_subnormal_multiplier",
      BinaryModel(OpCode::kMultiply, 1e-15F, 1e-15F, 1e10F), scale(2), kLeastNormalBits,
      1e-15F * 1e-15F / 1e10F);
  add_residual(Status::kWeightScale, "residual_subnormal_unit",
               ResidualModel(0x1p15F, 0x1p-118F, 0), kLeastNormalBits, 0x1p-128F);
  TestModel infinite = ResidualModel(1, 0x1p-100F, 0);
  infinite.content.tensors[1].scale = 0x1p100F;
  add_residual(Status::kWeightScale, "residual_infinite", infinite, kMostNormalBits, kInfinity);
}

constexpr std::uint64_t kMostAccumulator = 0x7fffffff;

void AddResidualBiases(std::vector<InvalidFile>* files) {
  Collector collector({}, files);
  const auto add = [&](const char* name, std::int32_t bias) {
    const TestModel model = ResidualModel(1, 1, bias);
    const std::vector<std::byte> file = format::Write(model.content);
    collector.Add(Status::kAccumulatorOverflow, name, file,
                  Editor(file).Parameter(1, LayoutOf(model, 1).bias_mu, 4), kMostAccumulator,
                  kMostAccumulator + 1);
  };
  add("residual", kResidualMostBias + 1);
  add("residual_of_a_negative_bias", -kResidualMostBias - 1);
  TestModel model = EveryOperatorModel();
  model.content.parameters[7].resize(64);
  collector.Add(Status::kParameterLayout, "sum", format::Write(model.content),
                LayerField(7, &LayerRecord::parameter_bytes), 0);
  model = EveryOperatorModel();
  model.content.parameters[10].resize(format::kLookupBytes);
  collector.Add(Status::kParameterLayout, "concat_of_one_table", format::Write(model.content),
                LayerField(10, &LayerRecord::parameter_bytes), 2 * format::kLookupBytes);
}

// The layers of TableOperatorsModel: 6 gathers 2 x 2 x 18 from 5 rows of 24 bytes.
void AddTables(std::vector<InvalidFile>* files) {
  Collector all(format::Write(TableOperatorsModel().content), files);
  const auto number = [&](std::size_t place, std::size_t field) {
    return all.Edit().Parameter(6, sizeof(format::GatherPlace) * place + field, 4);
  };
  constexpr std::size_t kOffset = offsetof(format::GatherPlace, offset);
  // Of rows, columns and channels the largest places count: 3 + 1 + 0 rows, 6 + 0 + 17 bytes.
  const auto found = [&](const char* name, std::size_t place, std::size_t field,
                         std::uint32_t value, std::uint64_t sum, std::uint64_t most) {
    all.Set(Status::kGatherPlace, name, number(place, field), value, number(0, field).InLayer(6),
            most, sum);
  };
  found("row_behind_the_last", 0, 0, 4, 5, 4);
  found("column_behind_the_last_row", 3, 0, 0xfffffffeU, 0xfffffffeULL + 3, 4);
  found("channel_behind_the_last_row", 4, 0, 1, 5, 4);
  found("row_behind_the_end_of_a_row", 1, kOffset, 7, 24, 23);
  found("column_behind_the_end_of_a_row", 2, kOffset, 0xffffffffU, 0xffffffffULL + 6 + 17, 23);
  found("channel_behind_the_end_of_a_row", 4, kOffset, 18, 24, 23);
  const auto resized = [&](const char* name, std::size_t layer, std::size_t bytes) {
    TestModel model = TableOperatorsModel();
    const std::size_t expected = model.content.parameters[layer].size();
    model.content.parameters[layer].resize(bytes);
    all.Add(Status::kParameterLayout, name, format::Write(model.content),
            LayerField(static_cast<std::int32_t>(layer), &LayerRecord::parameter_bytes), expected);
  };
  resized("lookup_by_channel_of_one_table", 4, format::kLookupBytes);
  resized("gather_without_channels", 6, 64);
  resized("maximum_of_one_table", 7, format::kLookupBytes);
  resized("constant_of_nothing", 8, 0);
  resized("minimum_of_three_tables", 9, 3 * format::kLookupBytes);
}

void AddIntegers(std::vector<InvalidFile>* files) {
  const TestModel model = TinyModel(2);
  Collector tiny(format::Write(model.content), files);
  const format::ParameterLayout conv = LayoutOf(model, 0);
  const format::ParameterLayout dense = LayoutOf(model, 1);
  const auto byte = [&](std::int32_t layer, std::uint64_t offset) {
    return tiny.Edit().Parameter(layer, offset, 1);
  };
  tiny.Set(Status::kShift, "zero", byte(0, conv.shift), 0, 1);
  tiny.Set(Status::kShift, "sixteen", byte(1, dense.shift + 2), 16, 15);
  tiny.Set(Status::kShift, "bias_zero", byte(0, conv.bias_shift + 4), 0, 1);
  tiny.Set(Status::kShift, "unused_slot", byte(0, conv.shift + 7), 255, 15);
  // 255 * 127 for each of K inputs, the bias and the most of its noise.
  const auto bias = [&](const char* name, std::int32_t layer, std::uint64_t slot,
                        std::uint32_t value, std::uint64_t magnitude, std::uint64_t inputs) {
    const format::ParameterLayout layout = LayoutOf(model, static_cast<std::size_t>(layer));
    const std::uint64_t level =
        tiny.Edit().Value(tiny.Edit().Parameter(layer, layout.bias_level + 2 * slot, 2));
    const std::uint64_t shift = tiny.Edit().Value(byte(layer, layout.bias_shift + slot));
    const Field field = tiny.Edit().Parameter(layer, layout.bias_mu + 4 * slot, 4);
    tiny.Set(Status::kAccumulatorOverflow, name, field, value, field, kMostAccumulator,
             255 * 127 * inputs + magnitude + (level * 127 >> shift) + 1);
  };
  bias("bias", 0, 0, 0x7fffffff, 0x7fffffff, 12);
  bias("least_bias", 1, 2, 0x80000000U, 0x80000000U, 48);
  // The sampler draws the biases of all slots.
  bias("bias_of_an_unused_slot", 0, 7, 0x7fffffff, 0x7fffffff, 12);
  tiny.Set(Status::kMuRange, "minus_128", byte(0, conv.mu + 1), 0x80, 0x81);
  tiny.Set(Status::kMuRange, "minus_128_behind_the_panel", byte(0, conv.sigma - 1), 0x80, 0x81);
  // Three inputs per kernel row: the fourth is padding.
  tiny.Set(Status::kPaddingWeight, "first_run", byte(0, conv.mu + 3), 1, 0);
  tiny.Set(Status::kPaddingWeight, "last_run_unused_channel", byte(0, conv.mu + 3 * 32 - 1), 0xff,
           0);
}

// Means of fewer bits: TinyModel's first layer has one panel of 3 runs of 3 inputs, padded to 4.
void AddPackedMeans(std::vector<InvalidFile>* files) {
  const auto packed = [&](std::uint32_t bits) {
    return Collector(format::Write(TinyModel(2, true, bits).content), files);
  };
  const auto layout = [](std::uint32_t bits) { return LayoutOf(TinyModel(2, true, bits), 0); };
  const auto byte = [](const Collector& collector, std::uint64_t offset) {
    return collector.Edit().Parameter(0, offset, 1);
  };
  Collector three = packed(3);
  const std::uint64_t table = layout(3).mu_table;
  three.Set(Status::kMuRange, "table_minus_128", byte(three, table + 7), 0x80, 0x81);
  three.Set(Status::kMuRange, "table_beyond_its_codes", byte(three, table + 8), 1, 0);
  // Of 5 bits a block has 32 bytes of bits 1 to 4 and 8 of bit 0.
  Collector five = packed(5);
  const std::uint64_t mu5 = layout(5).mu;
  const Field last = byte(five, mu5 + 40 + 31);
  five.Set(Status::kMuRange, "code_of_minus_128_behind_the_panel", last, 0x80, last, 17, 16);
  Collector four = packed(4);
  four.Set(Status::kPaddingWeight, "code_of_the_first_run", byte(four, layout(4).mu + 3), 0x01, 0);
  Collector one = packed(1);
  const Field eight = byte(one, layout(1).mu + 3);  // codes of bytes 24 to 31
  one.Set(Status::kPaddingWeight, "bit_of_an_unused_channel", eight, 0x80, eight, 0, 1);
  const Field first = byte(five, mu5 + 1);
  five.Add(Status::kMuRange, "code_of_minus_128",
           five.Edit().Set(first, 0x08).Set(byte(five, mu5 + 32), 0).Repaired(), first, 17, 16);
  Collector deterministic(format::Write(TinyModel(2, false, 3).content), files);
  const Field panel_bytes = ModelField(&ModelRecord::panel_bytes);
  deterministic.Set(Status::kPanelBytes, "unpacked_nowhere", panel_bytes, 0,
                    deterministic.Edit().Value(panel_bytes));
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
  Collector valid(format::Write(model.content), files);
  const format::ParameterLayout layout = LayoutOf(model, 1);
  LayerRecord dense = model.content.layers[1];
  const format::PanelLayout panels = format::MakePanelLayout(dense);
  const auto byte = [&](std::uint64_t offset) { return valid.Edit().Parameter(1, offset, 1); };
  valid.Set(Status::kBitWidth, "panel_0", byte(layout.panel_bits), 0, 1);
  valid.Set(Status::kBitWidth, "panel_9", byte(layout.panel_bits + 2), 9, 8);
  // The second of panels of 16, 16 and 8 channels and 48 inputs has one bit less.
  valid.Set(Status::kParameterLayout, "widths_need_other_bytes", byte(layout.panel_bits + 1), 2,
            LayerField(1, &LayerRecord::mu_bytes), dense.mu_bytes - 16 * 48 / 8);
  for (const std::uint32_t bytes : {0U, 8U, 0xffffffffU}) {
    dense.mu_bytes = bytes;
    valid.Set(Status::kParameterLayout, "mu_bytes_" + std::to_string(bytes),
              LayerField(1, &LayerRecord::mu_bytes), bytes,
              LayerField(1, &LayerRecord::parameter_bytes),
              format::MakeParameterLayout(dense).bytes);
  }
  valid.Set(Status::kMuRange, "table_of_8_bits", byte(layout.mu_table), 1, 0);
  valid.Set(Status::kMuRange, "table_beyond_3_bits", byte(layout.mu_table + 16 + 8), 1, 0);
  valid.Set(Status::kMuRange, "table_of_6_bits", byte(layout.mu_table + 32 + 15), 1, 0);
  valid.Set(Status::kMuRange, "minus_128_of_8_bits", byte(layout.mu + 5), 0x80, 0x81);
  // Code 32 of 6 bits: 8 in the plane of 4 bits, 0 in that of 2.
  const std::uint64_t third = layout.mu + panels.panel_bytes(0) + panels.panel_bytes(1) / 8 * 3;
  valid.Add(Status::kMuRange, "minus_128_of_6_bits",
            valid.Edit().Set(byte(third), 0x88).Set(byte(third + 32), 0).Repaired(), byte(third),
            33, 32);
  // The dense layer has runs of 45 inputs, stored as 48: the last byte of every four is padding.
  const std::uint64_t group = layout.mu + panels.panel_bytes(0) - 64;
  valid.Set(Status::kPaddingWeight, "of_8_bits", byte(group + 3), 1, 0);
}

void AddTotals(std::vector<InvalidFile>* files) {
  Collector tiny(format::Write(TinyModel(2).content), files);
  tiny.Set(Status::kReservedNotZero, "model", ModelField(&ModelRecord::output_width).Element(6), 1,
           0);
  tiny.Set(Status::kUnknownHead, "next", ModelField(&ModelRecord::head), format::kHeadCount,
           format::kHeadCount - 1);
  tiny.Set(Status::kUnknownHead, "four_billion", ModelField(&ModelRecord::head), 0xffffffff,
           format::kHeadCount - 1);
  const auto off = [&](Status status, const char* name, const Field& field, std::int64_t by) {
    const std::uint64_t right = tiny.Edit().Value(field);
    tiny.Set(status, name, field, right + static_cast<std::uint64_t>(by), right);
  };
  off(Status::kClassCount, "one_class_more", ModelField(&ModelRecord::class_count), 1);
  off(Status::kActivationBytes, "too_many", ModelField(&ModelRecord::activation_bytes), 64);
  off(Status::kPanelBytes, "too_few", ModelField(&ModelRecord::panel_bytes), -64);
  off(Status::kArenaBytes, "too_few", ModelField(&ModelRecord::arena_bytes), -64);
  // Another head has another arena: a head that was changed is found by its total.
  for (const format::Head head : {format::Head::kSigmoid, format::Head::kValues}) {
    format::FileContent content = TinyModel(2).content;
    const Field arena = ModelField(&ModelRecord::arena_bytes);
    content.head = head;
    const std::uint64_t right = Collector(format::Write(content), files).Edit().Value(arena);
    const std::uint64_t found = tiny.Edit().Value(arena);
    if (found == right) continue;
    tiny.Set(
        Status::kArenaBytes,
        head == format::Head::kSigmoid ? "of_a_softmax_for_a_sigmoid" : "of_a_softmax_for_values",
        ModelField(&ModelRecord::head), static_cast<std::uint64_t>(head), arena, right);
  }
}

// u32 count; per pair u16 key bytes, u16 zero, u32 value bytes, key, value.
constexpr std::uint64_t kPairHeader = 8;

void AddMetadata(std::vector<InvalidFile>* files) {
  // "labels" of 11 bytes, "name" of 4.
  Collector tiny(format::Write(TinyModel(2).content), files);
  const std::uint64_t bytes = tiny.Edit().Section(SectionId::kMetadata).bytes;
  constexpr std::uint64_t kSecond = 4 + kPairHeader + 6 + 11;
  REQUIRE(bytes == kSecond + kPairHeader + 4 + 4);
  const auto set = [&](const char* name, const Field& field, std::uint64_t value,
                       std::uint64_t expected) {
    tiny.Set(Status::kMetadata, name, field, value, expected);
  };
  const Field count = MetadataField(0, 4);
  const Field section_bytes = TableField(SectionId::kMetadata, &SectionRecord::bytes);
  tiny.Set(Status::kMetadata, "one_pair_less", count, 1, section_bytes, kSecond);
  set("one_pair_more", count, 3, 2);
  set("four_billion_pairs", count, 0xffffffff, 2);
  set("empty_key", MetadataField(4, 2), 0, 1);
  set("reserved", MetadataField(6, 2), 1, 0);
  set("value_leaves_the_section", MetadataField(8, 4), 0xfffffff0, bytes - 4 - kPairHeader - 6);
  set("key_leaves_the_section", MetadataField(kSecond, 2), 0xffff, bytes - kSecond - kPairHeader);
  // Of "zabels" and "name" the second is wrong.
  tiny.Set(Status::kMetadata, "unsorted_keys", MetadataField(12, 1), 'z',
           MetadataField(kSecond + kPairHeader, 1), 'z');
  // The pairs end where the file ends, and the count asks for another.
  TestModel full = TinyModel(2);
  full.content.metadata["name"] = std::string(23, 'n');
  tiny.Add(Status::kMetadata, "one_pair_more_at_the_end",
           Editor(format::Write(full.content)).Set(count, 3).Repaired(), count, 2);
  // The second key becomes the first one: a longer one would be above it.
  TestModel twice = TinyModel(2);
  twice.content.metadata = {{"name", "a"}, {"nama", "b"}};
  tiny.Add(Status::kMetadata, "repeated_key",
           Editor(format::Write(twice.content)).Set(MetadataField(12 + 3, 1), 'e').Repaired(),
           MetadataField(4 + kPairHeader + 4 + 1, 2), 5);
  // "nama" behind "nama1".
  twice.content.metadata = {{"nama1", "a"}, {"namb", "b"}};
  constexpr std::uint64_t kNamb = 4 + kPairHeader + 5 + 1;
  tiny.Add(Status::kMetadata, "key_begins_like_the_one_before",
           Editor(format::Write(twice.content))
               .Set(MetadataField(kNamb + kPairHeader + 3, 1), 'a')
               .Repaired(),
           MetadataField(kNamb, 2), 6);
  const auto resized = [&](std::size_t size) {
    std::vector<Section> sections;
    for (std::uint32_t id = 1; id <= 6; ++id) {
      const SectionRecord record = tiny.Edit().Section(static_cast<SectionId>(id));
      const auto begin = tiny.valid().begin() + static_cast<std::ptrdiff_t>(record.offset);
      sections.push_back(
          {id, record.flags, {begin, begin + static_cast<std::ptrdiff_t>(record.bytes)}});
    }
    sections.back().bytes.resize(size);
    return format::Assemble(sections);
  };
  tiny.Add(Status::kMetadata, "empty_section", resized(0), section_bytes, 4);
  tiny.Add(Status::kMetadata, "torn_count", resized(3), section_bytes, 4);
  // Eight bytes behind the pairs are a pair's header, but no pair is without a key.
  tiny.Add(Status::kMetadata, "header_alone", Editor(resized(bytes + 8)).Set(count, 3).Repaired(),
           count, 2);
}

}  // namespace

std::vector<InvalidFile> InvalidParameters() {
  std::vector<InvalidFile> files;
  AddSizes(&files);
  AddScales(&files);
  AddAveragePools(&files);
  AddTables(&files);
  AddIntegers(&files);
  AddPackedMeans(&files);
  AddPanelWidths(&files);
  AddSums(&files);
  AddResidualBiases(&files);
  AddTotals(&files);
  AddMetadata(&files);
  return files;
}

}  // namespace mu8::testing
