// Invalid files, part two: tensors and layers that do not make sense, alone or together.
#include <limits>
#include <utility>

#include "tests/formats/invalid_files.h"
#include "tests/support/model_builder.h"

namespace mu8::testing {
namespace {

using format::LayerRecord;
using format::OpCode;
using format::SectionId;
using format::SectionRecord;
using format::TensorRecord;

constexpr std::uint8_t CodeOf(OpCode op) { return static_cast<std::uint8_t>(op); }

// Where a tensor ends in the activation memory.
std::uint64_t EndOf(const TestModel& model, std::size_t tensor) {
  const TensorRecord& record = model.content.tensors[tensor];
  return std::uint64_t{record.offset} + record.bytes;
}

// tensors: 0 input 6 x 6 x 1 with padding, 1 is 3 x 3 x 5, each of 128 bytes; layers: 0
// convolution, 1 dense.
void AddTensors(std::vector<InvalidFile>* files) {
  Collector tiny(format::Write(TinyModel(2).content), files);
  tiny.Set(Status::kReservedNotZero, "tensor", TensorField(1, &TensorRecord::reserved).Element(6),
           1, 0);
  tiny.Set(Status::kTensorShape, "zero_height", TensorField(1, &TensorRecord::height), 0, 1);
  tiny.Set(Status::kTensorShape, "too_many_channels", TensorField(0, &TensorRecord::channels),
           65536, 65535);
  tiny.Set(Status::kTensorShape, "zero_width", TensorField(0, &TensorRecord::width), 0, 1);
  const Field row_stride = TensorField(1, &TensorRecord::row_stride);
  const Field bytes = TensorField(1, &TensorRecord::bytes);
  tiny.Set(Status::kTensorLayout, "short_rows", row_stride, 14, 15);
  tiny.Set(Status::kTensorLayout, "wrong_bytes", bytes, 64, 128);
  // Three rows and 64 bytes, of which the field holds the lower half.
  constexpr std::uint64_t kHuge = std::uint64_t{3} * 0xfffffff0U + 64;
  static_assert(kHuge % 64 == 16);
  tiny.Add(Status::kTensorLayout, "huge_rows",
           tiny.Edit().Set(row_stride, 0xfffffff0U).Set(bytes, kHuge + 48).Repaired(), bytes,
           kHuge + 48);
  tiny.Add(Status::kTensorLayout, "over_a_gigabyte",
           tiny.Edit().Set(row_stride, 0x20000000U).Set(bytes, 0x60000040U).Repaired(), bytes,
           0x40000000U);
  const auto scale = [&](const char* name, float value, std::uint64_t expected) {
    tiny.Set(Status::kTensorScale, name, TensorField(0, &TensorRecord::scale), Bits(value),
             expected);
  };
  scale("zero", 0, kLeastNormalBits);
  scale("negative", -1, kLeastNormalBits);
  scale("subnormal", std::numeric_limits<float>::denorm_min(), kLeastNormalBits);
  scale("nan", std::numeric_limits<float>::quiet_NaN(), kMostNormalBits);
  tiny.Set(Status::kTensorPlacement, "outside", TensorField(1, &TensorRecord::offset), 192, 128);
  tiny.Set(Status::kTensorPlacement, "misaligned", TensorField(0, &TensorRecord::offset), 16, 0);
  tiny.Set(Status::kTensorPlacement, "misaligned_behind_another",
           TensorField(1, &TensorRecord::offset), 136, 128);
  tiny.Set(Status::kTensorPlacement, "larger_than_the_memory",
           ModelField(&format::ModelRecord::activation_bytes), 64,
           TensorField(0, &TensorRecord::bytes), 64);
  const Field first_layer = TensorField(1, &TensorRecord::first_layer).InLayer(0);
  const Field last_layer = TensorField(1, &TensorRecord::last_layer).InLayer(0);
  tiny.Set(Status::kTensorLifetime, "wrong_writer", first_layer, 1, 0);
  tiny.Set(Status::kTensorLifetime, "ends_before_it_begins", last_layer, 0, 1);
  tiny.Set(Status::kTensorLifetime, "ends_after_the_last_layer", last_layer, 2, 1);
  tiny.Set(Status::kTensorLifetime, "input_ends_after_the_last_layer",
           TensorField(0, &TensorRecord::last_layer), 2, 1);
  tiny.Set(Status::kTensorLifetime, "input_has_a_writer",
           TensorField(0, &TensorRecord::first_layer), 0, 0xffff);
}

// 65 layers that copy the input to values that all live to the end, and a dense layer.
TestModel SixtyFiveCopies() {
  TestModel live = TinyModel(0);
  format::FileContent& content = live.content;
  content.tensors.resize(1, MakeTensor(1, 1, 1, 1.0F, 0));
  content.tensors[0] = MakeTensor(1, 1, 1, 1.0F, 0);
  content.layers.clear();
  content.parameters.clear();
  for (int i = 0; i < 65; ++i) {
    content.layers.push_back(MakeLayer(OpCode::kMaxPool, 0, 1));
    content.tensors.push_back(MakeTensor(1, 1, 1, 1.0F, 0));
    content.parameters.emplace_back();
  }
  content.layers.push_back(MakeLayer(OpCode::kDense, 0, 1));
  SetRuns(content.tensors[0], &content.layers.back());
  content.parameters.emplace_back(format::MakeParameterLayout(content.layers.back()).bytes);
  Finish(&content, false);
  for (TensorRecord& tensor : content.tensors) tensor.last_layer = 65;
  return live;
}

void AddGraphs(std::vector<InvalidFile>* files) {
  Collector collector({}, files);
  const Field tensor_bytes = TableField(SectionId::kTensors, &SectionRecord::bytes);
  TestModel model = TinyModel(2);
  model.content.tensors.push_back(model.content.tensors.back());
  collector.Add(Status::kRecordCount, "a_tensor_too_many", format::Write(model.content),
                tensor_bytes, 2, 3);
  std::vector<format::Section> sections;
  for (std::uint32_t id = 1; id <= 6; ++id) {
    sections.push_back({id, format::kSectionRequired, {}});
  }
  sections[0].bytes.resize(format::kModelRecordBytes);
  collector.Add(Status::kRecordCount, "nothing_at_all", format::Assemble(sections), tensor_bytes,
                1);
  // A read of the input by layer 1 although it says that layer 0 was the last.
  TestModel twice = TinyModel(2);
  twice.content.layers[1].input = 0;
  twice.content.tensors[0].last_layer = 0;
  collector.Add(Status::kOperandIndex, "input_read_too_late", format::Write(twice.content),
                TensorField(0, &TensorRecord::last_layer).InLayer(1), 1);
  TestModel overlap = TinyModel(2);
  overlap.content.tensors[1].offset = 0;
  collector.Add(Status::kTensorOverlap, "output_over_input", format::Write(overlap.content),
                TensorField(1, &TensorRecord::offset).InLayer(0), EndOf(overlap, 0));
  // Tensors 0 to 64 are one too many; the record is named, no field of it.
  collector.Add(Status::kTooManyLiveTensors, "sixty_five", format::Write(SixtyFiveCopies().content),
                TensorField(64, &TensorRecord::height).InLayer(63), 64, 65);
}

void AddLayers(std::vector<InvalidFile>* files) {
  Collector tiny(format::Write(TinyModel(2).content), files);
  tiny.Set(Status::kReservedNotZero, "layer", LayerField(0, &LayerRecord::mu_bytes).Element(15), 1,
           0);
  tiny.Set(Status::kReservedNotZero, "mu_bytes_of_one_width", LayerField(0, &LayerRecord::mu_bytes),
           64, 0);
  tiny.Set(Status::kReservedNotZero, "layer_flags", LayerField(0, &LayerRecord::flags),
           format::kLayerBayesian | format::kLayerCountPadding, format::kLayerBayesian);
  tiny.Set(Status::kReservedNotZero, "second_input", LayerField(1, &LayerRecord::input2), 0,
           0xffff);
  tiny.Set(Status::kUnknownOperator, "zero", LayerField(0, &LayerRecord::op), 0, 1);
  tiny.Set(Status::kUnknownOperator, "fourteen", LayerField(0, &LayerRecord::op), 14, 13);
  tiny.Set(Status::kUnknownOperator, "logits_from_a_pool", LayerField(1, &LayerRecord::op),
           CodeOf(OpCode::kMaxPool), CodeOf(OpCode::kDense));
  tiny.Set(Status::kOperandIndex, "reads_its_own_output", LayerField(0, &LayerRecord::input), 1, 0);
  tiny.Set(Status::kOperandIndex, "reads_beyond_the_tensors", LayerField(1, &LayerRecord::input), 2,
           1);
  const Field output = LayerField(0, &LayerRecord::output);
  tiny.Set(Status::kOperandIndex, "writes_over_the_input", output, 0, 1);
  tiny.Set(Status::kOperandIndex, "logits_in_the_middle", output, format::kNoTensor, 1);
}

void AddConvolutions(std::vector<InvalidFile>* files) {
  Collector tiny(format::Write(TinyModel(2).content), files);
  // 3 x 3, stride 2, over 6 x 6 with one row and column of padding, to 3 x 3.
  tiny.Set(Status::kWindow, "no_kernel", LayerField(0, &LayerRecord::kernel_h), 0, 1);
  tiny.Set(Status::kWindow, "no_stride", LayerField(0, &LayerRecord::stride_w), 0, 1);
  tiny.Set(Status::kWindow, "kernel_of_no_columns", LayerField(0, &LayerRecord::kernel_w), 0, 1);
  tiny.Set(Status::kWindow, "stride_of_1025_rows", LayerField(0, &LayerRecord::stride_h), 1025,
           1024);
  tiny.Set(Status::kWindow, "no_dilation", LayerField(0, &LayerRecord::dilation_h), 0, 1);
  tiny.Set(Status::kWindow, "dilation_1025", LayerField(0, &LayerRecord::dilation_w), 1025, 1024);
  tiny.Set(Status::kWindow, "leaves_on_top", LayerField(0, &LayerRecord::pad_top), 2, 1);
  tiny.Set(Status::kWindow, "leaves_on_the_left", LayerField(0, &LayerRecord::pad_left), 2, 1);
  // Nine columns from one before the image on; nine and two rows.
  tiny.Set(Status::kWindow, "leaves_on_the_right", LayerField(0, &LayerRecord::stride_w), 3,
           TensorField(0, &TensorRecord::pad_right).InLayer(0), 2);
  tiny.Set(Status::kWindow, "leaves_below", LayerField(0, &LayerRecord::dilation_h), 3,
           TensorField(0, &TensorRecord::pad_bottom).InLayer(0), 4);
  tiny.Set(Status::kOutputShape, "channels_of_the_tensor",
           LayerField(0, &LayerRecord::output_channels), 6, 5);
  tiny.Set(Status::kOutputShape, "no_classes", LayerField(1, &LayerRecord::output_channels), 0, 1);
  tiny.Set(Status::kOutputShape, "too_many_classes", LayerField(1, &LayerRecord::output_channels),
           65536, 65535);
  // One channel: three runs of three inputs.
  tiny.Set(Status::kRunLayout, "wrong_runs", LayerField(0, &LayerRecord::runs), 9, 3);
  tiny.Set(Status::kRunLayout, "wrong_run_length", LayerField(0, &LayerRecord::run_length), 4, 3);
  constexpr std::uint8_t kFlags = format::kLayerBayesian | format::kLayerDepthwise;
  tiny.Set(Status::kRunLayout, "depthwise_of_one_group", LayerField(0, &LayerRecord::flags), kFlags,
           format::kLayerBayesian);
  tiny.Set(Status::kReservedNotZero, "depthwise_dense", LayerField(1, &LayerRecord::flags), kFlags,
           format::kLayerBayesian);
  const Field groups = LayerField(0, &LayerRecord::groups);
  tiny.Set(Status::kGroups, "none", groups, 0, 1);
  tiny.Set(Status::kGroups, "do_not_divide", groups, 5, 1);
  TestModel model = TinyModel(2);
  model.content.tensors[0].channels = model.content.layers[0].groups = 3;  // of 5 outputs
  model.content.tensors[0].row_stride = 0;
  model.content.input_table.resize(3 * 256);
  Finish(&model.content, false);
  tiny.Add(Status::kGroups, "do_not_divide_the_output", format::Write(model.content), groups, 5);
  tiny.Set(Status::kBitWidth, "mu_9", LayerField(0, &LayerRecord::mu_bits), 9, 8);
  tiny.Set(Status::kBitWidth, "mu_0", LayerField(0, &LayerRecord::mu_bits), 0, 1);
  const Field sigma_bits = LayerField(0, &LayerRecord::sigma_bits);
  tiny.Set(Status::kBitWidth, "sigma_3", sigma_bits, 3, 2);
  tiny.Set(Status::kBitWidth, "sigma_16", sigma_bits, 16, 8);
  tiny.Set(Status::kBitWidth, "sigma_without_noise", LayerField(0, &LayerRecord::flags), 0,
           sigma_bits, 0);
  const Field clamp_min = LayerField(0, &LayerRecord::clamp_min);
  tiny.Add(
      Status::kClamp, "empty_range",
      tiny.Edit().Set(clamp_min, 200).Set(LayerField(0, &LayerRecord::clamp_max), 199).Repaired(),
      clamp_min, 199);
}

void AddDense(std::vector<InvalidFile>* files) {
  Collector tiny(format::Write(TinyModel(2).content), files);
  tiny.Set(Status::kRunLayout, "dense_of_other_length", LayerField(1, &LayerRecord::run_length), 46,
           45);
  tiny.Set(Status::kRunLayout, "dense_of_two_runs", LayerField(1, &LayerRecord::runs), 2, 1);
  const auto input = [](auto member) { return TensorField(1, member).InLayer(1); };
  const Field row_stride = input(&TensorRecord::row_stride);
  const Field pad_left = input(&TensorRecord::pad_left);
  tiny.Add(Status::kRunLayout, "dense_reads_left_padding",
           tiny.Edit().Set(pad_left, 1).Set(row_stride, 20).Repaired(), pad_left, 0);
  const Field pad_right = input(&TensorRecord::pad_right);
  tiny.Add(Status::kRunLayout, "dense_reads_right_padding",
           tiny.Edit().Set(pad_right, 1).Set(row_stride, 20).Repaired(), pad_right, 0);
  tiny.Set(Status::kRunLayout, "dense_reads_rows_on_top", input(&TensorRecord::pad_top), 1, 0);
  tiny.Set(Status::kRunLayout, "dense_reads_gaps", row_stride, 16, 15);
  tiny.Set(Status::kGroups, "dense", LayerField(1, &LayerRecord::groups), 3, 1);
  // The engine once took a dense layer's padding for an offset into the arena.
  tiny.Set(Status::kWindow, "dense_pad_top", LayerField(1, &LayerRecord::pad_top), 65535, 0);
  tiny.Set(Status::kWindow, "dense_pad_left", LayerField(1, &LayerRecord::pad_left), 65535, 0);
  // A dense layer in the middle, with an output of two pixels.
  for (const bool tall : {true, false}) {
    TestModel model = TinyModel(0, false);
    format::FileContent& content = model.content;
    content.tensors = {MakeTensor(2, 2, 1, 1.0F, 0),
                       tall ? MakeTensor(2, 1, 3, 1.0F, 0) : MakeTensor(1, 2, 3, 1.0F, 0)};
    content.layers = {MakeLayer(OpCode::kDense, 0, 3), MakeLayer(OpCode::kDense, 1, 3)};
    for (LayerRecord& layer : content.layers) SetRuns(content.tensors[layer.input], &layer);
    Finish(&content, false);
    const Field extent = TensorField(1, tall ? &TensorRecord::height : &TensorRecord::width);
    tiny.Add(Status::kOutputShape, tall ? "dense_of_two_rows" : "dense_of_two_columns",
             format::Write(content), extent.InLayer(0), 1);
  }
}

// The layers are listed in model_builder.h. Layer i writes tensor i + 1.
void AddPools(std::vector<InvalidFile>* files) {
  Collector all(format::Write(EveryOperatorModel().content), files);
  const auto pool = [](auto member) { return LayerField(1, member); };
  all.Set(Status::kReservedNotZero, "pool_flags", pool(&LayerRecord::flags), 1, 0);
  // 2 x 2 over nine rows to five: with a stride of 3 the last one would begin at row 12.
  all.Set(Status::kWindow, "pool_of_padding_only", pool(&LayerRecord::pad_top), 2, 1);
  all.Set(Status::kWindow, "pool_behind_the_edge", pool(&LayerRecord::stride_h), 3, 2);
  // Eight columns to four: the last one would begin at column 9.
  all.Set(Status::kWindow, "pool_beside_the_edge", pool(&LayerRecord::stride_w), 3, 2);
  all.Set(Status::kWindow, "pool_with_dilation", pool(&LayerRecord::dilation_w), 2, 1);
  all.Set(Status::kWindow, "pool_with_dilated_rows", pool(&LayerRecord::dilation_h), 2, 1);
  all.Set(Status::kWindow, "pool_kernel_1025", pool(&LayerRecord::kernel_h), 1025, 1024);
  all.Set(Status::kBitWidth, "pool_with_weights", pool(&LayerRecord::mu_bits), 8, 0);
  all.Set(Status::kPoolQuantization, "other_zero_point",
          TensorField(2, &TensorRecord::zero_point).InLayer(1), 18, 17);
  all.Set(Status::kPoolQuantization, "other_scale", TensorField(2, &TensorRecord::scale).InLayer(1),
          Bits(0.08F), Bits(0.04F));
  const Field height = TensorField(5, &TensorRecord::height).InLayer(4);
  all.Add(Status::kOutputShape, "lookup_loses_a_row",
          all.Edit()
              .Tensor(5,
                      [](TensorRecord* t) {
                        t->height = 1;
                        t->bytes = static_cast<std::uint32_t>(format::TensorBytes(*t));
                      })
              .Repaired(),
          height, 2);
  all.Set(Status::kOutputShape, "lookup_loses_a_column",
          TensorField(5, &TensorRecord::width).InLayer(4), 1, 2);
  TestModel model = EveryOperatorModel();
  model.content.tensors[2].channels = model.content.layers[1].output_channels = 5;
  all.Add(Status::kOutputShape, "pool_loses_a_channel", format::Write(model.content),
          pool(&LayerRecord::output_channels), 6);
}

// EveryOperatorModel after a change of its records; places and lifetimes follow from them.
template <typename Change>
std::vector<std::byte> Rewired(Change change) {
  TestModel model = EveryOperatorModel();
  change(&model.content);
  for (TensorRecord& tensor : model.content.tensors) tensor.row_stride = 0;
  Finish(&model.content, true);
  return format::Write(model.content);
}

// One convolution 1 x 1 from 1 x 1 x 4 to four classes that adds its input to the logits.
std::vector<std::byte> ResidualOfTheLogits() {
  TestModel model = TinyModel(0, false);
  format::FileContent& content = model.content;
  content.tensors = {MakeTensor(1, 1, 4, 1.0F, 0)};
  content.layers = {MakeLayer(OpCode::kConv2d, 0, 4)};
  content.layers[0].input2 = 0;
  SetRuns(content.tensors[0], content.layers.data());
  content.input_table.resize(4 * 256);
  Random random(1);
  content.parameters = {
      Pack(content.layers[0], RandomWeights(content.layers[0], 1.0F, 0.0F, &random))};
  Finish(&content, false);
  return format::Write(content);
}

// 2 x 2 x 4 -> slice 1 x 1 x 4; convolution of the former with the latter as residual -> dense.
std::vector<std::byte> ResidualOfOnePixel() {
  TestModel model = TinyModel(0, false);
  format::FileContent& content = model.content;
  content.tensors = {MakeTensor(2, 2, 4, 1.0F, 0), MakeTensor(1, 1, 4, 1.0F, 0),
                     MakeTensor(2, 2, 4, 1.0F, 0)};
  content.layers = {MakeLayer(OpCode::kSlice, 0, 4), MakeLayer(OpCode::kConv2d, 0, 4),
                    MakeLayer(OpCode::kDense, 2, 2)};
  content.layers[1].input2 = 1;
  content.input_table.resize(4 * 256);
  content.parameters = {{}, {}, {}};
  Random random(1);
  for (const std::size_t i : {1U, 2U}) {
    SetRuns(content.tensors[content.layers[i].input], &content.layers[i]);
    content.parameters[i] = Pack(
        content.layers[i], RandomWeights(content.layers[i], 1.0F, i == 1 ? 1.0F : 0.0F, &random));
  }
  Finish(&content, false);
  return format::Write(content);
}

void AddSecondOperands(std::vector<InvalidFile>* files) {
  Collector all(format::Write(EveryOperatorModel().content), files);
  // Layer i may read tensors up to i; one that has died says so itself.
  const auto none = [&](const char* name, std::int32_t layer, std::uint16_t tensor) {
    all.Set(Status::kOperandIndex, name, LayerField(layer, &LayerRecord::input2), tensor,
            static_cast<std::uint64_t>(layer));
  };
  const auto dead = [&](const char* name, std::int32_t layer, std::uint16_t tensor) {
    all.Set(Status::kOperandIndex, name, LayerField(layer, &LayerRecord::input2), tensor,
            TensorField(tensor, &TensorRecord::last_layer).InLayer(layer),
            static_cast<std::uint64_t>(layer));
  };
  const auto unused = [&](const char* name, std::int32_t layer, std::uint16_t tensor) {
    all.Set(Status::kReservedNotZero, name, LayerField(layer, &LayerRecord::input2), tensor,
            0xffff);
  };
  none("sum_of_one", 7, format::kNoTensor);
  none("product_of_one", 9, format::kNoTensor);
  none("concat_of_one", 10, format::kNoTensor);
  none("residual_beyond_the_tensors", 5, 12);
  none("residual_is_the_output", 5, 6);
  dead("residual_no_longer_alive", 5, 3);
  dead("product_no_longer_alive", 9, 7);
  unused("second_input_of_a_pool", 1, 1);
  unused("second_input_of_a_lookup", 4, 4);
  unused("second_input_of_a_slice", 6, 2);
  all.Add(Status::kOperandIndex, "residual_of_the_logits", ResidualOfTheLogits(),
          LayerField(0, &LayerRecord::input2), 0xffff);
  all.Add(Status::kUnknownOperator, "logits_from_a_sum",
          all.Edit()
              .Layer(11,
                     [](LayerRecord* l) {
                       l->op = CodeOf(OpCode::kAdd);
                       l->input2 = l->input;
                     })
              .Repaired(),
          LayerField(11, &LayerRecord::op), CodeOf(OpCode::kDense));
  all.Set(Status::kReservedNotZero, "concat_flags", LayerField(10, &LayerRecord::flags), 1, 0);
  all.Set(Status::kReservedNotZero, "sum_flags", LayerField(7, &LayerRecord::flags), 2, 0);
  all.Set(Status::kBitWidth, "sum_with_weights", LayerField(7, &LayerRecord::mu_bits), 8, 0);
  all.Set(Status::kBitWidth, "slice_with_sigma", LayerField(6, &LayerRecord::sigma_bits), 1, 0);
  // Also where clamps are not used.
  for (const auto& [name, layer] :
       {std::pair{"empty_range_of_a_sum", 7}, std::pair{"empty_range_of_a_slice", 6},
        std::pair{"empty_range_of_a_concat", 10}}) {
    const Field clamp_min = LayerField(layer, &LayerRecord::clamp_min);
    all.Add(Status::kClamp, name,
            all.Edit()
                .Set(clamp_min, 200)
                .Set(LayerField(layer, &LayerRecord::clamp_max), 199)
                .Repaired(),
            clamp_min, 199);
  }
}

void AddSecondShapes(std::vector<InvalidFile>* files) {
  Collector all({}, files);
  // A pool of nine rows in steps of 2 makes five at most.
  all.Add(Status::kWindow, "pool_of_more_rows_than_there_are",
          Rewired([](format::FileContent* content) { content->tensors[2].height = 20; }),
          TensorField(2, &TensorRecord::height).InLayer(1), 5);
  all.Add(Status::kWindow, "pool_of_more_columns_than_there_are",
          Rewired([](format::FileContent* content) { content->tensors[2].width = 20; }),
          TensorField(2, &TensorRecord::width).InLayer(1), 4);
  // The operand of another shape is wrong, in the first extent that differs.
  const auto operands = [&](const char* name, std::int32_t layer, std::uint16_t a, std::uint16_t b,
                            const Field& wrong, std::uint64_t expected) {
    all.Add(Status::kOutputShape, name, Rewired([&](format::FileContent* content) {
              LayerRecord& record = content->layers[static_cast<std::size_t>(layer)];
              record.input = a;
              record.input2 = b;
            }),
            wrong.InLayer(layer), expected);
  };
  const Field five_rows = TensorField(2, &TensorRecord::height);
  operands("sum_of_another_first_operand", 7, 2, 6, five_rows, 2);
  operands("sum_of_another_second_operand", 7, 6, 2, five_rows, 2);
  operands("product_of_another_second_operand", 9, 8, 2, five_rows, 2);
  operands("product_of_one_pixel_first", 9, 9, 8, TensorField(9, &TensorRecord::height), 2);
  operands("residual_of_another_shape", 5, 5, 2, five_rows, 2);
  all.Add(Status::kOutputShape, "residual_of_one_pixel", ResidualOfOnePixel(),
          TensorField(1, &TensorRecord::height).InLayer(1), 2);
  // Tensor 7 is the slice, of any shape, and the second operand of the sum.
  all.Add(Status::kOutputShape, "sum_of_one_row",
          Rewired([](format::FileContent* content) { content->tensors[7].height = 1; }),
          TensorField(7, &TensorRecord::height).InLayer(7), 2);
  all.Add(Status::kOutputShape, "sum_of_a_pixel_of_other_channels",
          Rewired([](format::FileContent* content) {
            content->tensors[7].height = content->tensors[7].width = 1;
            content->tensors[7].channels = content->layers[6].output_channels = 17;
          }),
          TensorField(7, &TensorRecord::channels).InLayer(7), 18);
  // Tensor 10 and the five-row tensor 2.
  all.Add(Status::kOutputShape, "concat_of_other_rows", Rewired([](format::FileContent* content) {
            content->layers[10].input2 = 2;
            content->tensors[11].channels = content->layers[10].output_channels = 24;
            SetRuns(content->tensors[11], &content->layers[11]);
          }),
          five_rows.InLayer(10), 2);
  all.Add(Status::kOutputShape, "concat_loses_a_channel", Rewired([](format::FileContent* content) {
            content->tensors[11].channels = content->layers[10].output_channels = 35;
            SetRuns(content->tensors[11], &content->layers[11]);
          }),
          LayerField(10, &LayerRecord::output_channels), 36);
}

// Negative offsets as fields have them.
constexpr std::uint32_t kMinus65535 = 0xffff0001U;

void AddSlices(std::vector<InvalidFile>* files) {
  Collector all(format::Write(EveryOperatorModel().content), files);
  const auto slice = [&](Status status, const char* name, auto member, std::uint64_t value,
                         std::uint64_t expected) {
    all.Set(status, name, LayerField(6, member), value, expected);
  };
  slice(Status::kWindow, "slice_without_stride", &LayerRecord::stride_h, 0, 1);
  slice(Status::kWindow, "slice_stride_1025", &LayerRecord::stride_w, 1025, 1024);
  slice(Status::kSliceOffset, "rows", &LayerRecord::offset_h, 65536, 65535);
  slice(Status::kSliceOffset, "columns", &LayerRecord::offset_w, 0xffff0000U, kMinus65535);
  slice(Status::kSliceOffset, "channels", &LayerRecord::offset_c, 0x80000000U, kMinus65535);
  slice(Status::kOutputShape, "slice_of_other_channels", &LayerRecord::output_channels, 6, 18);
  all.Set(Status::kSliceOffset, "convolution", LayerField(0, &LayerRecord::offset_h), 1, 0);
  all.Set(Status::kSliceOffset, "sum", LayerField(7, &LayerRecord::offset_c), 0xffffffffU, 0);
  all.Set(Status::kSliceOffset, "dense", LayerField(11, &LayerRecord::offset_w), 1, 0);
  all.Set(Status::kPoolQuantization, "slice_of_another_zero_point",
          TensorField(7, &TensorRecord::zero_point).InLayer(6), 18, 17);
  all.Set(Status::kPoolQuantization, "slice_of_another_scale",
          TensorField(7, &TensorRecord::scale).InLayer(6), Bits(0.08F), Bits(0.04F));
}

// The layers of TableOperatorsModel.
void AddTables(std::vector<InvalidFile>* files) {
  Collector all(format::Write(TableOperatorsModel().content), files);
  all.Set(Status::kOperandIndex, "maximum_of_one", LayerField(7, &LayerRecord::input2),
          format::kNoTensor, 7);
  all.Set(Status::kOperandIndex, "minimum_no_longer_alive", LayerField(9, &LayerRecord::input2), 7,
          TensorField(7, &TensorRecord::last_layer).InLayer(9), 9);
  all.Set(Status::kOperandIndex, "constant_of_no_tensor", LayerField(8, &LayerRecord::input),
          format::kNoTensor, 8);
  all.Set(Status::kReservedNotZero, "second_input_of_a_gather", LayerField(6, &LayerRecord::input2),
          2, 0xffff);
  all.Set(Status::kReservedNotZero, "second_input_of_a_constant",
          LayerField(8, &LayerRecord::input2), 8, 0xffff);
  all.Set(Status::kReservedNotZero, "lookup_flags", LayerField(4, &LayerRecord::flags), 9, 8);
  all.Set(Status::kReservedNotZero, "gather_by_channel", LayerField(6, &LayerRecord::flags), 8, 0);
  all.Set(Status::kSliceOffset, "gather", LayerField(6, &LayerRecord::offset_h), 1, 0);
  all.Set(Status::kPoolQuantization, "gather_of_another_zero_point",
          TensorField(7, &TensorRecord::zero_point).InLayer(6), 18, 17);
  all.Set(Status::kPoolQuantization, "gather_of_another_scale",
          TensorField(7, &TensorRecord::scale).InLayer(6), Bits(0.08F), Bits(0.04F));
  all.Set(Status::kOutputShape, "constant_of_other_channels",
          LayerField(8, &LayerRecord::output_channels), 17, 18);
  // Tensor 2 has five rows.
  for (const bool first : {true, false}) {
    TestModel model = TableOperatorsModel();
    model.content.layers[7].input = first ? 2 : 6;
    model.content.layers[7].input2 = first ? 6 : 2;
    Finish(&model.content, true);
    all.Add(Status::kOutputShape,
            first ? "maximum_of_another_first_operand" : "maximum_of_another_second_operand",
            format::Write(model.content), TensorField(2, &TensorRecord::height).InLayer(7), 2);
  }
}

// Layers before the first Bayesian one run once an image, the others in every pass.
void AddPrefixes(std::vector<InvalidFile>* files) {
  Collector collector({}, files);
  // Layer i writes tensor i + 1, which begins before `other` ends.
  const auto overlap = [&](const char* name, const TestModel& model, std::int32_t tensor,
                           std::size_t other) {
    collector.Add(Status::kTensorOverlap, name, format::Write(model.content),
                  TensorField(tensor, &TensorRecord::offset).InLayer(tensor - 1),
                  EndOf(model, other));
  };
  // Every pass reads the input again, though layer 0 is the last to do so.
  TestModel model = EveryOperatorModel();
  model.content.tensors[10].offset = model.content.tensors[0].offset;
  overlap("output_over_the_input_of_the_next_pass", model, 10, 0);
  // Layers 5 to 11 are the passes; layer 6 is the last to read tensor 2, which layer 1 writes.
  model = EveryOperatorModel(5);
  model.content.tensors[10].offset = model.content.tensors[2].offset;
  overlap("output_over_a_tensor_of_the_prefix", model, 10, 2);
  for (const std::uint16_t last : {std::uint16_t{5}, std::uint16_t{4}}) {
    model = EveryOperatorModel(5);
    model.content.tensors[2].last_layer = last;
    collector.Add(
        Status::kOperandIndex, last == 5 ? "prefix_read_too_late" : "prefix_no_longer_alive",
        format::Write(model.content), TensorField(2, &TensorRecord::last_layer).InLayer(6), 6);
  }
  // Tensor 6 lies where tensor 4 lies, which layer 5 adds. What makes that right is taken away.
  model = ReplacedResidualModel();
  model.content.tensors[4].last_layer = 6;
  overlap("output_over_a_residual_alive", model, 6, 4);
  model = ReplacedResidualModel();
  model.content.tensors[6].offset += 64;
  overlap("output_beside_its_residual", model, 6, 2);  // and over the end of tensor 4
  model = ReplacedResidualModel();
  model.content.tensors[6].row_stride += 1;
  overlap("output_of_another_stride_than_its_residual", model, 6, 4);
  model = ReplacedResidualModel();
  model.content.layers[5].input = 4;
  overlap("output_over_a_residual_that_is_the_input", model, 6, 4);
  model = ReplacedResidualModel();
  model.content.tensors[8].offset = model.content.tensors[6].offset;
  overlap("sum_over_its_operand", model, 8, 6);
  // Nothing is Bayesian: all but the last layer run once.
  model = EveryOperatorModel(12);
  model.content.tensors[11].offset = model.content.tensors[10].offset;
  overlap("deterministic", model, 11, 10);
}

}  // namespace

std::vector<InvalidFile> InvalidGraphs() {
  std::vector<InvalidFile> files;
  AddTensors(&files);
  AddGraphs(&files);
  AddLayers(&files);
  AddConvolutions(&files);
  AddDense(&files);
  AddPools(&files);
  AddSecondOperands(&files);
  AddSecondShapes(&files);
  AddSlices(&files);
  AddTables(&files);
  AddPrefixes(&files);
  return files;
}

}  // namespace mu8::testing
