// SPDX-License-Identifier: BSD-3-Clause
// Format: docs/spec/model_file.md. Everything is checked here, so that later code can trust a
// ModelSpec.
#include "model/model_file.hpp"

#include "base/elements.hpp"
#include "base/error.hpp"
#include "base/sha256.hpp"
#include "model/graph_reader.hpp"
#include "model/json_reader.hpp"
#include "model/safetensors.hpp"
#include "neighbors/lattice.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

namespace eqnn {
namespace {

constexpr std::int32_t kFormatVersion = 1;

void expect_word(const JsonReader& object, const char* key, const char* word) {
  (void)object.at(key).word({word});
}

std::vector<double> number_of_each_species(const JsonReader& list, const ModelSpec& spec) {
  std::vector<double> values;
  for (const auto& value : list.elements()) {
    values.push_back(value.number());
  }
  if (values.size() != spec.species.size()) {
    list.error(
        values.size(), " energies for ", spec.species.size(), " species. Re-export the model.");
  }
  return values;
}

void read_conventions(const JsonReader& document, ModelSpec& spec) {
  const JsonReader units = document.at("units");
  units.allow_only({"length", "energy"});
  expect_word(units, "length", "Angstrom");
  expect_word(units, "energy", "eV");

  const JsonReader harmonics = document.at("spherical_harmonics");
  harmonics.allow_only({"l_max", "normalization", "axes", "edge_vector"});
  spec.l_max = harmonics.at("l_max").integer(0, kMaxDegree);
  expect_word(harmonics, "normalization", "component");
  expect_word(harmonics, "axes", "e3nn");
  expect_word(harmonics, "edge_vector", "source_minus_center");

  spec.parity = document.at("parity").word({"so3", "o3"}) == "o3" ? Parity::O3 : Parity::So3;

  const JsonReader equivariance = document.at("equivariance");
  equivariance.allow_only({"exact", "defect"});
  spec.exactly_equivariant = equivariance.at("exact").boolean();
  spec.equivariance_defect = equivariance.at("defect").number();
  if (!(spec.equivariance_defect >= 0.0)) {
    equivariance.at("defect").error(
        "found ", spec.equivariance_defect, ", expected 0 or more. Re-export the model.");
  }
}

void read_energy(const JsonReader& document, ModelSpec& spec) {
  const JsonReader energy = document.at("energy");
  energy.allow_only({"semantics", "scale", "shift", "reference", "isolated_atoms"});
  spec.energy.semantics = energy.at("semantics").word({"extensive", "mean-per-atom"}) == "extensive"
                              ? EnergySemantics::Extensive
                              : EnergySemantics::MeanPerAtom;
  if (const JsonReader scale = energy.at("scale"); scale.is_array()) {
    spec.energy.scale = number_of_each_species(scale, spec);
  } else {
    spec.energy.scale.assign(spec.species.size(), scale.number());
  }
  spec.energy.shift = energy.at("shift").number();
  spec.energy.reference = number_of_each_species(energy.at("reference"), spec);
  for (const double reference : spec.energy.reference) {
    if (!std::isfinite(spec.energy.shift + reference)) {
      energy.at("reference")
          .error("found ",
                 reference,
                 ", which with a shift of ",
                 spec.energy.shift,
                 " eV is infinite, expected an energy in eV. Re-export the model.");
    }
  }
  spec.energy.isolated_atoms_are_zero =
      energy.at("isolated_atoms").word({"zero", "network"}) == "zero";
  spec.forces = document.at("forces").word({"gradient", "direct"}) == "direct"
                    ? ForceKind::Direct
                    : ForceKind::Gradient;
}

void read_header(const JsonReader& document, ModelSpec& spec) {
  // Check the version first: a later format may have other keys.
  const JsonReader version = document.at("format_version");
  if (!version.value().is_number_integer() || version.value() != kFormatVersion) {
    version.error("format version ",
                  JsonReader::printable(version.text()),
                  ", expected ",
                  kFormatVersion,
                  ". Update eqnn, or export the model with this version.");
  }
  document.allow_only({"format_version",
                       "family",
                       "species",
                       "cutoff",
                       "units",
                       "spherical_harmonics",
                       "parity",
                       "equivariance",
                       "energy",
                       "forces",
                       "graph",
                       "self_test",
                       "provenance"});
  spec.family = document.at("family").name();
  for (const auto& species : document.at("species").elements()) {
    spec.species.push_back(species.integer(1, kHeaviestElement));
    if (spec.species.size() > 1 && spec.species.back() <= spec.species[spec.species.size() - 2]) {
      species.error("atomic number ",
                    spec.species.back(),
                    " after ",
                    spec.species[spec.species.size() - 2],
                    ", expected increasing numbers. Re-export the model.");
    }
  }
  if (spec.species.empty()) {
    document.at("species").error("no element, expected at least one. Re-export the model.");
  }
  spec.cutoff = document.at("cutoff").positive();

  read_conventions(document, spec);
  read_energy(document, spec);
  const JsonReader provenance = document.at("provenance");
  for (const char* key : {"upstream", "exporter", "data", "level_of_theory", "licence"}) {
    (void)provenance.at(key).string();
  }
  spec.provenance = provenance.text();
}

template <std::size_t N> std::array<double, N> numbers(const JsonReader& list) {
  const auto elements = list.elements();
  if (elements.size() != N) {
    list.error(elements.size(), " numbers, expected ", N, ". Re-export the model.");
  }
  std::array<double, N> values{};
  for (std::size_t k = 0; k < N; ++k) {
    values[k] = elements[k].number();
  }
  return values;
}

std::array<double, 9> matrix3(const JsonReader& list) {
  const auto rows = list.elements();
  if (rows.size() != 3) {
    list.error(rows.size(), " rows, expected 3. Re-export the model.");
  }
  std::array<double, 9> values{};
  for (std::size_t a = 0; a < 3; ++a) {
    const auto row = numbers<3>(rows[a]);
    std::copy(row.begin(), row.end(), values.begin() + static_cast<std::ptrdiff_t>(3 * a));
  }
  return values;
}

std::vector<std::array<double, 3>> vectors(const JsonReader& list, std::size_t n) {
  std::vector<std::array<double, 3>> values;
  for (const auto& element : list.elements()) {
    values.push_back(numbers<3>(element));
  }
  if (values.size() != n) {
    list.error(values.size(), " vectors for ", n, " atoms. Re-export the model.");
  }
  return values;
}

/// Throws Error for a structure that edges_of() would reject.
void check_structure(const JsonReader& entry, const SelfTest& test, double cutoff) {
  const std::string refusal =
      failure_of([] { return "not enough memory."; },
                 [&] { require_usable(test.positions, test.cell, cutoff); });
  if (!refusal.empty()) {
    entry.error(refusal);
  }
}

SelfTest read_self_test(const JsonReader& entry, const ModelSpec& spec) {
  entry.allow_only({"name", "numbers", "positions", "cell", "energy", "forces", "virial"});
  SelfTest test;
  test.name = entry.at("name").name();
  for (const auto& number : entry.at("numbers").elements()) {
    test.numbers.push_back(number.integer(1, kHeaviestElement));
    if (std::find(spec.species.begin(), spec.species.end(), test.numbers.back()) ==
        spec.species.end()) {
      number.error(
          "the model has no ", element_symbol(test.numbers.back()), ". Re-export the model.");
    }
  }
  if (test.numbers.empty()) {
    entry.at("numbers").error("no atom, expected at least one. Re-export the model.");
  }
  test.positions = vectors(entry.at("positions"), test.numbers.size());
  if (!entry.at("cell").is_null()) {
    test.cell = matrix3(entry.at("cell"));
  }
  check_structure(entry, test, spec.cutoff);
  test.energy = entry.at("energy").number();
  test.forces = vectors(entry.at("forces"), test.numbers.size());
  const JsonReader virial = entry.at("virial");
  if (!virial.is_null()) {
    test.virial = matrix3(virial);
  }
  if (const bool is_direct = spec.forces == ForceKind::Direct;
      test.virial.has_value() == is_direct) {
    virial.error(is_direct ? "found a matrix, expected null: direct forces have no virial"
                           : "found null, expected a matrix of three rows",
                 ". Re-export the model.");
  }
  return test;
}

} // namespace

std::string model_hash(const Safetensors& content) {
  Sha256 hash;
  hash.update(content.metadata.at("eqnn"));
  for (const auto& [key, stored] : content.tensors) {
    std::string shape = "[";
    for (std::size_t k = 0; k < stored.tensor.shape.size(); ++k) {
      shape += (k == 0 ? "" : ",") + std::to_string(stored.tensor.shape[k]);
    }
    hash.update(key + "\n" + stored.dtype + "\n" + shape + "]\n");
    hash.update(stored.bytes);
  }
  return hash.hex_digest();
}

ModelSpec interpret_model(const Safetensors& content, const std::string& name) {
  ModelSpec spec;
  spec.file = name;
  const nlohmann::json json =
      parse_json(content.metadata.at("eqnn"), name + ": /__metadata__/eqnn");
  const JsonReader document(json, name, "");
  read_header(document, spec);
  read_graph(document.at("graph"), content.tensors, spec);
  for (const auto& entry : document.at("self_test").elements()) {
    spec.self_tests.push_back(read_self_test(entry, spec));
  }
  return spec;
}

ModelSpec parse_model(const std::string& bytes, const std::string& name) {
  const Safetensors content = parse_safetensors(bytes, name);
  for (const char* key : {"eqnn", "eqnn_sha256"}) {
    if (content.metadata.count(key) == 0) {
      fail(name,
           ": /__metadata__: key \"",
           key,
           "\" is missing: this is not an eqnn model. Make one with `eqnn export`.");
    }
  }
  for (const auto& [key, unused] : content.metadata) {
    if (key != "eqnn" && key != "eqnn_sha256") {
      fail(name,
           ": /__metadata__: unknown key \"",
           JsonReader::printable(key),
           "\". Re-export the model.");
    }
  }
  const std::string hash = model_hash(content);
  if (const std::string& stated = content.metadata.at("eqnn_sha256"); stated != hash) {
    fail(name,
         ": /__metadata__/eqnn_sha256: the content has SHA-256 ",
         hash,
         ", the file states ",
         JsonReader::printable(stated),
         ".\nThe file was damaged or edited: copy or export it again.");
  }
  ModelSpec spec = interpret_model(content, name);
  spec.sha256 = hash;
  return spec;
}

ModelSpec read_model(const std::string& path) { return parse_model(read_file(path), path); }

} // namespace eqnn
