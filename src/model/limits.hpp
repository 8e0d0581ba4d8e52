// SPDX-License-Identifier: BSD-3-Clause
// What the engine cannot run though its formula is defined: refused when a file is read, so that
// what is valid runs.
#pragma once

#include "model/model_spec.hpp"

#include <cstdint>

namespace eqnn {

/// Layers of a readout: kernels keep them in an array of this length.
inline constexpr std::int32_t kMostReadoutLayers = 8;

/// Parts of a cutoff of which an XPLOR envelope begins at one: it must begin where an interval of
/// the table of its radial function does.
inline constexpr std::int32_t kMostXplorParts = 1000;

/// Throws Error, with the JSON path of the first stage that is beyond a limit.
void check_limits(const ModelSpec& spec);

} // namespace eqnn
