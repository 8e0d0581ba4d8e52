// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "plan/values.hpp"

namespace eqnn::plan {

/// Highest degree that ZonalProduct supports.
inline constexpr std::int32_t kMostZonalDegree = 10;

/// One pair of degrees at an order m: out += a source, both for cosines and sines, with a = sum
/// over terms of value w[l]. There are no sines for m = 0.
struct ZonalPair {
  std::int32_t in = 0, in_sine = 0, out = 0, out_sine = 0; ///< components in the frame's order
  std::int32_t first_term = 0, n_terms = 0;
};

/// w[l]: the radial functions for degree l of the filter.
struct ZonalTerm {
  std::int32_t l = 0;
  double value = 0.0;
};

/// An entry [i, j], i < j, of an antisymmetric matrix: the generator of a rotation.
struct Turn {
  std::int32_t i = 0, j = 0;
  double value = 0.0;
};

/// Gaunt convolution in the frame of the edge. Order of components in the frame: for each degree,
/// the cosines of m = 0 .. l, then the sines of m = 1 .. l. See docs/spec/gaunt.md.
struct ZonalProduct {
  ValueId out = kNoValue;
  Input source;
  std::int32_t radial = -1; ///< [degrees of the filter, channels], channels of each degree padded
  std::int32_t l_source = 0, l_out = 0, l_turned = 0;
  std::int32_t entries = 0;
  std::vector<double> polar; ///< [2 l_turned + 1, entries] for 1, cos(k beta), sin(k beta)
  std::vector<ZonalPair> pairs;
  std::int32_t n_axial = 0; ///< number of pairs with m = 0, which come first
  std::vector<ZonalTerm> terms;
  std::vector<Turn> turns[2]; ///< generators of rotations of the edge along its two tangents

  ValueId output() const { return out; }

  std::vector<Input*> inputs() { return {&source}; }

  std::vector<ValueId> saved_for_adjoint() const { return {source.value}; }

  std::vector<ValueId> read_on_ghosts() const { return {source.value}; }

  Input* residual() { return nullptr; }

  void make(ValueId value) { out = value; }

  std::string describe(const ValueNames& names) const;
};

/// Makes the product. The caller sets input, output and radial. @pre degrees are at most
/// kMostZonalDegree
ZonalProduct zonal_product(std::int32_t l_source, std::int32_t l_filter, std::int32_t l_out);

/// Number of multiply-adds for one channel of an edge.
struct ZonalCost {
  double forward = 0.0, adjoint = 0.0;
};

ZonalCost multiply_adds(const ZonalProduct& product);

/// Estimated time of forward and adjoint for one channel of an edge, by measured rates
/// (docs/performance.md). Unit: multiply-adds at the machine's peak.
double cost(const ZonalProduct& product);

} // namespace eqnn::plan
