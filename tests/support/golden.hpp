// SPDX-License-Identifier: BSD-3-Clause
// Numbers that upstream code made (tests/golden/README.md says which, where and how).
#pragma once

#include "base/edge_list.hpp"
#include "base/error.hpp"
#include "model/safetensors.hpp"
#include "reference/value.hpp"
#include "support/test_data.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

namespace eqnn::test {

class Golden {
public:
  /// `name` is relative to tests/golden.
  explicit Golden(const std::string& name)
      : content_(parse_safetensors(read_file(golden_folder() + name), name)) {}

  bool has(const std::string& key) const { return content_.tensors.count(key) != 0; }

  const Tensor& operator[](const std::string& key) const {
    const auto found = content_.tensors.find(key);
    if (found == content_.tensors.end()) {
      fail("golden file: no tensor ", key);
    }
    return found->second.tensor;
  }

  /// A tensor with its leading and trailing extents of 1 dropped to `shape`.
  Tensor reshaped(const std::string& key, std::vector<std::int64_t> shape) const {
    Tensor tensor = (*this)[key];
    std::int64_t n = 1;
    for (const std::int64_t extent : shape) {
      n *= extent;
    }
    if (n != tensor.size()) {
      fail("golden file: ", key, " has ", tensor.size(), " values, expected ", n);
    }
    tensor.shape = std::move(shape);
    return tensor;
  }

  /// [rows, components, channels]
  reference::Value
  value(const std::string& key, std::int32_t components, std::int32_t channels) const {
    const Tensor& tensor = (*this)[key];
    reference::Value value(tensor.size() / (components * channels), components, channels);
    value.data = tensor.values;
    return value;
  }

  /// Edges sorted by their center (upstream's edge_dst); order[e] is the golden's number of our
  /// edge e.
  EdgeList edges(std::int32_t n_nodes, std::vector<std::size_t>& order) const {
    const auto& center = (*this)["edge_dst"].values;
    const auto& source = (*this)["edge_src"].values;
    EdgeList edges;
    edges.n_centers = edges.n_nodes = n_nodes;
    edges.species.assign(static_cast<std::size_t>(n_nodes), 0);
    order.clear();
    edges.begin.push_back(0);
    for (std::int32_t i = 0; i < n_nodes; ++i) {
      for (std::size_t e = 0; e < center.size(); ++e) {
        if (static_cast<std::int32_t>(center[e]) == i) {
          order.push_back(e);
          edges.source.push_back(static_cast<std::int32_t>(source[e]));
          for (std::size_t a = 0; a < 3; ++a) {
            edges.vector.push_back((*this)["edge_vec"].values[3 * e + a]);
          }
        }
      }
      edges.begin.push_back(edges.n_edges());
    }
    return edges;
  }

  const std::map<std::string, std::string>& metadata() const { return content_.metadata; }

private:
  Safetensors content_;
};

/// Rows of a golden edge array in our order of edges.
inline reference::Value in_order(const reference::Value& value,
                                 const std::vector<std::size_t>& order) {
  reference::Value out(value.rows, value.components, value.channels);
  const auto width = static_cast<std::size_t>(value.components * value.channels);
  for (std::size_t e = 0; e < order.size(); ++e) {
    std::copy_n(value.data.begin() + static_cast<std::ptrdiff_t>(order[e] * width),
                width,
                out.data.begin() + static_cast<std::ptrdiff_t>(e * width));
  }
  return out;
}

} // namespace eqnn::test
