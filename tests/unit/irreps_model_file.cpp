// SPDX-License-Identifier: BSD-3-Clause
// Stages with Clebsch-Gordan paths and Gaunt products: what is right is read, whatever is wrong is
// refused with the place and the cure.
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

TEST(IrrepsModel, IsRead) {
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

struct Defect {
  std::string name;
  std::function<void(Parts&)> make;
  std::string expected;
};

std::ostream& operator<<(std::ostream& out, const Defect& defect) { return out << defect.name; }

std::vector<Defect> defects() {
  return {
      {"BlockThatIsNotThere",
       [](Parts& p) {
         p.stage("l")["irreps"] = "6x0e+3x1o+2x2e";
         p.stage("l")["weights"]["2e"] = "l1";
       },
       "/irreps: 2e is no block of the input, 8x0e+4x1o"},
      {"BlocksOutOfOrder",
       [](Parts& p) { p.stage("l")["irreps"] = "3x1o+6x0e"; },
       "/irreps: found \"3x1o+6x0e\", expected blocks by increasing degree, e before o"},
      {"NoIrreps",
       [](Parts& p) { p.stage("l")["irreps"] = "0x0e"; },
       "/irreps: found \"0x0e\", expected blocks"},
      {"DegreeTooHigh",
       [](Parts& p) { p.stage("l")["irreps"] = "6x0e+3x11o"; },
       "/irreps: 3x11o, expected degrees up to 10"},
      {"OddBlockInSo3",
       [](Parts& p) { p.parts.document["parity"] = "so3"; },
       "1o in a model of parity so3, where every parity is e"},
      {"WeightOfNoBlock",
       [](Parts& p) { p.stage("s")["weights"]["1o"] = "l1"; },
       "/weights: unknown key \"1o\""},
      {"MissingWeight",
       [](Parts& p) { p.stage("l")["weights"].erase("1o"); },
       "/weights: key \"1o\" is missing"},
      {"WeightsOfTooFewSpecies",
       [](Parts& p) { p.set("s0", {1, 6, 4}); },
       "tensor \"s0\" has shape [1, 6, 4], expected [2, 6, 4]"},
      {"NoPath",
       [](Parts& p) { p.stage("m")["paths"] = json::array(); },
       "/paths: no path, expected at least one"},
      {"PathOfTwo",
       [](Parts& p) { p.stage("m")["paths"][1] = {"0e", 1}; },
       "/paths/1: found 2 entries, expected block, degree, block"},
      {"PathFromNowhere",
       [](Parts& p) { p.stage("m")["paths"][1][0] = "1o"; },
       "/paths/1/0: found \"1o\", expected a block of 4x0e"},
      {"PathToNowhere",
       [](Parts& p) { p.stage("m")["paths"][1][2] = "1x"; },
       "/paths/1/2: found \"1x\", expected a block as \"1o\""},
      {"PathAgainstTheTriangle",
       [](Parts& p) { p.stage("m")["paths"][1][2] = "2o"; },
       "/paths/1: 0e x 1o -> 2o is no path: degrees violate the triangle rule"},
      {"PathAgainstParity",
       [](Parts& p) { p.stage("m")["paths"][1][2] = "1e"; },
       "/paths/1: 0e x 1o -> 1e is no path"},
      {"PathOfHigherDegreeThanTheHarmonics",
       [](Parts& p) { p.stage("m")["paths"][1][1] = 3; },
       "/paths/1/1: found 3, expected an integer from 0 to 2"},
      {"RadialChannelsOfOtherPaths",
       [](Parts& p) { p.stage("m")["paths"].erase(2); },
       "/inputs/radial: channels is 12, expected 8"},
      {"AddedBlockThatIsNotThere",
       [](Parts& p) { p.stage("a")["inputs"] = {{"a", "s"}, {"b", "l"}}; },
       "/inputs/b: 3x1o is no block of 6x0e, to which it is added"},
      {"TooFewGates",
       [](Parts& p) { p.stage("g")["scalars"]["0e"] = 4; },
       "/scalars: 4 scalars and 3 gates in 0e, which has 6 channels"},
      {"GatesThatAreNotThere",
       [](Parts& p) { p.stage("g")["gates"] = "0o"; },
       "scalars: 3 scalars and 0 gates in 0e, which has 6 channels"},
      {"UnknownGate",
       [](Parts& p) { p.stage("g")["gates"] = "1o"; },
       "/gates: found \"1o\", expected one of \"0e\", \"0o\""},
      {"GateWithoutFunction",
       [](Parts& p) { p.stage("g")["activations"].erase("gates"); },
       "/activations: key \"gates\" is missing"},
      {"FunctionOfABlockThatIsNotThere",
       [](Parts& p) { p.stage("g")["activations"]["0o"] = "tanh"; },
       "/activations: unknown key \"0o\""},
      {"ScalarsOfABlockThatIsNotThere",
       [](Parts& p) { p.stage("g")["scalars"]["0o"] = 0; },
       "/scalars: unknown key \"0o\""},
      {"ScalarsNotCounted",
       [](Parts& p) { p.stage("g")["scalars"].erase("0e"); },
       "/scalars: key \"0e\" is missing"},
      {"UnknownFunction",
       [](Parts& p) { p.stage("g")["activations"]["gates"] = "relu"; },
       "/activations/gates: found \"relu\", expected one of"},
      {"NoEpsilon",
       [](Parts& p) { p.stage("n")["eps"] = 0; },
       "/eps: found 0, expected a number above 0"},
      {"ContractionOfUnequalBlocks",
       [](Parts& p) { p.stage("c")["inputs"]["features"] = "a"; },
       "/inputs/features: \"6x0e+3x1o\", expected the same number of channels for each degree"},
      {"ContractionToOtherChannels",
       [](Parts& p) { p.stage("c")["irreps"] = "4x0e"; },
       "/irreps: the number of channels is 4, expected 3"},
      {"ContractionWithoutTerms",
       [](Parts& p) { p.stage("c")["terms"] = json::array(); },
       "/terms: no term, expected at least one"},
      {"ContractionToNowhere",
       [](Parts& p) { p.stage("c")["terms"][0]["irrep"] = "1o"; },
       "/irrep: found \"1o\", expected a block of 3x0e"},
      {"ContractionOfTooManyFactors",
       [](Parts& p) { p.set_indices({0, 0, 0, 0, 0, 0}, 6); },
       "/indices: 6 columns, expected 3 to 5"},
      {"IndexOutOfRange",
       [](Parts& p) { p.set_indices({0, 0, 1, 4, 0, 0, 2, 3}); },
       "/indices: found 4 in row 0, column 3, expected 0 to 3"},
      {"NegativeIndex",
       [](Parts& p) { p.set_indices({0, -1, 1, 1, 0, 0, 2, 3}); },
       "/indices: found -1 in row 0, column 1, expected 0 to 0"},
      {"IndicesThatAreNotIntegers",
       [](Parts& p) { p.set("indices", {2, 4}, 0.0); },
       "tensor \"indices\" has type F64, expected I32"},
      {"OrderMissing",
       [](Parts& p) { p.stage("p")["weights"] = {{"order_1", "o1"}, {"order_3", "o1"}}; },
       "/weights: orders are missing, expected order_1, order_2 and so on"},
      {"ProductOfOtherChannels",
       [](Parts& p) { p.stage("q")["inputs"]["b"] = "x"; },
       "/inputs/b: channels is 4, expected 3"},
      {"ProductBeyondItsFactors",
       [](Parts& p) { p.stage("q")["l_max"] = 3; },
       "/l_max: found 3, expected an integer from 0 to 2"},
      {"CurlUnderInversion",
       [](Parts& p) { p.stage("q")["weights"]["curl"] = "scale"; },
       "/weights/curl: found in a model of parity o3, expected so3"},
      {"ConvolutionWithOtherRadialChannels",
       [](Parts& p) { p.stage("v")["inputs"]["radial"] = "w"; },
       "/inputs/radial: channels is 12, expected 9"},
      {"ReadoutWithoutScalars",
       [](Parts& p) {
         p.stage("m")["paths"] = {{"0e", 1, "1o"}, {"0e", 1, "1o"}, {"0e", 1, "1o"}};
         p.stage("l")["irreps"] = "3x1o";
         p.stage("l")["weights"] = {{"1o", "l1"}};
         p.set("l1", {3, 12});
         json early = p.stage("e1");
         early["inputs"]["features"] = "l";
         p.parts.document["graph"][6] = early; // after "l"
       },
       "/inputs/features: 3x1o has no scalars (0e) to read out"},
      {"NegativeRadius",
       [](Parts& p) { p.set("two", {2}, -1.0); },
       "/radius: a radius of -1 Angstrom, expected a positive one"},
      {"ExponentsWithoutCoefficients",
       [](Parts& p) { p.stage("z")["exponents"] = {3.2, 0.9}; },
       "/exponents: 2 exponents for 1 coefficients"},
      {"ScalesOfTooFewSpecies",
       [](Parts& p) { p.parts.document["energy"]["scale"] = {1.0}; },
       "/energy/scale: 1 energies for 2 species"},
  };
}

class DefectiveIrrepsModel : public testing::TestWithParam<Defect> {};

TEST_P(DefectiveIrrepsModel, IsRefusedWithPlaceAndCure) {
  Parts parts;
  GetParam().make(parts);
  std::string message;
  try {
    (void)parse_model(put_together(parts.parts), "test.eqnn");
  } catch (const Error& error) {
    message = error.what();
  }
  EXPECT_NE(message.find(GetParam().expected), std::string::npos)
      << "expected: " << GetParam().expected << "\nfound:    " << message;
  EXPECT_EQ(message.rfind("test.eqnn: /", 0), 0U) << message;
  EXPECT_LE(std::count(message.begin(), message.end(), '\n'), 1);
  EXPECT_EQ(message.back(), '.');
}

INSTANTIATE_TEST_SUITE_P(All,
                         DefectiveIrrepsModel,
                         testing::ValuesIn(defects()),
                         [](const auto& of) { return of.param.name; });

} // namespace
} // namespace eqnn::test
