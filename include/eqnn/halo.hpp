// SPDX-License-Identifier: BSD-3-Clause
// What crosses the borders between ranks: features of ghosts, sums, and failures.
#pragma once

#include "eqnn/error.hpp"
#include "eqnn/export.h"

#include <cstdint>
#include <string>

namespace eqnn {

/// Rows of node features, `width` numbers each, for all n_nodes nodes.
template <class Scalar> struct NodeRows {
  Scalar* data;       ///< [n_nodes, width], on the host or where takes_rows_on_device() says
  std::int32_t width; ///< numbers of a row
};

/// How features cross the borders between ranks and periodic images. The caller implements it
/// (LAMMPS's Comm; a fake in tests); without ghosts, NoHalo does. What has a body here is right for
/// one rank: on several, sum() and agree() must be overridden too.
///
/// What forward(), reverse(), sum() or name_of() throw leaves Potential::evaluate() as it is, and
/// the potential is as good as before. But other ranks are not told, and wait for this one: on
/// several ranks, keep the failure for the next agree(), or end them all.
class EQNN_API HaloExchange {
public:
  virtual ~HaloExchange() = default;

  /// False where forward() and reverse() do nothing on any rank: rows then stay on the device.
  virtual bool exchanges() const { return true; }

  /// Copies the rows of owned atoms onto their ghosts.
  virtual void forward(NodeRows<double> rows) = 0;
  /// The same in single precision.
  virtual void forward(NodeRows<float> rows) = 0;
  /// Adds the rows of ghosts to the atoms that own them. Ghost rows are undefined afterwards.
  virtual void reverse(NodeRows<double> rows) = 0;
  /// The same in single precision.
  virtual void reverse(NodeRows<float> rows) = 0;

  /// Whether the rows that it is handed are in the memory of the Potential's execution space, and
  /// stay there. What it has begun there must be done when it returns.
  virtual bool takes_rows_on_device() const { return false; }

  /// How messages call the atom of a node.
  virtual std::string name_of(std::int32_t node) const { return "atom " + std::to_string(node); }

  /// The sum of all ranks' terms, the same on all; all ranks call it together.
  virtual double sum(double term) { return term; }

  /// All ranks call it together, each with what failed on it or an empty string, before the first
  /// exchange of an evaluation and after the last: throws Error on all ranks where one failed, so
  /// that none waits for it.
  virtual void agree(const std::string& failure) {
    if (!failure.empty()) {
      throw Error(failure);
    }
  }
};

/// Of edges without ghosts, where periodic images are edges: nothing is exchanged.
class EQNN_API NoHalo : public HaloExchange {
public:
  bool exchanges() const override { return false; }

  void forward(NodeRows<double> /*rows*/) override {}

  void forward(NodeRows<float> /*rows*/) override {}

  void reverse(NodeRows<double> /*rows*/) override {}

  void reverse(NodeRows<float> /*rows*/) override {}
};

} // namespace eqnn
