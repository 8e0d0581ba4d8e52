// SPDX-License-Identifier: GPL-2.0-only
// Node features across ranks and periodic images, by LAMMPS's forward and reverse communication.

#ifndef LMP_EQNN_LAMMPS_HALO_H
#define LMP_EQNN_LAMMPS_HALO_H

#include "kernels/potential.hpp"

#include <cstddef>
#include <vector>

namespace LAMMPS_NS {

class Comm;
class Pair;

class LammpsHalo : public eqnn::HaloExchange {
 public:
  // pair hands its four callbacks to the functions below while an exchange is under way
  LammpsHalo(Pair *pair, const std::vector<int> &node_of_atom) :
      pair_(pair), node_of_atom_(node_of_atom)
  {
  }

  // LAMMPS replaces its Comm when the input changes comm_style: set it before each step
  void set_comm(Comm *comm) { comm_ = comm; }

  void forward(eqnn::NodeRows<double> rows) override;
  void forward(eqnn::NodeRows<float> rows) override;
  void reverse(eqnn::NodeRows<double> rows) override;
  void reverse(eqnn::NodeRows<float> rows) override;

  int pack_forward(int n, const int *atoms, double *buf) const;
  void unpack_forward(int n, int first, const double *buf) const;
  int pack_reverse(int n, int first, double *buf) const;
  void unpack_reverse(int n, const int *atoms, const double *buf) const;

 private:
  // the row of an atom's node, or null for an atom that is none
  unsigned char *row(int atom) const;
  void set_rows(void *data, std::size_t width, std::size_t scalar_size);

  Pair *pair_;
  Comm *comm_ = nullptr;
  const std::vector<int> &node_of_atom_;

  // the rows now exchanged; in a buffer, a row takes n_doubles_ whatever its type is
  unsigned char *data_ = nullptr;
  std::size_t n_bytes_ = 0;
  int n_doubles_ = 0;
  bool is_float_ = false;
};

}    // namespace LAMMPS_NS

#endif
