// SPDX-License-Identifier: BSD-3-Clause
// Model files taken apart, changed, and put together again: for tests of the reader.
#pragma once

#include "model/model_file.hpp"

#include <nlohmann/json.hpp>

#include <cstring>
#include <functional>
#include <map>
#include <string>

namespace eqnn::test {

struct ModelParts {
  nlohmann::json document;
  std::map<std::string, StoredTensor> tensors;
};

inline ModelParts take_apart(const std::string& bytes) {
  const Safetensors content = parse_safetensors(bytes, "golden");
  return {nlohmann::json::parse(content.metadata.at("eqnn")), content.tensors};
}

/// A container of these parts, whatever they are.
inline std::string container(const std::map<std::string, std::string>& metadata,
                             const std::map<std::string, StoredTensor>& tensors) {
  nlohmann::json header;
  header["__metadata__"] = metadata;
  std::string data;
  for (const auto& [name, stored] : tensors) {
    header[name] = {{"dtype", stored.dtype},
                    {"shape", stored.tensor.shape},
                    {"data_offsets", {data.size(), data.size() + stored.bytes.size()}}};
    data += stored.bytes;
  }
  const std::string text = header.dump();
  std::string out(8, '\0');
  const std::uint64_t n = text.size();
  std::memcpy(out.data(), &n, 8);
  return out + text + data;
}

/// The same as a model file with the right hash.
inline std::string put_together(const ModelParts& parts) {
  Safetensors content;
  content.metadata["eqnn"] = parts.document.dump();
  content.tensors = parts.tensors;
  return container({{"eqnn", content.metadata["eqnn"]}, {"eqnn_sha256", model_hash(content)}},
                   parts.tensors);
}

inline StoredTensor stored_double(std::vector<std::int64_t> shape,
                                  const std::vector<double>& values) {
  StoredTensor stored{
      "F64", {std::move(shape), values}, std::string(values.size() * sizeof(double), '\0')};
  if (!values.empty()) {
    std::memcpy(stored.bytes.data(), values.data(), stored.bytes.size());
  }
  return stored;
}

} // namespace eqnn::test
