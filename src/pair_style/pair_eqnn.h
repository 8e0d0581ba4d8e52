// SPDX-License-Identifier: GPL-2.0-only
/* -*- c++ -*- ----------------------------------------------------------
   LAMMPS - Large-scale Atomic/Molecular Massively Parallel Simulator
   https://www.lammps.org/, Sandia National Laboratories
   LAMMPS development team: developers@lammps.org

   This software is distributed under the GNU General Public License.
------------------------------------------------------------------------- */

#ifdef PAIR_CLASS
// clang-format off
PairStyle(eqnn,PairEQNN);
// clang-format on
#else

#ifndef LMP_PAIR_EQNN_H
#define LMP_PAIR_EQNN_H

#include "pair.h"

#include <string>
#include <vector>

namespace eqnn {
class Model;
struct NeighborsOnHost;
struct Observables;
struct Wanted;
}    // namespace eqnn

namespace LAMMPS_NS {

struct NeighborRows;

class PairEQNN : public Pair {
 public:
  PairEQNN(class LAMMPS *);
  ~PairEQNN() override;

  void settings(int, char **) override;
  void coeff(int, char **) override;
  void init_style() override;
  double init_one(int, int) override;
  void compute(int, int) override;

  int pack_forward_comm(int, int *, double *, int, int *) override;
  void unpack_forward_comm(int, int, double *) override;
  int pack_reverse_comm(int, int, double *) override;
  void unpack_reverse_comm(int, int *, double *) override;

  double memory_usage() override;

 protected:
  // accelerated variants override these: the neighbor list to request, and how its rows get to the
  // host

  virtual void request_list();
  virtual NeighborRows rows_of_list();

  // whether the engine makes the edges, on the device that runs the model

  virtual bool makes_edges_there() const;

  // computes energies, forces and virials of a step into the arrays that ev_init() prepared

  void compute_on_host();

  // parts of a step
  //   look_at_list: finds owners and exclusions of a new list; returns whether it is new
  //   make_nodes: makes the nodes, which stay the same until the list is rebuilt
  //   build_edges: makes the edges; returns the failure, or an empty string
  //   explain: adds the names of atoms to a failure
  //   wanted: the results that LAMMPS asks for
  //   report_memory: a line in the log after the first step

  bool look_at_list();
  void make_nodes(const std::vector<char> &marked, const int *rows, int n_rows);
  std::string build_edges();
  std::string explain(const std::string &failure);
  eqnn::Wanted wanted() const;
  void report_memory();

  // the model, its evaluator and the buffers: see pair_eqnn_impl.h
  struct Impl;
  Impl *impl;

 private:
  void allocate();
  void set_coeffs(const std::vector<int> &);
  void require_allowed(const eqnn::Model &) const;
  std::string free_atoms() const;
  void report_model();
  const eqnn::Observables &evaluate();
  bool are_types_changed() const;
  std::vector<char> mark_neighbors() const;
  eqnn::NeighborsOnHost neighbors(bool is_new);
  const eqnn::Observables &evaluate_list();
  void bring_home(const eqnn::Observables &);
  void tally(const eqnn::Observables &);
};

}    // namespace LAMMPS_NS

#endif
#endif
