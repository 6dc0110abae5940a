// Invalid files, part four: what a file says of its inputs and outputs beside the layers.
#include <limits>

#include "formats/noise.h"
#include "tests/formats/invalid_files.h"
#include "tests/support/model_builder.h"

namespace mu8::testing {
namespace {

using format::ModelRecord;
using format::Section;
using format::SectionId;
using format::SectionRecord;
using format::TensorRecord;

// The sections of a file but the last.
std::vector<std::byte> WithoutLast(const std::vector<std::byte>& file) {
  const Editor editor(file);
  std::vector<Section> sections;
  for (std::uint32_t id = 1; id <= 6; ++id) {
    const SectionRecord record = editor.Section(static_cast<SectionId>(id));
    const auto begin = file.begin() + static_cast<std::ptrdiff_t>(record.offset);
    sections.push_back(
        {id, record.flags, {begin, begin + static_cast<std::ptrdiff_t>(record.bytes)}});
  }
  return format::Assemble(sections, format::kHeadsMinor);
}

// An affine map for each of three channels instead of a table.
void AddNumbers(std::vector<InvalidFile>* files) {
  TestModel model = EveryOperatorModel();
  model.content.metadata.clear();
  Collector pixels(format::Write(TinyModel(2).content), files);
  for (const std::uint32_t input : {2U, 0xffffffffU}) {
    pixels.Set(Status::kUnknownInput, std::to_string(input), ModelField(&ModelRecord::input), input,
               1);
  }
  const Field bytes = TableField(SectionId::kInputTable, &SectionRecord::bytes);
  pixels.Set(Status::kSectionSize, "table_for_numbers", ModelField(&ModelRecord::input), 1, bytes,
             8);
  model.content.input_affine = {16, 128, 0.5F, -3, 1e30F, 0};
  Collector numbers(format::Write(model.content), files);
  numbers.Set(Status::kSectionSize, "affine_for_pixels", ModelField(&ModelRecord::input), 0, bytes,
              std::uint64_t{3} * 256);
  const auto set = [&](const char* name, std::size_t index, std::uint64_t value,
                       std::uint64_t expected) {
    const Field first{0, 4, SectionId::kInputTable};
    numbers.Set(Status::kInputAffine, name, first.Element(index), value, expected);
  };
  set("zero_gain", 0, 0, kLeastNormalBits);
  set("negative_gain", 2, Bits(-1.0F), kLeastNormalBits);
  set("subnormal_gain", 4, 0x007fffff, kLeastNormalBits);
  set("infinite_gain", 4, 0x7f800000, kMostNormalBits);
  set("nan_gain", 2, 0x7fc00000, kMostNormalBits);
  set("infinite_offset", 5, 0xff800000, 0xff7fffff);
  set("nan_offset", 1, 0x7fc00001, kMostNormalBits);
}

// The noise that values have.
void AddStoredNoise(std::vector<InvalidFile>* files) {
  TestModel model = TinyModel(2);
  model.content.head = format::Head::kValues;
  model.content.outputs.noise_variance = {1, 2, 3};
  Collector values(format::Write(model.content), files);
  const auto set = [&](const char* name, std::size_t index, float value, std::uint64_t expected) {
    const Field first{0, 4, SectionId::kOutputs};
    values.Set(Status::kOutputParameters, name, first.Element(index), Bits(value), expected);
  };
  set("no_noise", 0, 0, kLeastNormalBits);
  set("negative_noise", 2, -1, kLeastNormalBits);
  set("infinite_noise", 1, std::numeric_limits<float>::infinity(), kMostNormalBits);
  model.content.outputs.noise_variance.push_back(4);
  values.Add(Status::kSectionSize, "noise_of_four_outputs", format::Write(model.content),
             TableField(SectionId::kOutputs, &SectionRecord::bytes), 12);
}

// Section 8: low and high of each output.
void AddRanges(std::vector<InvalidFile>* files) {
  TestModel model = TinyModel(2);
  model.content.head = format::Head::kValues;
  model.content.outputs.noise_variance = {1, 2, 3};
  model.content.outputs.ranges = {{-1, 1}, {0, 2}, {3, 4}};
  Collector ranges(format::Write(model.content), files);
  const Field first{0, 4, SectionId::kRanges};
  constexpr auto kStatus = Status::kOutputParameters;
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const auto set = [&](const char* name, std::size_t index, float value, std::uint64_t expected,
                       std::optional<std::uint64_t> found = {}) {
    const Field field = first.Element(index);
    ranges.Set(kStatus, name, field, Bits(value), field, expected, found);
  };
  set("infinite_low_end", 0, -kInfinity, 0xff7fffff);
  set("nan_high_end", 5, std::numeric_limits<float>::quiet_NaN(), kMostNormalBits);
  set("range_of_no_width", 3, 0, kLeastNormalBits);
  set("range_of_subnormal_width", 3, 1e-40F, kLeastNormalBits);
  set("range_upside_down", 1, -2, kLeastNormalBits, Bits(-1.0F));
  model.content.outputs.ranges = {{-3e38F, 0}, {0, 2}, {3, 4}};
  Collector wide(format::Write(model.content), files);
  wide.Set(kStatus, "infinite_width", first.Element(1), Bits(3e38F), first.Element(1),
           kMostNormalBits, Bits(kInfinity));
  model.content.outputs.ranges = {{-1, 1}, {0, 2}};
  const Field bytes = TableField(SectionId::kRanges, &SectionRecord::bytes);
  ranges.Add(Status::kSectionSize, "ranges_of_two_outputs", format::Write(model.content), bytes,
             24);
  // A head that knows no such section refuses it, if it is required.
  model.content.head = format::Head::kSigmoid;
  Collector labels(format::Write(model.content), files);
  labels.Set(Status::kSectionUnknown, "ranges_of_labels", TableField(6, &SectionRecord::flags), 1,
             TableField(6, &SectionRecord::id), 7, 8);
}

// Section 9: u32 measure, u32 mc_samples, then thresholds.
void AddAbstain(std::vector<InvalidFile>* files) {
  // Section 9 is the seventh where there is no section 7 or 8, else the eighth.
  const auto seventh = static_cast<SectionId>(7), eighth = static_cast<SectionId>(8);
  const Field bytes = TableField(seventh, &SectionRecord::bytes);
  TestModel model = TinyModel(2);
  model.content.outputs.abstain = {1, 50};
  model.content.outputs.abstain_thresholds = {0.5F};
  Collector classes(format::Write(model.content), files);
  const auto set = [&](Collector& files_of, const char* name, std::size_t index,
                       std::uint64_t value, std::uint64_t expected, SectionId place) {
    const Field word{0, 4, place};
    files_of.Set(Status::kAbstain, name, word.Element(index), value, expected);
  };
  set(classes, "without_a_measure", 0, 0, 1, seventh);
  set(classes, "variance_of_classes", 0, 3, 2, seventh);
  set(classes, "unknown_measure", 0, 0xffffffff, 2, seventh);
  set(classes, "measured_with_too_many_passes", 1, 65537, 65536, seventh);
  set(classes, "negative_threshold", 2, Bits(-1.0F), 0, seventh);
  set(classes, "threshold_of_minus_zero", 2, 0x80000000, 0, seventh);
  set(classes, "infinite_threshold", 2, 0x7f800000, 0x7f7fffff, seventh);
  set(classes, "nan_threshold", 2, 0x7fc00000, 0x7f7fffff, seventh);
  model.content.outputs.abstain_thresholds = {0.5F, 0.5F};
  classes.Add(Status::kSectionSize, "two_thresholds_of_an_entropy", format::Write(model.content),
              bytes, 12);
  classes.Add(Status::kSectionSize, "no_threshold",
              classes.Edit().Set(bytes, 8).Set({8, 4, seventh}, 0).Repaired(), bytes, 12);

  model.content.head = format::Head::kValues;
  model.content.outputs.abstain = {3, 0};
  model.content.outputs.abstain_thresholds = {1, 2, 3};
  Collector values(format::Write(model.content), files);
  set(values, "entropy_of_values", 0, 2, 3, seventh);
  set(values, "noise_that_is_not_known", 0, 4, 3, seventh);
  set(values, "infinite_threshold_of_the_last", 4, 0x7f800001, 0x7f7fffff, seventh);
  model.content.outputs.abstain_thresholds = {1, 2};
  values.Add(Status::kSectionSize, "thresholds_of_two_outputs", format::Write(model.content), bytes,
             20);
  model = WithGaussian(TinyModel(2, true, 8, 4), format::ScaleForm::kLogVariance);
  model.content.outputs.abstain = {4, 9};
  model.content.outputs.abstain_thresholds = {1, 2};
  Collector gaussian(format::Write(model.content), files);
  set(gaussian, "error_of_a_gaussian", 0, 5, 4, eighth);
  model = DenseReconstructionModel();
  model.content.outputs.abstain = {5, 9};
  model.content.outputs.abstain_thresholds = {1};
  Collector reconstruction(format::Write(model.content), files);
  set(reconstruction, "noise_of_a_reconstruction", 0, 4, 3, eighth);
}

// Section 10, the seventh where there is none of 7 to 9: f32 step, f32 factor of each layer.
void AddMoments(std::vector<InvalidFile>* files) {
  const auto seventh = static_cast<SectionId>(7);
  TestModel model = TinyModel(2);
  model.content.outputs.moments = {{0.05F, 1.5F}, {1, 0.75F}};
  Collector moments(format::Write(model.content), files);
  const auto set = [&](const char* name, std::size_t index, std::uint64_t value, float expected) {
    const Field word{0, 4, seventh};
    moments.Set(Status::kMoments, name, word.Element(index), value, Bits(expected));
  };
  using format::kLeastMomentsFactor, format::kLeastMomentsStep;
  using format::kMostMomentsFactor, format::kMostMomentsStep;
  set("small_step", 0, Bits(kLeastMomentsStep) - 1, kLeastMomentsStep);
  set("large_step", 0, Bits(kMostMomentsStep) + 1, kMostMomentsStep);
  set("step_of_zero", 0, 0, kLeastMomentsStep);
  set("step_of_minus_zero", 0, 0x80000000, kLeastMomentsStep);
  set("negative_step", 0, Bits(-0.05F), kLeastMomentsStep);
  set("subnormal_step", 0, 0x007fffff, kLeastMomentsStep);
  set("infinite_step", 0, 0x7f800000, kMostMomentsStep);
  set("nan_step", 0, 0x7fc00000, kMostMomentsStep);
  set("nan_step_with_a_sign", 0, 0xffc00000, kLeastMomentsStep);
  set("small_step_of_the_logits", 2, Bits(kLeastMomentsStep) - 1, kLeastMomentsStep);
  set("small_factor", 1, Bits(kLeastMomentsFactor) - 1, kLeastMomentsFactor);
  set("large_factor", 1, Bits(kMostMomentsFactor) + 1, kMostMomentsFactor);
  set("factor_of_zero", 1, 0, kLeastMomentsFactor);
  set("negative_factor", 3, Bits(-1.0F), kLeastMomentsFactor);
  set("subnormal_factor", 1, 0x00000001, kLeastMomentsFactor);
  set("infinite_factor_of_the_logits", 3, 0x7f800000, kMostMomentsFactor);
  set("nan_factor", 1, 0x7fc00001, kMostMomentsFactor);
  const Field bytes = TableField(seventh, &SectionRecord::bytes);
  model.content.outputs.moments.pop_back();
  moments.Add(Status::kSectionSize, "moments_of_one_layer", format::Write(model.content), bytes,
              16);
  model.content.outputs.moments.resize(3);
  moments.Add(Status::kSectionSize, "moments_of_three_layers", format::Write(model.content), bytes,
              16);
}

// Scales of a gaussian head: u32 form, u32 zero, then low and high of two outputs.
void AddGaussian(std::vector<InvalidFile>* files) {
  const auto content = [](format::ScaleForm form) {
    return WithGaussian(TinyModel(2, true, 8, 4), form).content;
  };
  Collector logs(format::Write(content(format::ScaleForm::kLogVariance)), files);
  Collector softplus(format::Write(content(format::ScaleForm::kSoftplus)), files);
  const Field word{0, 4, SectionId::kOutputs};
  constexpr auto kStatus = Status::kOutputParameters;
  logs.Set(kStatus, "form", word, 2, 1);
  logs.Set(kStatus, "word_behind_the_form", word.Element(1), 1, 0);
  // `value` for low (2 + 2 k) or high (3 + 2 k); its bits are wrong, or those of what follows.
  const auto set = [&](Collector& files_of, const char* name, std::size_t index, float value,
                       std::uint64_t expected, std::optional<std::uint64_t> found = {}) {
    const Field field = word.Element(index);
    files_of.Set(kStatus, name, field, Bits(value), field, expected, found);
  };
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  set(logs, "infinite_low", 2, -kInfinity, 0xff7fffff);
  set(logs, "nan_high", 5, std::numeric_limits<float>::quiet_NaN(), kMostNormalBits);
  set(logs, "low_is_high", 3, -2.5F, Bits(-2.5F) - 1);
  set(logs, "high_is_zero", 3, -3.0F, Bits(-2.5F) - 1);
  const auto set_both = [&](const char* name, float value, std::uint64_t above) {
    logs.Add(
        kStatus, name,
        logs.Edit().Set(word.Element(2), Bits(value)).Set(word.Element(3), Bits(value)).Repaired(),
        word.Element(3), above);
  };
  set_both("low_and_high_are_zero", 0, 1);
  set_both("low_and_high_are_one", 1, Bits(1) + 1);
  set(logs, "least_variance_of_zero", 2, -88.0F, kLeastNormalBits, 0);
  set(logs, "infinite_variance", 3, 88.0F, kMostNormalBits, Bits(kInfinity));
  set(softplus, "least_variance_subnormal", 4, -44.0F, kLeastNormalBits,
      Bits(format::VarianceOf(format::ScaleForm::kSoftplus, -44.0F)));
  set(softplus, "infinite_variance_of_a_softplus", 5, 3e19F, kMostNormalBits, Bits(kInfinity));
  // e^(81 ln 2) apart; the valid side of the bound is in test_heads.cpp.
  logs.Add(
      kStatus, "variances_too_far_apart",
      logs.Edit().Set(word.Element(2), Bits(-50.0F)).Set(word.Element(3), Bits(6.5F)).Repaired(),
      word.Element(2), format::kMaxVarianceShift, 82);
  format::FileContent wrong = content(format::ScaleForm::kLogVariance);
  wrong.outputs.scale_bounds.pop_back();
  const Field bytes = TableField(SectionId::kOutputs, &SectionRecord::bytes);
  logs.Add(Status::kSectionSize, "bounds_of_one_output", format::Write(wrong), bytes, 24);
  logs.Add(Status::kHeadShape, "odd", format::Write(WithGaussian(TinyModel(2), {}).content),
           ModelField(&ModelRecord::class_count), 2);
  logs.Add(Status::kHeadShape, "one_output",
           format::Write(WithGaussian(TinyModel(2, true, 8, 1), {}).content),
           ModelField(&ModelRecord::class_count), 2);
  // No section: the file ends with the section before.
  logs.Add(Status::kSectionMissing, "no_outputs", WithoutLast(logs.valid()),
           TableField(6, &SectionRecord::id), 7, 0);
  // A head that knows no such section refuses it, if it is required.
  logs.Set(Status::kSectionUnknown, "outputs_of_a_softmax", ModelField(&ModelRecord::head), 0,
           TableField(SectionId::kOutputs, &SectionRecord::id), 6);
}

// Section 7 of a reconstruction: f32 unit, u32 zero, then gain and offset of each input channel.
void AddReconstructions(std::vector<InvalidFile>* files) {
  Collector dense(format::Write(DenseReconstructionModel().content), files);
  const Field word{0, 4, SectionId::kOutputs};
  const auto set = [&](const char* name, std::size_t index, std::uint64_t value,
                       std::uint64_t expected) {
    dense.Set(Status::kOutputParameters, name, word.Element(index), value, expected);
  };
  set("unit_of_zero", 0, 0, kLeastNormalBits);
  set("negative_unit", 0, Bits(-2.0F), kLeastNormalBits);
  set("unit_of_three", 0, Bits(3.0F), Bits(2.0F));
  set("infinite_unit", 0, 0x7f800000, 0x7f000000);
  set("word_behind_the_unit", 1, 2, 0);
  set("target_without_gain", 4, 0, kLeastNormalBits);
  set("infinite_offset_of_a_target", 3, 0x7f800000, kMostNormalBits);
  const Field bytes = TableField(SectionId::kOutputs, &SectionRecord::bytes);
  TestModel model = DenseReconstructionModel();
  model.content.outputs.targets.pop_back();
  dense.Add(Status::kSectionSize, "targets_of_one_channel", format::Write(model.content), bytes,
            24);
  dense.Add(Status::kSectionMissing, "no_targets", WithoutLast(dense.valid()),
            TableField(6, &SectionRecord::id), 7, 0);
  const auto shape = [&](const char* name, const TestModel& wrong, const Field& field,
                         std::uint64_t expected) {
    dense.Add(Status::kHeadShape, name, format::Write(wrong.content), field, expected);
  };
  shape("reconstruction_of_35", WithReconstruction(TinyModel(2, true, 8, 35)),
        ModelField(&ModelRecord::class_count), 36);
  shape("reconstruction_of_other_channels", WithReconstruction(TinyModel(2)),
        ModelField(&ModelRecord::class_count), 36);
  shape("reconstruction_of_other_rows", WithReconstruction(DenseOutputModel(2)),
        ModelField(&ModelRecord::output_height), 6);
  model = DenseReconstructionModel();
  model.content.output_width = 4;
  shape("reconstruction_of_other_columns", model, ModelField(&ModelRecord::output_width), 5);
  model = DenseOutputModel(3);
  model.content.layers[1].stride_w = 1;
  model.content.output_height = 6;
  model.content.output_width = 5;
  shape("reconstruction_of_three_channels", WithReconstruction(model),
        ModelField(&ModelRecord::class_count), 2);
}

// Several positions of the output: 5 x 3.
void AddOutputShapes(std::vector<InvalidFile>* files) {
  Collector dense(format::Write(DenseOutputModel(3).content), files);
  Collector tiny(format::Write(TinyModel(2).content), files);
  const Field height = ModelField(&ModelRecord::output_height);
  const Field width = ModelField(&ModelRecord::output_width);
  dense.Set(Status::kClassCount, "no_height", height, 0, 1);
  dense.Set(Status::kClassCount, "no_width", width, 0, 1);
  dense.Set(Status::kClassCount, "height_of_65536", height, 65536, 65535);
  dense.Set(Status::kClassCount, "width_of_four_billion", width, 0xffffffff, 65535);
  dense.Add(Status::kClassCount, "one_position",
            dense.Edit().Set(height, 1).Set(width, 1).Repaired(), height, 2);
  // Rows 0 to 7 of 8, where there are 6 with one of padding on each side.
  dense.Set(Status::kWindow, "rows_of_the_output_beyond_the_input", height, 7,
            TensorField(1, &TensorRecord::pad_bottom).InLayer(1), 2);
  dense.Set(Status::kWindow, "columns_of_the_output_beyond_the_input", width, 4,
            TensorField(1, &TensorRecord::pad_right).InLayer(1), 3);
  tiny.Add(Status::kOutputShape, "dense_layer_of_two_rows",
           tiny.Edit().Set(height, 2).Set(width, 1).Repaired(), height.InLayer(1), 1);
  tiny.Add(Status::kOutputShape, "dense_layer_of_two_columns",
           tiny.Edit().Set(height, 1).Set(width, 2).Repaired(), width.InLayer(1), 1);
  // Fewer positions than there could be are allowed, but need another arena.
  const Field arena = ModelField(&ModelRecord::arena_bytes);
  format::FileContent fewer = DenseOutputModel(3).content;
  fewer.output_height = 2;
  dense.Set(Status::kArenaBytes, "of_more_positions", height, 2, arena,
            Editor(format::Write(fewer)).Value(arena));
}

// A convolution 1 x 1 of strides 1 over one pixel and its padding: 65535 x 4097 positions.
void AddTooManyOutputs(std::vector<InvalidFile>* files) {
  TestModel model = DenseOutputModel(1, 0);
  format::FileContent& content = model.content;
  content.tensors = {MakeTensor(1, 1, 1, 1, 0), MakeTensor(1, 1, 1, 1, 0)};
  content.tensors[1].pad_bottom = 16383;
  content.tensors[1].pad_right = 16384;
  content.layers = {MakeLayer(format::OpCode::kLookup, 0, 1),
                    MakeLayer(format::OpCode::kConv2d, 1, 1)};
  SetRuns(content.tensors[1], &content.layers[1]);
  content.parameters[0].assign(format::kLookupBytes, 0);
  Random random(10);
  content.parameters[1] = Pack(content.layers[1], RandomWeights(content.layers[1], 1, 0, &random));
  content.input_table.resize(256);
  content.output_height = 16384;
  content.output_width = 16385;
  Finish(&content, false);
  Collector large({}, files);
  large.Add(Status::kClassCount, "too_many_outputs", format::Write(content),
            ModelField(&ModelRecord::output_height), format::kMaxOutputs,
            std::uint64_t{16384} * 16385);
}

}  // namespace

std::vector<InvalidFile> InvalidOutputs() {
  std::vector<InvalidFile> files;
  AddNumbers(&files);
  AddStoredNoise(&files);
  AddRanges(&files);
  AddAbstain(&files);
  AddMoments(&files);
  AddGaussian(&files);
  AddReconstructions(&files);
  AddOutputShapes(&files);
  AddTooManyOutputs(&files);
  return files;
}

}  // namespace mu8::testing
