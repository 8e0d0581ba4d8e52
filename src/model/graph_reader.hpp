// SPDX-License-Identifier: BSD-3-Clause
// The graph of a model file: stages, their inputs and weights. Private to src/model.
#pragma once

#include "model/json_reader.hpp"
#include "model/model_spec.hpp"
#include "model/safetensors.hpp"

#include <map>
#include <string>

namespace eqnn {

/// Fills spec.graph and spec.n_parameters; the header of spec is there. Throws Error for whatever is
/// wrong, and for tensors that no stage uses.
void read_graph(const JsonReader& graph,
                const std::map<std::string, StoredTensor>& tensors,
                ModelSpec& spec);

} // namespace eqnn
