// The integers that graphs compute from shapes. Expected values are numpy's for the same calls.
#include <doctest/doctest.h>

#include <limits>
#include <string>
#include <vector>

#include "converters/onnx/integer_tensor.h"

namespace mu8::convert {
namespace {

using Integers = std::vector<std::int64_t>;
constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();

// 0 1 2 / 3 4 5
IntegerTensor Matrix() { return {.dims = {2, 3}, .values = {0, 1, 2, 3, 4, 5}}; }

template <class Call>
std::string Problem(Call call) {
  try {
    call();
  } catch (const NodeProblem& problem) {
    return problem.message;
  }
  return "none";
}

TEST_CASE("integers: gathered along an axis, by a number or by a list") {
  const IntegerTensor row = GatherIntegers(Matrix(), IntegerScalar(-1), 0);
  CHECK(row.dims == Integers{3});
  CHECK(row.values == Integers{3, 4, 5});
  const IntegerTensor columns = GatherIntegers(Matrix(), IntegerRow({2, 0}), 1);
  CHECK(columns.dims == Integers{2, 2});
  CHECK(columns.values == Integers{2, 0, 5, 3});
  CHECK(Problem([] { GatherIntegers(Matrix(), IntegerScalar(2), 0); }) ==
        "index 2 is outside a shape of 2 dimensions");
  CHECK(Problem([] { GatherIntegers(Matrix(), IntegerScalar(0), 2); }) ==
        "axis 2 does not exist in a tensor of rank 2");
  CHECK(Problem([] { GatherIntegers(IntegerScalar(1), IntegerScalar(0), 0); }) ==
        "axis 0 does not exist in a tensor of rank 0");
}

TEST_CASE("integers: joined, transposed, reshaped") {
  const IntegerTensor joined = ConcatIntegers({Matrix(), {.dims = {2, 1}, .values = {8, 9}}}, -1);
  CHECK(joined.dims == Integers{2, 4});
  CHECK(joined.values == Integers{0, 1, 2, 8, 3, 4, 5, 9});
  CHECK(ConcatIntegers({IntegerRow({}), IntegerRow({7})}, 0).values == Integers{7});
  CHECK(Problem([] {
          ConcatIntegers({Matrix(), IntegerRow({1})}, 0);
        }) == "its inputs have dimensions that do not fit together");
  CHECK(Problem([] { ConcatIntegers({}, 0); }) == "has no inputs");

  const IntegerTensor turned = TransposeIntegers(Matrix(), {});
  CHECK(turned.dims == Integers{3, 2});
  CHECK(turned.values == Integers{0, 3, 1, 4, 2, 5});
  CHECK(TransposeIntegers(Matrix(), {0, 1}).values == Matrix().values);
  for (const Integers& order : {Integers{0}, Integers{0, 0}, Integers{0, 2}, Integers{-1, 0}}) {
    CHECK(Problem([&] { TransposeIntegers(Matrix(), order); }) == "perm is no order of 2 axes");
  }

  CHECK(ReshapeIntegers(Matrix(), {0, -1}).dims == Integers{2, 3});
  CHECK(ReshapeIntegers(Matrix(), {3, -1, 1}).dims == Integers{3, 2, 1});
  CHECK(ReshapeIntegers(IntegerRow({4}), {}).dims.empty());
  CHECK(Problem([] {
          ReshapeIntegers(Matrix(), {-1, -1});
        }) == "-1 is given twice in its target shape");
  for (const Integers& target : {Integers{4}, Integers{4, -1}, Integers{}, Integers{4, 0}}) {
    CHECK(Problem([&] { ReshapeIntegers(Matrix(), target); }) != "none");
  }

  CHECK(UnsqueezeIntegers(Matrix(), {-1, 0}).dims == Integers{1, 2, 3, 1});
  CHECK(Problem([] { UnsqueezeIntegers(Matrix(), {0, -4}); }) == "an axis is given twice");
  const IntegerTensor ones{.dims = {1, 2, 1}, .values = {6, 7}};
  const Integers first = {0}, second = {1};
  CHECK(SqueezeIntegers(ones, nullptr).dims == Integers{2});
  CHECK(SqueezeIntegers(ones, &first).dims == Integers{2, 1});
  CHECK(Problem([&] { SqueezeIntegers(ones, &second); }) == "axis 1 has 2 elements, expected 1");
}

TEST_CASE("integers: slices with either sign of step, and any ends") {
  const auto slice = [](std::int64_t start, std::int64_t end, std::int64_t step) {
    return SliceIntegers(IntegerRow({0, 1, 2, 3, 4}), 0, start, end, step).values;
  };
  CHECK(slice(1, 4, 1) == Integers{1, 2, 3});
  CHECK(slice(-2, kMost, 1) == Integers{3, 4});
  CHECK(slice(-kMost, kMost, 2) == Integers{0, 2, 4});
  CHECK(slice(-1, -kMost, -1) == Integers{4, 3, 2, 1, 0});
  CHECK(slice(kMost, 0, -2) == Integers{4, 2});
  CHECK(slice(3, -1, kMost) == Integers{3});
  CHECK(slice(3, -kMost, -kMost) == Integers{3});
  CHECK(slice(2, 2, 1).empty());
  CHECK(slice(4, 1, 1).empty());
  CHECK(slice(1, 4, -1).empty());
  CHECK(SliceIntegers(IntegerRow({}), 0, -1, -kMost, -1).values.empty());
  CHECK(SliceIntegers(Matrix(), 1, 2, -kMost, -2).values == Integers{2, 0, 5, 3});
  CHECK(Problem([&] { slice(0, 1, 0); }) == "a step is 0");
}

TEST_CASE("integers: arithmetic as ONNX defines it") {
  const auto of = [](const char* op, std::int64_t a, std::int64_t b) {
    return FindIntegerFunction(op)(a, b);
  };
  CHECK(of("Add", 3, -5) == -2);
  CHECK(of("Sub", 3, -5) == 8);
  CHECK(of("Mul", 3, -5) == -15);
  CHECK(of("Div", -7, 2) == -3);  // truncated
  CHECK(of("Mod", -7, 2) == 1);   // the divisor's sign
  CHECK(of("Mod", 7, -2) == -1);
  CHECK(of("Min", 3, -5) == -5);
  CHECK(of("Max", 3, -5) == 3);
  CHECK(of("Equal", 4, 4) == 1);
  CHECK(of("Less", 4, 4) == 0);
  CHECK(of("LessOrEqual", 4, 4) == 1);
  CHECK(of("Greater", 5, 4) == 1);
  CHECK(of("GreaterOrEqual", 3, 4) == 0);
  CHECK(of("And", 2, 0) == 0);
  CHECK(of("Or", 2, 0) == 1);
  CHECK((FindIntegerFunction("Pow") == nullptr));
  for (const char* op : {"Div", "Mod"}) {
    CHECK(Problem([&] { of(op, 1, 0); }) == "it divides by zero");
  }
  CHECK(Problem([&] { of("Add", kMost, 1); }) == "its numbers exceed 64 bits");
  CHECK(Problem([&] { of("Sub", -kMost, 1); }) == "its numbers exceed 64 bits");
  CHECK(Problem([&] { of("Mul", kMost, 2); }) == "its numbers exceed 64 bits");
}

TEST_CASE("integers: what follows from the number of images is never guessed") {
  const auto of = [](const char* op, std::int64_t a, std::int64_t b) {
    return FindIntegerFunction(op)(a, b);
  };
  CHECK(of("Mul", kBatchSize, 1) == kBatchSize);
  CHECK(of("Mul", 1, kBatchSize) == kBatchSize);
  CHECK(of("Div", kBatchSize, 1) == kBatchSize);
  CHECK(of("Add", 0, kBatchSize) == kBatchSize);
  CHECK(of("Sub", kBatchSize, 0) == kBatchSize);
  CHECK(of("Max", kBatchSize, 1) == kBatchSize);
  CHECK(of("Min", kBatchSize, 1) == 1);
  // There is at least one image: it is not -1, as exports of expand() ask.
  CHECK(of("Equal", kBatchSize, -1) == 0);
  CHECK(of("Equal", 0, kBatchSize) == 0);
  CHECK(of("Equal", kBatchSize, kBatchSize) == 1);
  CHECK(of("Less", 0, kBatchSize) == 1);
  int refused = 0;
  for (const char* op : {"Add", "Sub", "Mul", "Div", "Mod", "Min", "Max", "Equal", "Less",
                         "Greater", "LessOrEqual", "GreaterOrEqual"}) {
    CAPTURE(op);
    CHECK(Problem([&] { of(op, kBatchSize, 2); }).find("number of images") != std::string::npos);
    CHECK(Problem([&] { of(op, 2, kBatchSize); }).find("number of images") != std::string::npos);
    ++refused;
  }
  CHECK(refused == 12);
}

TEST_CASE("integers: no tensor grows beyond a bound") {
  const auto zero = [](const Integers&) { return std::int64_t{0}; };
  CHECK(MakeIntegers({kMostIntegers}, zero).values.size() == 128);
  CHECK(MakeIntegers({0, kMostIntegers}, zero).values.empty());
  CHECK(MakeIntegers({}, zero).values.size() == 1);
  for (const Integers& dims :
       {Integers{kMostIntegers + 1}, Integers{13, 10}, Integers{kMost, kMost}, Integers{-1},
        Integers{0, -1}, Integers{0, kMost}}) {
    CHECK(Problem([&] { MakeIntegers(dims, zero); }) != "none");
  }
  CHECK(Problem([&] { MakeIntegers(Integers(kMostRank + 1, 1), zero); }) != "none");
  const IntegerTensor half = MakeIntegers({65}, zero);
  CHECK(Problem([&] { ConcatIntegers({half, half}, 0); }) != "none");
  CHECK(BroadcastDims({3}, {2, 1}) == Integers{2, 3});
  CHECK(BroadcastDims({}, {0}) == Integers{0});
  CHECK(Problem([] { BroadcastDims({2}, {3}); }) == "lists of 2 and 3 numbers do not fit together");
}

}  // namespace
}  // namespace mu8::convert
