// SPDX-License-Identifier: BSD-3-Clause
// What each stage of a graph makes. What is refused: refusals.cpp.
#include "base/error.hpp"
#include "support/model_writer.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace eqnn::test {
namespace {

using nlohmann::json;

/// A model of all these stages, written by hand: two species, parity o3.
class Parts {
public:
  ModelParts parts;

  Parts() {
    parts.document = json::parse(R"({
      "format_version": 1, "family": "test", "species": [1, 8], "cutoff": 4.0,
      "units": {"length": "Angstrom", "energy": "eV"},
      "spherical_harmonics": {"l_max": 2, "normalization": "component", "axes": "e3nn",
                              "edge_vector": "source_minus_center"},
      "parity": "o3", "equivariance": {"exact": true, "defect": 0.0},
      "energy": {"semantics": "extensive", "scale": [1.0, 2.0], "shift": 0.0,
                 "reference": [0.0, 0.0], "isolated_atoms": "network"},
      "forces": "gradient", "self_test": [],
      "provenance": {"upstream": "", "exporter": "", "data": "", "level_of_theory": "",
                     "licence": ""},
      "graph": [
        {"op": "spherical_harmonics", "output": "y", "inputs": {}, "weights": {}, "l_max": 2},
        {"op": "radial", "output": "w", "inputs": {}, "weights": {},
         "basis": {"kind": "bessel", "frequency": "two", "amplitude": "two"},
         "envelope": {"kind": "xplor", "start": 3.0, "on": "basis"},
         "layers": [{"weight": "radial", "bias": null, "layer_norm": null, "activation": "none"}]},
        {"op": "species_embedding", "output": "x", "inputs": {}, "weights": {"table": "table"},
         "l_max": 0},
        {"op": "edge_tensor_product", "output": "m",
         "inputs": {"source": "x", "harmonics": "y", "radial": "w"}, "weights": {},
         "paths": [["0e", 0, "0e"], ["0e", 1, "1o"], ["0e", 0, "0e"]]},
        {"op": "irreps_linear", "output": "l", "inputs": {"features": "m"},
         "weights": {"0e": "l0", "1o": "l1", "bias": "b0"}, "irreps": "6x0e+3x1o"},
        {"op": "species_linear", "output": "s", "inputs": {"features": "x"},
         "weights": {"0e": "s0"}, "irreps": "6x0e"},
        {"op": "add", "output": "a", "inputs": {"a": "l", "b": "s"}, "weights": {}},
        {"op": "rms_norm", "output": "n", "inputs": {"features": "a"},
         "weights": {"0e": "n0", "1o": "n1"}, "eps": 1e-6},
        {"op": "irreps_gate", "output": "g", "inputs": {"features": "n"}, "weights": {},
         "scalars": {"0e": 3}, "activations": {"0e": "silu", "gates": "sigmoid"}, "gates": "0e"},
        {"op": "symmetric_contraction", "output": "c", "inputs": {"features": "g"}, "weights": {},
         "irreps": "3x0e", "terms": [{"irrep": "0e", "indices": "indices", "values": "values",
                                      "weights": "term"}]},
        {"op": "sphere_polynomial", "output": "p", "inputs": {"features": "g"},
         "weights": {"order_1": "o1", "order_2": "o1"}, "l_max": 1},
        {"op": "gaunt_product", "output": "q", "inputs": {"a": "g", "b": "p"},
         "weights": {"scale_out": "scale"}, "l_max": 1},
        {"op": "gaunt_convolution", "output": "v",
         "inputs": {"source": "q", "harmonics": "y", "radial": "w9"}, "weights": {}, "l_max": 1},
        {"op": "readout", "output": "e1", "inputs": {"features": "c"}, "weights": {},
         "layers": [{"weight": "out", "bias": null, "layer_norm": null, "activation": "none"}]},
        {"op": "readout", "output": "e2", "inputs": {"features": "v"}, "weights": {},
         "layers": [{"weight": "out", "bias": null, "layer_norm": null, "activation": "none"}]},
        {"op": "zbl", "output": "z", "inputs": {}, "weights": {"radius": "two"}, "p": 6,
         "screening_length": 0.24, "screening_exponent": 0.3, "coefficients": [1.0],
         "exponents": [3.2]},
        {"op": "energy", "output": "e", "inputs": {"terms": ["e1", "e2", "z"]}, "weights": {}}]})");
    json w9 = parts.document["graph"][1];
    w9["output"] = "w9";
    w9["layers"][0]["weight"] = "radial9";
    parts.document["graph"].insert(parts.document["graph"].begin() + 2, w9);
    set("two", {2});
    set("radial", {12, 2});
    set("radial9", {9, 2});
    set("table", {2, 4});
    set("l0", {6, 8});
    set("l1", {3, 4});
    set("b0", {6});
    set("s0", {2, 6, 4});
    set("n0", {6});
    set("n1", {3});
    set("values", {2});
    set("term", {2, 1, 3});
    set("o1", {2, 3, 2});
    set("scale", {2, 3});
    set("out", {1, 3});
    set_indices({0, 0, 1, 1, 0, 0, 2, 3});
  }

  void set(const std::string& name, const std::vector<std::int64_t>& shape, double value = 0.5) {
    std::int64_t n = 1;
    for (const auto extent : shape) {
      n *= extent;
    }
    parts.tensors[name] =
        stored_double(shape, std::vector<double>(static_cast<std::size_t>(n), value));
  }

  void set_indices(const std::vector<std::int32_t>& values, std::int64_t columns = 4) {
    StoredTensor& stored = parts.tensors["indices"];
    stored.dtype = "I32";
    stored.tensor.shape = {static_cast<std::int64_t>(values.size()) / columns, columns};
    stored.tensor.values.assign(values.begin(), values.end());
    stored.bytes.assign(reinterpret_cast<const char*>(values.data()), 4 * values.size());
  }

  json& stage(const std::string& output) {
    for (auto& entry : parts.document["graph"]) {
      if (entry["output"] == output) {
        return entry;
      }
    }
    throw std::invalid_argument("no stage " + output);
  }
};

TEST(GraphReader, SaysWhatEachStageMakes) {
  const ModelSpec spec = parse_model(put_together(Parts().parts), "test.eqnn");
  const auto irreps = [&](const std::string& output) {
    for (const Stage& stage : spec.graph) {
      if (stage.output == output) {
        return irreps_text(stage.irreps);
      }
    }
    return std::string();
  };
  EXPECT_EQ(irreps("m"), "8x0e+4x1o");
  EXPECT_EQ(irreps("l"), "6x0e+3x1o");
  EXPECT_EQ(irreps("a"), "6x0e+3x1o");
  EXPECT_EQ(irreps("g"), "3x0e+3x1o");
  EXPECT_EQ(irreps("c"), "3x0e");
  EXPECT_EQ(irreps("p"), "3x0e+3x1o");
  EXPECT_EQ(irreps("q"), "3x0e+3x1o");
  EXPECT_EQ(irreps("v"), "3x0e+3x1o");
  EXPECT_EQ(spec.energy.scale, (std::vector<double>{1.0, 2.0}));
}

} // namespace
} // namespace eqnn::test
