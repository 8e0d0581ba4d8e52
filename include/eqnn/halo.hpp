// SPDX-License-Identifier: BSD-3-Clause
// What ranks exchange: features of ghosts, sums, and failures.
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

/// How features are exchanged between ranks and periodic images. The caller implements it (LAMMPS's
/// Comm, for example). Without ghosts, use NoHalo. The functions that have a body here are correct
/// for one rank. For several ranks, override sum() and agree() too.
///
/// If forward(), reverse(), sum() or name_of() throw, Potential::evaluate() passes the exception
/// on, and the potential can still be used. But other ranks do not know of it and wait for this
/// one. With several ranks, keep the failure for the next agree(), or end all of them.
class EQNN_API HaloExchange {
public:
  virtual ~HaloExchange() = default;

  /// False if forward() and reverse() do nothing on any rank. Rows then stay on the device.
  virtual bool exchanges() const { return true; }

  /// Copies the rows of owned atoms onto their ghosts.
  virtual void forward(NodeRows<double> rows) = 0;
  /// The same in single precision.
  virtual void forward(NodeRows<float> rows) = 0;
  /// Adds the rows of ghosts to the atoms that own them. Ghost rows are undefined afterwards.
  virtual void reverse(NodeRows<double> rows) = 0;
  /// The same in single precision.
  virtual void reverse(NodeRows<float> rows) = 0;

  /// Whether it takes rows in the memory of the Potential's execution space. It must have finished
  /// all work there when it returns.
  virtual bool takes_rows_on_device() const { return false; }

  /// The name of a node's atom in messages.
  virtual std::string name_of(std::int32_t node) const { return "atom " + std::to_string(node); }

  /// The sum of the terms of all ranks, with the same bits on all. All ranks call it together.
  virtual double sum(double term) { return term; }

  /// All ranks call it together, before the first exchange of an evaluation and after the last,
  /// each with its failure or an empty string. Throws Error on all ranks if one failed, so that
  /// none waits for it.
  virtual void agree(const std::string& failure) {
    if (!failure.empty()) {
      throw Error(failure);
    }
  }
};

/// For edges without ghosts, where periodic images are edges. It exchanges nothing.
class EQNN_API NoHalo : public HaloExchange {
public:
  bool exchanges() const override { return false; }

  void forward(NodeRows<double> /*rows*/) override {}

  void forward(NodeRows<float> /*rows*/) override {}

  void reverse(NodeRows<double> /*rows*/) override {}

  void reverse(NodeRows<float> /*rows*/) override {}
};

} // namespace eqnn
