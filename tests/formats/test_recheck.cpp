// What formats/recheck.h finds at the time of use, call by call. What a whole run makes of it is in
// tests/engine/test_changed_model.cpp.
#include <doctest/doctest.h>

#include "formats/recheck.h"
#include "formats/stream.h"
#include "tests/formats/invalid_files.h"
#include "tests/support/model_builder.h"

namespace mu8::testing {
namespace {

using format::LayerRecord;
using format::TensorRecord;

// A view of bytes that change behind it.
struct Changing {
  explicit Changing(const TestModel& model) : file(model.File()) {
    REQUIRE(format::Open(file.span(), &view) == Status::kOk);
  }
  TensorRecord Tensor(std::uint32_t index) const { return view.tensor(index); }
  void Set(std::uint32_t index, const TensorRecord& tensor) {
    std::memcpy(file.data() + view.tensor_offset(index), &tensor, sizeof(tensor));
  }

  AlignedBytes file;
  format::View view;
};

TEST_CASE("recheck: an input tensor of another shape or place is refused by its own name") {
  const auto refused = [](const auto& change, std::size_t field) {
    Changing changing(TinyModel(4));
    TensorRecord input;
    Diagnostic diagnostic;
    REQUIRE(format::LoadInputTensor(changing.view, &input, &diagnostic));
    CHECK(input.height == 6);
    TensorRecord tensor = changing.Tensor(0);
    change(&tensor);
    changing.Set(0, tensor);
    CHECK_FALSE(format::LoadInputTensor(changing.view, &input, nullptr));
    CHECK_FALSE(format::LoadInputTensor(changing.view, &input, &diagnostic));
    CHECK(diagnostic.status == Status::kModelChanged);
    CHECK(diagnostic.tensor == 0);
    CHECK(diagnostic.layer == -1);
    CHECK(diagnostic.offset == changing.view.tensor_offset(0) + field);
  };
  const std::size_t shape = offsetof(TensorRecord, height);
  // Whole tensors, that fit their own bytes.
  refused(
      [](TensorRecord* t) {
        --t->height;
        t->bytes = static_cast<std::uint32_t>(format::TensorBytes(*t));
      },
      shape);
  refused([](TensorRecord* t) { --t->width; }, shape);
  refused(
      [](TensorRecord* t) {
        t->channels = 2;
        t->row_stride *= 2;
        t->bytes = static_cast<std::uint32_t>(format::TensorBytes(*t));
        t->offset = 0;
      },
      shape);
  refused([](TensorRecord* t) { t->offset += 1; }, offsetof(TensorRecord, offset));
  refused([](TensorRecord* t) { t->bytes += 64; }, offsetof(TensorRecord, bytes));
}

// Of a streamed file: room for what a layer stages was made when the session was.
TEST_CASE("recheck: a layer that stages more than there is room for is refused") {
  Changing changing(TinyModel(4));
  changing.view.read = [](void*, std::uint64_t, void*, std::size_t) { return true; };
  LayerRecord layer;
  format::Operands operands;
  const std::uint32_t needed = format::StagingBytes(changing.view.layer(0));
  REQUIRE(needed > 0);
  changing.view.staging_bytes = needed;
  CHECK(format::LoadLayer(changing.view, 0, &layer, &operands, nullptr));
  changing.view.staging_bytes = needed - 1;
  Diagnostic diagnostic;
  CHECK_FALSE(format::LoadLayer(changing.view, 0, &layer, &operands, &diagnostic));
  CHECK(diagnostic.status == Status::kModelChanged);
  CHECK(diagnostic.layer == 0);
  CHECK(diagnostic.found == needed);
  CHECK(diagnostic.expected == needed - 1);
}

// Memory was once sized by one look at it, and used by another
// (tests/engine/threads/test_writer.cpp has the whole run, with luck).
TEST_CASE("recheck: the first layer of a pass stays what Open has found") {
  Changing changing(EveryOperatorModel());
  const std::uint32_t first = changing.view.first_pass_layer();
  REQUIRE(changing.view.FindFirstPassLayer() == first);
  for (std::uint32_t i = 0; i < changing.view.layer_count(); ++i) {
    const std::uint64_t at = changing.view.layer_offset(i) + offsetof(LayerRecord, flags);
    changing.file.data()[at] ^= std::byte{format::kLayerBayesian};
  }
  CHECK(changing.view.FindFirstPassLayer() != first);
  CHECK(changing.view.first_pass_layer() == first);
}

TEST_CASE("reader: a view that is opened again keeps nothing of the file before") {
  TestModel numbers = WithGaussian(TinyModel(2, true, 8, 4), format::ScaleForm::kLogVariance);
  numbers.content.outputs.ranges = {{0, 1}, {0, 2}};
  Changing before(numbers);
  REQUIRE(before.view.has_ranges());
  before.view.read = [](void*, std::uint64_t, void*, std::size_t) { return true; };  // as streamed
  before.view.skipped_bytes = 64;
  const AlignedBytes file = TinyModel(4).File();
  format::Reopen(file.span(), &before.view);
  CHECK_FALSE(before.view.has_ranges());
  CHECK(before.view.outputs.offset == 0);
  CHECK_FALSE(before.view.is_streamed());
  CHECK(before.view.skipped_bytes == 0);
  CHECK(before.view.tensor(0).height == 6);
}

}  // namespace
}  // namespace mu8::testing
