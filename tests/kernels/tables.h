// The kernel tables that this processor can run. Tests go through all of them and check that the
// one asked for by name is the one they call.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include "kernels/kernel_table.h"

namespace mu8::testing {

inline std::vector<const kernels::KernelTable*> RunnableTables() {
  const std::uint32_t features = kernels::DetectFeatures();
  std::vector<const kernels::KernelTable*> tables;
  for (std::size_t i = 0; i < kernels::TableCount(); ++i) {
    const kernels::KernelTable& table = kernels::TableAt(i);
    if ((table.required & ~features) != 0) {
      MESSAGE("not run, this processor lacks it: " << std::string(table.name));
      continue;
    }
    REQUIRE(kernels::FindKernels(table.name, features) == &table);
    tables.push_back(&table);
  }
  REQUIRE(!tables.empty());
  REQUIRE(std::string_view(tables[0]->name) == "scalar");
  return tables;
}

}  // namespace mu8::testing
