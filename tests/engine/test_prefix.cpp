// Layers before the first Bayesian one run once an image, the others in every pass: counted through
// a kernel table that counts its calls.
#include <doctest/doctest.h>

#include "tests/support/one_pass.h"

namespace mu8::testing {
namespace {

int calls = 0;

template <auto kMember>
struct Counted;
// Wraps one kernel of the scalar table.
template <typename Args, void (*kernels::KernelTable::*kMember)(const Args&)>
struct Counted<kMember> {
  static void Run(const Args& args) {
    ++calls;
    (kernels::TableAt(0).*kMember)(args);
  }
};

// Every kernel but sample_panel, which runs in Bayesian layers only.
kernels::KernelTable CountingTable() {
  using Table = kernels::KernelTable;
  Table table = kernels::TableAt(0);
  table.convolve = Counted<&Table::convolve>::Run;
  table.convolve_depthwise = Counted<&Table::convolve_depthwise>::Run;
  table.max_pool = Counted<&Table::max_pool>::Run;
  table.average_pool = Counted<&Table::average_pool>::Run;
  table.add = Counted<&Table::add>::Run;
  table.multiply = Counted<&Table::multiply>::Run;
  table.lookup = Counted<&Table::lookup>::Run;
  return table;
}

struct Counts {
  int once, pass;
};

Counts Count(const TestModel& model) {
  const kernels::KernelTable table = CountingTable();
  OnePass pass(model, table);
  Counts counts{};
  calls = 0;
  RunOnce(&pass.context);
  counts.once = calls;
  for (int round = 0; round < 2; ++round) {
    calls = 0;
    RunPass(&pass.context);
    if (round == 1) CHECK(counts.pass == calls);
    counts.pass = calls;
  }
  return counts;
}

TEST_CASE("prefix: layers before the first Bayesian one run once") {
  // Calls by layer: 1 (6 channels), 1, 2 (two groups), 1, 1 | 2 (18 channels), 0 (the slice), 1, 1,
  // 1, 4 (two rows of two inputs), 1.
  const Counts prefix = Count(EveryOperatorModel(5));
  CHECK(prefix.once == 6);
  CHECK(prefix.pass == 10);
  const Counts all = Count(EveryOperatorModel());
  CHECK(all.once == 0);
  CHECK(all.pass == 16);
  // Without noise only the logits are computed again.
  const Counts deterministic = Count(EveryOperatorModel(12));
  CHECK(deterministic.once == 15);
  CHECK(deterministic.pass == 1);
}

}  // namespace
}  // namespace mu8::testing
