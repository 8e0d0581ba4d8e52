// SPDX-License-Identifier: BSD-3-Clause
// Communication between ranks: features of ghost atoms, sums, and failures.
#pragma once

#include "eqnn/error.hpp"
#include "eqnn/export.h"

#include <cstdint>
#include <string>

namespace eqnn {

/// Rows of node features, `width` numbers each, for all n_nodes nodes.
template <class Scalar> struct NodeRows {
  Scalar* data;       ///< [n_nodes, width], on the host unless takes_rows_on_device()
  std::int32_t width; ///< numbers in a row
};

/// Halo exchange of features between ranks and periodic images. The caller implements it, for
/// example with LAMMPS's Comm. Without ghosts, use NoHalo. The default implementations are correct
/// for one rank. For several ranks, override sum() and agree() too.
///
/// If forward(), reverse(), sum() or name_of() throws, Potential::evaluate() passes the exception
/// on, and the potential can still be used. But the other ranks do not know about it and wait for
/// this one. With several ranks, keep the failure until the next agree(), or end all ranks.
class EQNN_API HaloExchange {
public:
  virtual ~HaloExchange() = default;

  /// False if forward() and reverse() do nothing on any rank. Rows then stay on the device.
  virtual bool exchanges() const { return true; }

  /// Copies the rows of owned atoms to their ghosts.
  virtual void forward(NodeRows<double> rows) = 0;
  /// The same in single precision.
  virtual void forward(NodeRows<float> rows) = 0;
  /// Adds the rows of ghosts to the rows of their owners. Ghost rows are undefined afterwards.
  virtual void reverse(NodeRows<double> rows) = 0;
  /// The same in single precision.
  virtual void reverse(NodeRows<float> rows) = 0;

  /// Whether forward() and reverse() take rows in the memory of the Potential's execution space.
  /// They must have finished all work there when they return.
  virtual bool takes_rows_on_device() const { return false; }

  /// The name of a node's atom in error messages.
  virtual std::string name_of(std::int32_t node) const { return "atom " + std::to_string(node); }

  /// The sum of the terms of all ranks, bit for bit the same on all. All ranks call it together.
  virtual double sum(double term) { return term; }

  /// All ranks call it together, before the first exchange of an evaluation and after the last.
  /// Each passes its failure, or an empty string. If a rank failed, throws Error on all ranks, so
  /// that none waits for it.
  virtual void agree(const std::string& failure) {
    if (!failure.empty()) {
      throw Error(failure);
    }
  }
};

/// For edge lists without ghosts, in which an edge to a periodic image points to the atom itself.
/// It exchanges nothing.
class EQNN_API NoHalo : public HaloExchange {
public:
  bool exchanges() const override { return false; }

  void forward(NodeRows<double> /*rows*/) override {}

  void forward(NodeRows<float> /*rows*/) override {}

  void reverse(NodeRows<double> /*rows*/) override {}

  void reverse(NodeRows<float> /*rows*/) override {}
};

} // namespace eqnn
