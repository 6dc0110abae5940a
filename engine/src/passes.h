// The passes of one call: dealt to workers, added up in exact integers, ended early where asked.
#pragma once

#include <cstdint>

#include "engine/src/workspace.h"
#include "formats/reader.h"
#include "kernels/kernel_table.h"
#include "mu8/options.h"

namespace mu8 {

// Images lie in the activations of pass group 0; afterwards its sums hold every pass, and images of
// sessions that end early have their Progress. Returns how many tasks of a round
// options.parallel_for has left undone: 0, or the results are none.
std::uint32_t RunPasses(const format::View& view, const kernels::KernelTable& kernels,
                        const SessionOptions& options, const Workspace& space,
                        std::uint32_t images);

}  // namespace mu8
