// SPDX-License-Identifier: BSD-3-Clause
#include "model/graph_reader.hpp"

#include <cmath>
#include <numeric>

namespace eqnn {
namespace {

/// Reads the basis and returns its number of functions.
std::int64_t read_basis(const JsonReader& basis, GraphReader& graph, RadialStage& op) {
  const std::string kind = basis.at("kind").word({"gaussian", "bessel", "chebyshev"});
  if (kind == "chebyshev") {
    basis.allow_only({"kind", "amplitude"});
    ChebyshevBasis chebyshev;
    chebyshev.amplitude = graph.weights().take(basis.at("amplitude"), {-1});
    const std::int64_t n =
        GraphReader::checked_channels(basis.at("amplitude"), chebyshev.amplitude, 0);
    op.basis = std::move(chebyshev);
    return n;
  }
  if (kind == "bessel") {
    basis.allow_only({"kind", "frequency", "amplitude"});
    BesselBasis bessel;
    bessel.frequency = graph.weights().take(basis.at("frequency"), {-1});
    const std::int64_t n =
        GraphReader::checked_channels(basis.at("frequency"), bessel.frequency, 0);
    bessel.amplitude = graph.weights().take(basis.at("amplitude"), {n});
    op.basis = std::move(bessel);
    return n;
  }
  basis.allow_only({"kind", "center", "width", "amplitude"});
  GaussianBasis gaussian;
  gaussian.center = graph.weights().take(basis.at("center"), {-1});
  const std::int64_t n = GraphReader::checked_channels(basis.at("center"), gaussian.center, 0);
  gaussian.width = graph.weights().take(basis.at("width"), {n});
  gaussian.amplitude = graph.weights().take(basis.at("amplitude"), {n});
  for (const double width : gaussian.width.values) {
    if (!(width > 0.0)) {
      basis.at("width").error(
          "a width of ", width, " Angstrom, expected a positive one. Re-export the model.");
    }
  }
  op.basis = std::move(gaussian);
  return n;
}

Envelope read_envelope(const JsonReader& entry, double cutoff) {
  Envelope envelope;
  const std::string kind = entry.at("kind").word({"none", "polynomial", "xplor"});
  if (kind == "none") {
    entry.allow_only({"kind"});
    return envelope;
  }
  envelope.on_basis = entry.at("on").word({"basis", "output"}) == "basis";
  if (kind == "polynomial") {
    entry.allow_only({"kind", "p", "on"});
    envelope.kind = EnvelopeKind::Polynomial;
    envelope.p = GraphReader::polynomial_order(entry.at("p"));
  } else {
    entry.allow_only({"kind", "start", "on"});
    envelope.kind = EnvelopeKind::Xplor;
    envelope.start = entry.at("start").positive();
    if (!(envelope.start < cutoff)) {
      entry.at("start").error("found ",
                              envelope.start,
                              ", expected less than the cutoff, ",
                              cutoff,
                              ". Re-export the model.");
    }
    if (parts_to(envelope.start, cutoff) == 0) {
      entry.at("start").error("found ",
                              envelope.start,
                              " with a cutoff of ",
                              cutoff,
                              " Angstrom, expected a ratio of whole numbers up to ",
                              kMostParts,
                              ". Export the model with a start rounded to 0.01 Angstrom.");
    }
  }
  return envelope;
}

Tensor read_radius(const JsonReader& entry, GraphReader& graph) {
  Tensor radius = graph.weights().take(entry, {graph.n_species()});
  for (const double r : radius.values) {
    if (!(r > 0.0)) {
      entry.error("a radius of ", r, " Angstrom, expected a positive one. Re-export the model.");
    }
  }
  return radius;
}

PairCutoffs read_cutoffs(const JsonReader& entry, GraphReader& graph) {
  const double largest = graph.spec().cutoff;
  Tensor cutoff = graph.weights().take(entry, {graph.n_species(), graph.n_species()});
  for (const double c : cutoff.values) {
    if (!(c > 0.0 && c <= largest)) {
      entry.error("a cutoff of ",
                  c,
                  " Angstrom, expected more than 0 and at most the model's cutoff, ",
                  largest,
                  ". Re-export the model.");
    }
  }
  const std::int32_t parts = parts_to_all(cutoff.values, largest);
  if (parts == 0) {
    entry.error("no n up to ",
                kMostParts,
                " makes every cutoff a multiple of ",
                largest,
                " Angstrom / n. Train with cutoffs rounded to 0.1 Angstrom.");
  }
  return {std::move(cutoff), parts};
}

void read_transform(const JsonReader& entry, GraphReader& graph, RadialStage& op) {
  const std::string kind = entry.at("kind").word({"agnesi", "soft", "pair_cutoff"});
  if (kind == "pair_cutoff") {
    entry.allow_only({"kind", "cutoff"});
    op.transform = read_cutoffs(entry.at("cutoff"), graph);
  } else if (kind == "agnesi") {
    entry.allow_only({"kind", "radius", "a", "q", "p"});
    op.transform = AgnesiTransform{read_radius(entry.at("radius"), graph),
                                   entry.at("a").positive(),
                                   entry.at("q").positive(),
                                   entry.at("p").positive()};
  } else {
    entry.allow_only({"kind", "radius", "alpha"});
    op.transform =
        SoftTransform{read_radius(entry.at("radius"), graph), entry.at("alpha").positive()};
  }
}

} // namespace

std::int32_t parts_to(double start, double cutoff) {
  const double ratio = start / cutoff;
  for (std::int32_t n = 1; n <= kMostParts; ++n) {
    if (std::abs(ratio * n - std::round(ratio * n)) < 1e-12 * n) {
      return n;
    }
  }
  return 0;
}

std::int32_t parts_to_all(const std::vector<double>& starts, double cutoff) {
  std::int64_t parts = 1;
  for (const double start : starts) {
    const std::int32_t n = parts_to(start, cutoff);
    parts = n == 0 ? 0 : std::lcm(parts, std::int64_t{n});
    if (parts == 0 || parts > kMostParts) {
      return 0;
    }
  }
  return static_cast<std::int32_t>(parts);
}

void read(const JsonReader& entry, GraphReader& graph, RadialStage& op) {
  GraphReader::allow_attributes(entry,
                                {"basis", "transform", "envelope", "species", "layers", "powers"});
  GraphReader::inputs_of(entry, {});
  GraphReader::weights_of(entry, {});
  const std::int64_t n = read_basis(entry.at("basis"), graph, op);
  op.envelope = read_envelope(entry.at("envelope"), graph.spec().cutoff);
  if (entry.has("transform")) {
    read_transform(entry.at("transform"), graph, op);
  }
  op.layers =
      graph.layers(entry.at("layers"),
                   n,
                   {"none", "silu", "tanh", "gelu", "mish", "shifted_softplus", "tanh_square"});
  if (entry.has("species")) {
    const JsonReader terms = entry.at("species");
    terms.allow_only({"center", "source"});
    const std::vector<std::int64_t> shape{graph.n_species(), op.layers.front().weight.shape[0]};
    op.species_terms = SpeciesTerms{graph.weights().take(terms.at("center"), shape),
                                    graph.weights().take(terms.at("source"), shape)};
  }
  const std::int64_t n_out = op.layers.back().weight.shape[0];
  if (entry.has("powers")) {
    for (const double power : graph.weights().take_integers(entry.at("powers"), {n_out}).values) {
      if (!(power >= 0.0 && power <= kMaxDegree)) {
        entry.at("powers").error(
            "a power of ", power, ", expected 0 to ", kMaxDegree, ". Re-export the model.");
      }
      op.powers.push_back(static_cast<std::int32_t>(power));
    }
  }
  graph.made().kind = ValueKind::Radial;
  graph.made().channels = static_cast<std::int32_t>(n_out);
}

SpeciesTables species_tables(RadialStage& op) {
  SpeciesTables tables;
  if (auto* agnesi = std::get_if<AgnesiTransform>(&op.transform)) {
    tables.push_back({&agnesi->radius, 1});
  }
  if (auto* soft = std::get_if<SoftTransform>(&op.transform)) {
    tables.push_back({&soft->radius, 1});
  }
  if (auto* pairs = std::get_if<PairCutoffs>(&op.transform)) {
    tables.push_back({&pairs->cutoff, 2});
  }
  if (op.species_terms) {
    tables.push_back({&op.species_terms->center, 1});
    tables.push_back({&op.species_terms->source, 1});
  }
  return tables;
}

} // namespace eqnn
