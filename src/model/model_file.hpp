// SPDX-License-Identifier: BSD-3-Clause
// Reads and writes .eqnn files (docs/spec/model_file.md). Nothing outside src/model sees JSON.
#pragma once

#include "model/model_spec.hpp"
#include "model/safetensors.hpp"

#include <string>

namespace eqnn {

/// Reads and validates a file. Throws Error with the file's name, the JSON path and the cure if
/// anything is invalid.
ModelSpec read_model(const std::string& path);

/// The same from memory; messages call it `name`.
ModelSpec parse_model(const std::string& bytes, const std::string& name);

/// SHA-256 of everything that a file says, as docs/spec/model_file.md defines it. @pre metadata has
/// the key "eqnn"
std::string model_hash(const Safetensors& content);

/// Everything of parse_model but the hash: for tools that make or fuzz files. @pre metadata has the
/// key "eqnn"
ModelSpec interpret_model(const Safetensors& content, const std::string& name);

} // namespace eqnn
