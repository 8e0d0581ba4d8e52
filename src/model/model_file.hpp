// SPDX-License-Identifier: BSD-3-Clause
// Reads and writes .eqnn files (docs/spec/model_file.md). Nothing outside src/model sees JSON.
#pragma once

#include "model/model_spec.hpp"
#include "model/safetensors.hpp"

#include <string>

namespace eqnn {

/// Reads and validates a file. Throws Error if anything is invalid. The message names the file, the
/// JSON path and the fix.
ModelSpec read_model(const std::string& path);

/// The same for bytes in memory. Error messages call them `name`.
ModelSpec parse_model(const std::string& bytes, const std::string& name);

/// SHA-256 of the whole content of a file, as defined in docs/spec/model_file.md. @pre metadata has
/// the key "eqnn"
std::string model_hash(const Safetensors& content);

/// Like parse_model(), but does not check the hash. For tools that make or fuzz files. @pre
/// metadata has the key "eqnn"
ModelSpec interpret_model(const Safetensors& content, const std::string& name);

} // namespace eqnn
