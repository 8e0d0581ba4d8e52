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

/// A limit of the engine: an XPLOR envelope must start, and a pair's cutoff must end, at the border
/// of an interval of the radial table. So each is a ratio of whole numbers up to this, times the
/// cutoff.
inline constexpr std::int32_t kMostParts = 1000;

/// The smallest number of equal parts of the cutoff with a border at `start`; 0 if it is more than
/// kMostParts.
std::int32_t parts_to(double start, double cutoff);

/// The same with a border at each of `starts`; 0 if it is more than kMostParts.
std::int32_t parts_to_all(const std::vector<double>& starts, double cutoff);

struct Envelope {
  EnvelopeKind kind = EnvelopeKind::None;
  double p = 0.0;        ///< of the polynomial
  double start = 0.0;    ///< of XPLOR, Angstrom
  bool on_basis = false; ///< multiplies the functions g_k, else the output
};

/// What the basis uses instead of r: a function of r/r_0, where r_0 depends on both species. The
/// envelope uses r itself.
struct AgnesiTransform {
  Tensor radius; ///< [species] Angstrom; r_0 = (R_i + R_j) / 2
  double a = 0.0, q = 0.0, p = 0.0;
};

/// r_0 = R_i + R_j
struct SoftTransform {
  Tensor radius; ///< [species] Angstrom
  double alpha = 0.0;
};

/// A cutoff of each pair, at which basis and envelope end: both take r cutoff / cutoff_ij.
struct PairCutoffs {
  Tensor cutoff; ///< [species of the center, of the source] Angstrom
  /// parts_to_all() of all pairs of the file: tables do not depend on which species were kept of them.
  std::int32_t parts = 1;
};

/// Rows of both atoms' species that are added to the first layer's W x + b, before its norm.
struct SpeciesTerms {
  Tensor center, source; ///< [species, out of the first layer]
};

struct RadialStage {
  std::variant<GaussianBasis, BesselBasis, ChebyshevBasis> basis;
  std::variant<std::monostate, AgnesiTransform, SoftTransform, PairCutoffs> transform;
  Envelope envelope;
  std::optional<SpeciesTerms> species_terms;
  std::vector<MlpLayer> layers;
  std::vector<std::int32_t> powers; ///< [out] of r, which multiply the output; empty: none

  /// Whether each pair of species has its own function.
  bool depends_on_species() const { return transform.index() != 0 || species_terms.has_value(); }
};

} // namespace eqnn
