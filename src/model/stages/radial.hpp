// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "model/weights.hpp"

#include <variant>

namespace eqnn {

/// g_k(r) = amplitude_k exp(-((r - center_k) / width_k)^2 / 2); r, center, width in Angstrom
struct GaussianBasis {
  Tensor center, width, amplitude; ///< [n]
};

/// g_k(r) = amplitude_k sin(frequency_k r) / r
struct BesselBasis {
  Tensor frequency; ///< [n] 1/Angstrom
  Tensor amplitude; ///< [n]
};

/// g_k(r) = amplitude_k T_k(r), T_k the Chebyshev polynomial of order k = 1 .. n
struct ChebyshevBasis {
  Tensor amplitude; ///< [n]
};

enum class EnvelopeKind { None, Polynomial, Xplor };

/// A limit of the engine. An XPLOR envelope must start at the border of an interval of the radial
/// table, and a pair's cutoff must lie at one. So each must be the cutoff times a ratio of whole
/// numbers up to this.
inline constexpr std::int32_t kMostParts = 1000;

/// The smallest number of equal parts of [0, cutoff] with a border at `start`; 0 if there would be
/// more than kMostParts.
std::int32_t parts_to(double start, double cutoff);

/// The same with borders at all `starts`.
std::int32_t parts_to_all(const std::vector<double>& starts, double cutoff);

struct Envelope {
  EnvelopeKind kind = EnvelopeKind::None;
  double p = 0.0;        ///< exponent of the polynomial
  double start = 0.0;    ///< start of XPLOR, Angstrom
  bool on_basis = false; ///< true: multiplies the functions g_k; false: the output
};

/// The basis takes a function of r/r_0 instead of r, where r_0 depends on both species. The
/// envelope takes r itself.
struct AgnesiTransform {
  Tensor radius; ///< [species] Angstrom; r_0 = (R_i + R_j) / 2
  double a = 0.0, q = 0.0, p = 0.0;
};

/// r_0 = R_i + R_j
struct SoftTransform {
  Tensor radius; ///< [species] Angstrom
  double alpha = 0.0;
};

/// A cutoff for each pair of species, at which basis and envelope end. Both take r cutoff /
/// cutoff_ij instead of r.
struct PairCutoffs {
  Tensor cutoff; ///< [species of the center, species of the source] Angstrom
  /// parts_to_all() for all pairs in the file, so that tables do not depend on the species that
  /// were kept.
  std::int32_t parts = 1;
};

/// Rows for the species of both atoms. They are added to W x + b of the first layer, before its
/// norm.
struct SpeciesTerms {
  Tensor center, source; ///< [species, outputs of the first layer]
};

struct RadialStage {
  std::variant<GaussianBasis, BesselBasis, ChebyshevBasis> basis;
  std::variant<std::monostate, AgnesiTransform, SoftTransform, PairCutoffs> transform;
  Envelope envelope;
  std::optional<SpeciesTerms> species_terms;
  std::vector<MlpLayer> layers;
  std::vector<std::int32_t> powers; ///< [out] powers of r that multiply the outputs; empty: none

  /// Whether each pair of species has its own function.
  bool depends_on_species() const { return transform.index() != 0 || species_terms.has_value(); }
};

} // namespace eqnn
