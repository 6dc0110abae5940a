// What a session keeps for its calls beside options and model. mu8.h knows its size alone.
#pragma once

#include "engine/src/layer_work.h"
#include "engine/src/workspace.h"

namespace mu8 {

struct SessionWork {
  Workspace space;
  LayerWork layer;
};

}  // namespace mu8
