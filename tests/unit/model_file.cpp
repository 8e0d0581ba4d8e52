// SPDX-License-Identifier: BSD-3-Clause
// Whatever is wrong with a model file is refused, with the place and the cure.
#include "model/model_file.hpp"

#include "base/error.hpp"
#include "support/model_writer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace eqnn::test {
namespace {

using nlohmann::json;

const std::string& good_bytes() {
  static const std::string bytes =
      read_file(std::string(EQNN_TEST_DATA) + "/golden/tdn/model_l1_h16_b1.eqnn");
  return bytes;
}

void expect_in(const std::string& text, const std::string& message) {
  EXPECT_NE(message.find(text), std::string::npos)
      << "expected: " << text << "\nfound:    " << message;
}

/// The message with which parse_model refuses the bytes; empty if it takes them.
std::string refusal(const std::string& bytes) {
  try {
    (void)parse_model(bytes, "test.eqnn");
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

std::size_t stage_of(const json& document, const std::string& op, std::size_t which = 0) {
  for (std::size_t k = 0; k < document.at("graph").size(); ++k) {
    if (document["graph"][k]["op"] == op && which-- == 0) {
      return k;
    }
  }
  throw std::invalid_argument("no stage " + op);
}

json& stage(ModelParts& parts, const std::string& op, std::size_t which = 0) {
  return parts.document["graph"][stage_of(parts.document, op, which)];
}

StoredTensor& tensor(ModelParts& parts, const json& name) {
  return parts.tensors.at(name.get<std::string>());
}

struct Defect {
  std::string name;
  std::function<void(ModelParts&)> make;
  std::vector<std::string> expected; ///< all of these stand in the message
};

std::ostream& operator<<(std::ostream& out, const Defect& defect) { return out << defect.name; }

json minimal_self_test() {
  return {{"name", "atom"},
          {"numbers", {1}},
          {"positions", {{0.0, 0.0, 0.0}}},
          {"cell", nullptr},
          {"energy", 0.0},
          {"forces", {{0.0, 0.0, 0.0}}},
          {"virial", nullptr}};
}

std::vector<Defect> defects() {
  const auto document = [](const std::string& pointer, const json& value) {
    return [=](ModelParts& parts) { parts.document[json::json_pointer(pointer)] = value; };
  };
  const auto self_test = [](const std::string& key, const json& value) {
    return [=](ModelParts& parts) {
      json test = minimal_self_test();
      test[key] = value;
      parts.document["self_test"] = json::array({test});
    };
  };
  return {
      {"UnknownVersion",
       document("/format_version", 2),
       {"/format_version: format version 2, this reader knows 1", "Update eqnn"}},
      {"VersionOfWrongType", document("/format_version", "1"), {"/format_version"}},
      {"UnknownKey", document("/colour", "blue"), {"unknown key \"colour\""}},
      {"MissingKey",
       [](ModelParts& p) { p.document.erase("cutoff"); },
       {"key \"cutoff\" is missing"}},
      {"FamilyOfWrongType", document("/family", 3), {"/family: found number, expected a string"}},
      {"CutoffZero", document("/cutoff", 0.0), {"/cutoff: found 0, expected a number above 0"}},
      {"CutoffOfWrongType", document("/cutoff", "5"), {"/cutoff: found string, expected a number"}},
      {"SpeciesUnordered",
       document("/species", {6, 1, 7, 8}),
       {"/species/1: atomic number 1 after 6, expected increasing"}},
      {"SpeciesOutOfRange",
       document("/species/3", 119),
       {"/species/3: found 119, expected an integer from 1 to 118"}},
      {"SpeciesEmpty", document("/species", json::array()), {"/species: no element"}},
      {"SpeciesNoArray", document("/species", 6), {"/species: found number, expected an array"}},
      {"OtherUnits",
       document("/units/energy", "kcal/mol"),
       {"/units/energy: found \"kcal/mol\", expected one of \"eV\""}},
      {"HarmonicsTooHigh",
       document("/spherical_harmonics/l_max", 11),
       {"/spherical_harmonics/l_max: found 11, expected an integer from 0 to 10"}},
      {"OtherAxes",
       document("/spherical_harmonics/axes", "z-polar"),
       {"/spherical_harmonics/axes"}},
      {"OtherParity",
       document("/parity", "o2"),
       {"/parity: found \"o2\", expected one of \"o3\", \"so3\""}},
      {"ExactOfWrongType",
       document("/equivariance/exact", 1),
       {"/equivariance/exact: found number, expected true or false"}},
      {"NegativeDefect",
       document("/equivariance/defect", -1.0),
       {"/equivariance/defect: found -1, expected 0 or more"}},
      {"OtherSemantics",
       document("/energy/semantics", "total"),
       {"/energy/semantics: found \"total\""}},
      {"ReferenceOfOtherLength",
       document("/energy/reference", {0.0}),
       {"/energy/reference: 1 energies for 4 species"}},
      {"ProvenanceIncomplete",
       [](ModelParts& p) { p.document["provenance"].erase("licence"); },
       {"/provenance: key \"licence\" is missing"}},
      {"ForcesWithoutTheirStage",
       document("/forces", "direct"),
       {"the number of direct_forces stages is 0, expected 1"}},
      {"EmptyGraph", document("/graph", json::array()), {"/graph: no stage"}},
      {"UnknownStage",
       [](ModelParts& p) { stage(p, "gate")["op"] = "relu"; },
       {"/op: unknown stage \"relu\""}},
      {"OutputTwice",
       [](ModelParts& p) { stage(p, "gate")["output"] = p.document["graph"][0]["output"]; },
       {"is empty or made twice"}},
      {"UnknownAttribute",
       [](ModelParts& p) { stage(p, "gate")["slope"] = 1; },
       {"unknown key \"slope\""}},
      {"UnknownInput",
       [](ModelParts& p) { stage(p, "gate")["inputs"]["x"] = "y"; },
       {"/inputs: unknown key \"x\""}},
      {"Dangling",
       [](ModelParts& p) { stage(p, "gate")["inputs"]["gates"] = "nowhere"; },
       {"/inputs/gates: \"nowhere\" is the output of no stage"}},
      {"Cycle",
       [](ModelParts& p) { stage(p, "gate")["inputs"]["features"] = stage(p, "gate")["output"]; },
       {"the graph has a cycle or is out of order"}},
      {"WrongKindOfInput",
       [](ModelParts& p) { stage(p, "gate")["inputs"]["gates"] = stage(p, "radial")["output"]; },
       {"is not node features, as expected here"}},
      {"UnusedOutput",
       [](ModelParts& p) {
         p.document["graph"].insert(p.document["graph"].begin(),
                                    json{{"op", "spherical_harmonics"},
                                         {"output", "spare"},
                                         {"inputs", json::object()},
                                         {"weights", json::object()},
                                         {"l_max", 0}});
       },
       {"output \"spare\" is used by no stage"}},
      {"NoEnergy",
       [](ModelParts& p) { p.document["graph"].erase(p.document["graph"].size() - 1); },
       {"used by no stage"}},
      {"EnergyTermTwice",
       [](ModelParts& p) {
         auto& t = stage(p, "energy")["inputs"]["terms"];
         t.push_back(t[0]);
       },
       {"this term stands twice"}},
      {"EnergyWithoutTerms",
       [](ModelParts& p) { stage(p, "energy")["inputs"]["terms"] = json::array(); },
       {"no terms"}},
      {"MissingTensor",
       [](ModelParts& p) {
         p.tensors.erase(stage(p, "edge_matrix")["weights"]["coupling"].get<std::string>());
       },
       {"/weights/coupling: tensor", "is not in the file"}},
      {"UnusedTensor",
       [](ModelParts& p) { p.tensors["zzz"] = stored_double({1}, {1.0}); },
       {"tensor \"zzz\" is used by no stage"}},
      {"WrongShape",
       [](ModelParts& p) {
         tensor(p, stage(p, "edge_matrix")["weights"]["coupling"]) =
             stored_double({2, 2, 2}, std::vector<double>(8, 1.0));
       },
       {"has shape [2, 2, 2], expected [4, 4, 4]"}},
      {"EmptyTensor",
       [](ModelParts& p) {
         tensor(p, stage(p, "species_embedding")["weights"]["table"]) = stored_double({4, 0}, {});
       },
       {"has shape [4, 0], expected [4, -1] (-1: any)"}},
      {"WrongType",
       [](ModelParts& p) {
         auto& t = tensor(p, stage(p, "edge_matrix")["weights"]["coupling"]);
         t.dtype = "I64";
       },
       {"has type I64, expected F64 or F32"}},
      {"NaNWeight",
       [](ModelParts& p) {
         auto& t = tensor(p, stage(p, "edge_matrix")["weights"]["coupling"]);
         auto v = t.tensor.values;
         v[5] = std::nan("");
         t = stored_double({4, 4, 4}, v);
       },
       {"holds nan at flat index 5"}},
      {"InfiniteWeight",
       [](ModelParts& p) {
         auto& t = tensor(p, stage(p, "edge_matrix")["weights"]["coupling"]);
         auto v = t.tensor.values;
         v[0] = std::numeric_limits<double>::infinity();
         t = stored_double({4, 4, 4}, v);
       },
       {"holds inf at flat index 0"}},
      {"GaussianWithoutWidth",
       [](ModelParts& p) {
         auto& t = tensor(p, stage(p, "radial")["basis"]["width"]);
         auto v = t.tensor.values;
         v[0] = 0.0;
         t = stored_double({static_cast<std::int64_t>(v.size())}, v);
       },
       {"/basis/width: a width of 0 Angstrom, expected a positive one"}},
      {"OtherBasis",
       [](ModelParts& p) { stage(p, "radial")["basis"]["kind"] = "fourier"; },
       {"/basis/kind: found \"fourier\""}},
      {"EnvelopeTooFlat",
       [](ModelParts& p) {
         stage(p, "radial")["envelope"] = {{"kind", "polynomial"}, {"p", 1}, {"on", "output"}};
       },
       {"/envelope/p: found 1, expected at least 2"}},
      {"EnvelopeOfNothing",
       [](ModelParts& p) { stage(p, "radial")["envelope"] = {{"kind", "polynomial"}, {"p", 5}}; },
       {"/envelope: key \"on\" is missing"}},
      {"XplorBeyondTheCutoff",
       [](ModelParts& p) {
         stage(p, "radial")["envelope"] = {{"kind", "xplor"}, {"start", 99.0}, {"on", "basis"}};
       },
       {"/envelope/start: found 99, expected less than the cutoff"}},
      {"NoLayers",
       [](ModelParts& p) { stage(p, "radial")["layers"] = json::array(); },
       {"/layers: no layer"}},
      {"OtherActivation",
       [](ModelParts& p) { stage(p, "radial")["layers"][0]["activation"] = "tanh"; },
       {"/activation: found \"tanh\""}},
      {"LayerNormInReadout",
       [](ModelParts& p) {
         stage(p, "readout")["layers"][0]["layer_norm"] = {
             {"scale", "a"}, {"shift", "b"}, {"eps", 1.0}};
       },
       {"tensor \"a\" is not in the file"}},
      {"ReadoutOfTwo",
       [](ModelParts& p) { stage(p, "readout")["layers"].erase(1); },
       {"the last layer's number of outputs is 16, expected 1"}},
      {"HeadsDoNotDivide",
       [](ModelParts& p) { stage(p, "edge_attention")["heads"] = 3; },
       {"3 heads do not divide 16 channels"}},
      {"NegativeEps",
       [](ModelParts& p) { stage(p, "edge_attention")["eps"] = -1.0; },
       {"/eps: found -1, expected 0 to 1e-12"}},
      {"EpsThatTheAdjointLeavesOut",
       [](ModelParts& p) { stage(p, "edge_attention")["eps"] = 1e-3; },
       {"/eps: found 0.001, expected 0 to 1e-12"}},
      {"NormWithoutEps",
       [](ModelParts& p) { stage(p, "equivariant_norm")["eps"] = 0.0; },
       {"/eps: found 0, expected a number above 0"}},
      {"LinearRaisesL",
       [](ModelParts& p) { stage(p, "linear")["l_max"] = 2; },
       {"/l_max: found 2, expected an integer from 0 to 1"}},
      {"GatesWithVectors",
       [](ModelParts& p) {
         stage(p, "gate")["inputs"]["gates"] = stage(p, "gate")["inputs"]["features"];
       },
       {"/inputs/gates: l_max is 1, expected 0"}},
      {"SelfTestOfAnotherElement",
       self_test("numbers", {79}),
       {"/self_test/0/numbers/0: the model has no Au"}},
      {"SelfTestOfOtherLength",
       self_test("forces", json::array()),
       {"/self_test/0/forces: 0 vectors for 1 atoms"}},
      {"SelfTestVectorOfTwo",
       self_test("positions", {{0.0, 1.0}}),
       {"/self_test/0/positions/0: 2 numbers, expected 3"}},
      {"SelfTestFlatCell",
       self_test("cell", {{1.0, 0.0, 0.0}, {2.0, 0.0, 0.0}, {0.0, 0.0, 1.0}}),
       {"the cell's volume is 0 A^3"}},
      {"SelfTestCellOfTwoRows",
       self_test("cell", {{1.0, 0.0, 0.0}, {2.0, 0.0, 0.0}}),
       {"/self_test/0/cell: 2 rows, expected 3"}},
  };
}

class DefectiveModel : public testing::TestWithParam<Defect> {};

TEST_P(DefectiveModel, IsRefusedWithPlaceAndCure) {
  ModelParts parts = take_apart(good_bytes());
  GetParam().make(parts);
  const std::string message = refusal(put_together(parts));
  for (const std::string& text : GetParam().expected) {
    expect_in(text, message);
  }
  EXPECT_EQ(message.rfind("test.eqnn: /", 0), 0U) << message;
  EXPECT_LE(std::count(message.begin(), message.end(), '\n'), 1);
  EXPECT_EQ(message.back(), '.');
}

INSTANTIATE_TEST_SUITE_P(All, DefectiveModel, testing::ValuesIn(defects()), [](const auto& test) {
  return test.param.name;
});

TEST(ModelFile, AGoodFileIsRead) {
  const ModelSpec model = parse_model(good_bytes(), "test.eqnn");
  EXPECT_EQ(model.species, (std::vector<std::int32_t>{1, 6, 7, 8}));
  EXPECT_EQ(model.l_max, 1);
  EXPECT_EQ(model.cutoff, 4.5);
  EXPECT_EQ(model.sha256.size(), 64U);
  EXPECT_GT(model.n_parameters, 1000);
}

TEST(ModelFile, TakenApartAndPutTogetherIsTheSame) {
  EXPECT_EQ(refusal(put_together(take_apart(good_bytes()))), "");
}

TEST(ModelFile, EveryTruncationIsRefused) {
  const std::string& bytes = good_bytes();
  for (std::size_t n = 0; n < bytes.size(); n += 1 + n / 50) {
    EXPECT_NE(refusal(bytes.substr(0, n)), "") << n << " bytes";
  }
  expect_in("truncated or damaged", refusal(bytes.substr(0, bytes.size() - 1)));
  expect_in("not a safetensors file, or truncated", refusal(""));
}

TEST(ModelFile, EveryFlippedBitOfTheWeightsIsNoticed) {
  const std::string& bytes = good_bytes();
  for (std::size_t at = bytes.size() - 20000; at < bytes.size(); at += 997) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 4);
    expect_in("/__metadata__/eqnn_sha256: the content has SHA-256", refusal(damaged));
  }
}

TEST(ModelFile, OtherContainersAreRefused) {
  ModelParts parts = take_apart(good_bytes());
  expect_in("key \"eqnn\" is missing: not a model of eqnn", refusal(container({}, parts.tensors)));
  expect_in("key \"eqnn_sha256\" is missing", refusal(container({{"eqnn", "{}"}}, parts.tensors)));
  expect_in(
      "unknown key \"more\"",
      refusal(container({{"eqnn", "{}"}, {"eqnn_sha256", "x"}, {"more", ""}}, parts.tensors)));
  expect_in("not a safetensors file", refusal("a text that is no model at all"));
  expect_in("no JSON object", refusal(std::string("\x02\0\0\0\0\0\0\0[]", 10)));
  expect_in("not valid JSON", refusal(std::string("\x05\0\0\0\0\0\0\0{\"a\":", 13)));
}

TEST(ModelFile, CheckpointsAreRefusedWithTheCommandThatExportsThem) {
  using namespace std::string_literals;
  const std::string cure =
      "expected a model file of eqnn. Make one from a checkpoint with `eqnn export`.";
  for (const auto& [magic, what] :
       {std::pair{"PK\x03\x04"s,
                  "is a zip archive, as torch writes checkpoints and TorchScript, "s},
        {"\x80\x02}q"s, "is a pickle, as torch and Python write them, "s},
        {"\x89HDF\r\n"s, "is an HDF5 file, "s},
        {"\x1f\x8b\x08"s, "is a gzip archive, "s}}) {
    expect_in(what + cure, refusal(magic + std::string(100, 'x')));
  }
}

TEST(ModelFile, FoldersAreNoModels) {
  try {
    (void)read_model(EQNN_TEST_DATA);
    FAIL() << "a folder was read";
  } catch (const Error& error) {
    expect_in(": is a folder, expected a model file. Name the file in it.", error.what());
  }
}

TEST(ModelFile, AHeaderThatLiesIsRefused) {
  const auto with_header = [](const std::string& header) {
    std::string out(8, '\0');
    const std::uint64_t n = header.size();
    std::memcpy(out.data(), &n, 8);
    return out + header + std::string(8, '\0');
  };
  const auto entry =
      [&](const std::string& dtype, const std::string& shape, const std::string& offsets) {
        return with_header("{\"a\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape +
                           ",\"data_offsets\":" + offsets + "}}");
      };
  expect_in("expected 8 bytes", refusal(entry("F64", "[1]", "[0,16]")));
  expect_in("expected 8 bytes", refusal(entry("F64", "[1]", "[8,0]")));
  expect_in("is larger than the file",
            refusal(entry("F64", "[2147483647,2147483647,2147483647]", "[0,8]")));
  expect_in("expected an integer from 0 to 2147483647",
            refusal(entry("F64", "[4294967296]", "[0,8]")));
  expect_in("expected an integer from 0", refusal(entry("F64", "[-1]", "[0,8]")));
  expect_in("data_offsets has 1 numbers, expected 2", refusal(entry("F64", "[1]", "[0]")));
  expect_in("not a byte offset", refusal(entry("F64", "[1]", "[0,-8]")));
  expect_in("type F16, expected F64 or F32", refusal(entry("F16", "[1]", "[0,2]")));
  expect_in("key \"a\" stands twice", refusal(with_header("{\"a\":1,\"a\":2}")));
}

TEST(ModelFile, AFileThatIsNotThereIsNamed) {
  try {
    (void)read_model("no/such/model.eqnn");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "no/such/model.eqnn: no such file. Check the path.");
  }
}

} // namespace
} // namespace eqnn::test
