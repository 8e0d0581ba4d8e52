// SPDX-License-Identifier: GPL-2.0-only
// Exchanges node features between ranks with LAMMPS's forward and reverse communication. Rows of
// ghosts are sent only to ranks that have nodes for them.

#ifndef LMP_EQNN_LAMMPS_HALO_H
#define LMP_EQNN_LAMMPS_HALO_H

#include "eqnn/halo.hpp"

#include <mpi.h>

#include <cstddef>
#include <functional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace LAMMPS_NS {

class Atom;
class Comm;
class EdgesFromList;
class Pair;

class LammpsHalo : public eqnn::HaloExchange {
 public:
  // During an exchange, pair must forward its four pack and unpack callbacks to the functions
  // below.
  LammpsHalo(Pair *pair, MPI_Comm world, const EdgesFromList &edges) :
      pair_(pair), world_(world), edges_(edges)
  {
  }

  // Collective, before each step: asks the other ranks which atoms they need. Returns the ghosts
  // without a node that this rank must pass on. comm is an argument because LAMMPS replaces its
  // Comm when the input changes comm_style. is_new_list: whether the list was rebuilt since the
  // last call.
  const std::vector<int> &find_wanted(Comm *comm, const Atom &atom, bool is_new_list);

  // Sets a failure on this rank from before the evaluation. The next agree() ends all ranks with
  // it.
  void set_failure(const std::string &failure) { failure_ = failure; }

  // Sets a function that rewrites a failure message, because the evaluation may not know the atoms'
  // names.
  void set_explanation(std::function<std::string(const std::string &)> explain)
  {
    explain_ = std::move(explain);
  }

  // Whether rows are exchanged in the memory of the device that runs the model. That device may be
  // the host.
  void take_rows_on_device(bool takes) { takes_rows_on_device_ = takes; }
  bool takes_rows_on_device() const override { return takes_rows_on_device_; }

  // false on a single rank: its ghosts are images of its own atoms
  bool exchanges() const override { return !is_alone(); }

  void forward(eqnn::NodeRows<double> rows) override;
  void forward(eqnn::NodeRows<float> rows) override;
  void reverse(eqnn::NodeRows<double> rows) override;
  void reverse(eqnn::NodeRows<float> rows) override;
  void agree(const std::string &failure) override;
  std::string name_of(std::int32_t node) const override;
  double sum(double term) override;

  // ---- for callbacks that pack rows themselves, in device memory ----

  // the current exchange: rows of nodes or, if data is null, flags of wanted atoms
  struct Rows {
    unsigned char *data;
    std::size_t n_bytes;    // in a row
    int n_doubles;          // that a row takes up in a buffer
    bool are_floats;
  };
  Rows rows_now() const;

  // The nodes whose rows are sent for a list of n atoms, and received for n ghosts from `first` on,
  // in their order in the buffer.
  std::vector<int> nodes_sent(int n, const int *atoms) const;
  std::vector<int> nodes_received(int n, int first) const;

  int pack_forward(int n, const int *atoms, double *buf) const;
  void unpack_forward(int n, int first, const double *buf) const;
  int pack_reverse(int n, int first, double *buf) const;
  void unpack_reverse(int n, const int *atoms, const double *buf);

 private:
  // content of an exchange: flags of wanted atoms, or rows of one type
  enum class Content { Wanted, Doubles, Floats };

  bool is_alone() const;
  void exchange(void *data, std::size_t width, Content content, bool is_forward);
  // node_of: the node of an atom or, for an image of an own atom, of that atom; row: its row, null
  // if it has no node
  int node_of(int atom) const;
  unsigned char *row(int atom) const;
  void pack_row(const unsigned char *row, double *buf) const;
  // whether this ghost receives rows and returns adjoints to its owner
  bool is_received(int ghost) const { return wanted_[ghost] && owner_of(ghost) < 0; }
  int owner_of(int atom) const;

  Pair *pair_;
  MPI_Comm world_;
  Comm *comm_ = nullptr;
  const Atom *atom_ = nullptr;
  const EdgesFromList &edges_;
  std::string failure_;
  std::function<std::string(const std::string &)> explain_;
  bool takes_rows_on_device_ = false;

  std::vector<char>
      wanted_;    // [nlocal + nghost] by this rank, or by a rank that it passes the atom on to
  // for each of LAMMPS's send lists, which of its atoms the receiver wants
  std::unordered_map<const int *, std::vector<char>> wanted_of_list_;
  std::vector<int> passed_on_;

  // the current exchange; rows of both types take up n_doubles_ in a buffer
  Content content_ = Content::Wanted;
  unsigned char *data_ = nullptr;
  std::size_t n_bytes_ = 0;
  int n_doubles_ = 1;
};

}    // namespace LAMMPS_NS

#endif
