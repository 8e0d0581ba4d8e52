// SPDX-License-Identifier: GPL-2.0-only

#include "lammps_halo.h"

#include "collective.h"
#include "edges_from_list.h"
#include "lammps_compat.h"

#include "base/error.hpp"

#include "atom.h"
#include "comm.h"
#include "pair.h"

#include <cstring>

using namespace LAMMPS_NS;

namespace {

// target[c] += source[c]. LAMMPS's buffers of doubles hold rows of both types as plain bytes.
template <class Scalar>
void add_row(unsigned char *target, const double *source, std::size_t n_bytes)
{
  const unsigned char *bytes = reinterpret_cast<const unsigned char *>(source);
  for (std::size_t b = 0; b < n_bytes; b += sizeof(Scalar)) {
    Scalar sum, term;
    std::memcpy(&sum, target + b, sizeof(Scalar));
    std::memcpy(&term, bytes + b, sizeof(Scalar));
    sum += term;
    std::memcpy(target + b, &sum, sizeof(Scalar));
  }
}

}    // namespace

/* ---------------------------------------------------------------------- */

bool LammpsHalo::is_alone() const
{
  return comm_->nprocs == 1;
}

int LammpsHalo::owner_of(int atom) const
{
  return edges_.owner()[atom];
}

int LammpsHalo::node_of(int atom) const
{
  const int holder = owner_of(atom) < 0 ? atom : owner_of(atom);
  return edges_.node_of_atom()[holder];
}

unsigned char *LammpsHalo::row(int atom) const
{
  const int node = node_of(atom);
  return node < 0 ? nullptr : data_ + static_cast<std::size_t>(node) * n_bytes_;
}

/* ----------------------------------------------------------------------
   A ghost may have been passed on by several ranks. So requests travel to the owner by reverse
   communication, like adjoints. Each rank on the way learns which atoms are wanted, and asks the
   next.
------------------------------------------------------------------------- */

const std::vector<int> &LammpsHalo::find_wanted(Comm *comm, const Atom &atom, bool is_new_list)
{
  comm_ = comm;
  atom_ = &atom;
  passed_on_.clear();
  if (is_alone()) return passed_on_;

  const int n_all = atom.nlocal + atom.nghost;
  const std::vector<int> &node_of_atom = edges_.node_of_atom();
  wanted_.assign(n_all, 0);
  for (int j = atom.nlocal; j < n_all; j++) wanted_[j] = node_of_atom[j] >= 0 ? 1 : 0;
  if (is_new_list) wanted_of_list_.clear();
  content_ = Content::Wanted;
  n_doubles_ = 1;
  eqnn_compat::reverse_comm(*comm_, *pair_, n_doubles_);

  for (int j = atom.nlocal; j < n_all; j++)
    if (is_received(j) && node_of_atom[j] < 0) passed_on_.push_back(j);
  return passed_on_;
}

/* ---------------------------------------------------------------------- */

void LammpsHalo::exchange(void *data, std::size_t width, Content content, bool is_forward)
{
  if (is_alone()) return;
  content_ = content;
  data_ = static_cast<unsigned char *>(data);
  n_bytes_ = width * (content == Content::Floats ? sizeof(float) : sizeof(double));
  n_doubles_ = static_cast<int>((n_bytes_ + sizeof(double) - 1) / sizeof(double));
  if (is_forward) eqnn_compat::forward_comm(*comm_, *pair_, n_doubles_);
  else eqnn_compat::reverse_comm(*comm_, *pair_, n_doubles_);
}

void LammpsHalo::forward(eqnn::NodeRows<double> rows)
{
  exchange(rows.data, rows.width, Content::Doubles, true);
}

void LammpsHalo::forward(eqnn::NodeRows<float> rows)
{
  exchange(rows.data, rows.width, Content::Floats, true);
}

void LammpsHalo::reverse(eqnn::NodeRows<double> rows)
{
  exchange(rows.data, rows.width, Content::Doubles, false);
}

void LammpsHalo::reverse(eqnn::NodeRows<float> rows)
{
  exchange(rows.data, rows.width, Content::Floats, false);
}

std::string LammpsHalo::name_of(std::int32_t node) const
{
  return "atom " + std::to_string(atom_->tag[edges_.atom_of_node()[node]]);
}

double LammpsHalo::sum(double term)
{
  double total = term;
  MPI_Allreduce(&term, &total, 1, MPI_DOUBLE, MPI_SUM, world_);
  return total;
}

void LammpsHalo::agree(const std::string &failure)
{
  std::string mine = failure_.empty() ? failure : failure_;
  if (!mine.empty() && explain_) mine = explain_(mine);
  const std::string found = first_failure(world_, mine);
  failure_.clear();
  if (!found.empty()) throw eqnn::Error(found);
}

/* ---------------------------------------------------------------------- */

LammpsHalo::Rows LammpsHalo::rows_now() const
{
  return {content_ == Content::Wanted ? nullptr : data_, n_bytes_, n_doubles_,
          content_ == Content::Floats};
}

std::vector<int> LammpsHalo::nodes_sent(int n, const int *atoms) const
{
  std::vector<int> nodes;
  if (n == 0) return nodes;
  const std::vector<char> &wanted = wanted_of_list_.at(atoms);
  for (int i = 0; i < n; i++)
    if (wanted[i]) nodes.push_back(node_of(atoms[i]));
  return nodes;
}

std::vector<int> LammpsHalo::nodes_received(int n, int first) const
{
  std::vector<int> nodes;
  for (int j = first; j < first + n; j++)
    if (is_received(j)) nodes.push_back(node_of(j));
  return nodes;
}

/* ---------------------------------------------------------------------- */

void LammpsHalo::pack_row(const unsigned char *row, double *buf) const
{
  buf[n_doubles_ - 1] = 0.0;    // a row with an odd number of floats ends in half a double
  if (row) std::memcpy(buf, row, n_bytes_);
  else std::memset(buf, 0, n_bytes_);
}

/* ----------------------------------------------------------------------
   Sender and receiver skip the same rows, because the sender's marks are the receiver's requests.
------------------------------------------------------------------------- */

int LammpsHalo::pack_forward(int n, const int *atoms, double *buf) const
{
  if (n == 0) return 0;
  const std::vector<char> &wanted = wanted_of_list_.at(atoms);
  double *end = buf;
  for (int i = 0; i < n; i++) {
    if (!wanted[i]) continue;
    pack_row(row(atoms[i]), end);
    end += n_doubles_;
  }
  return static_cast<int>(end - buf);
}

void LammpsHalo::unpack_forward(int n, int first, const double *buf) const
{
  for (int j = first; j < first + n; j++) {
    if (!is_received(j)) continue;
    if (unsigned char *target = row(j)) std::memcpy(target, buf, n_bytes_);
    buf += n_doubles_;
  }
}

int LammpsHalo::pack_reverse(int n, int first, double *buf) const
{
  if (content_ == Content::Wanted) {
    for (int i = 0; i < n; i++) buf[i] = is_received(first + i) ? 1.0 : 0.0;
    return n;
  }
  double *end = buf;
  for (int j = first; j < first + n; j++) {
    if (!is_received(j)) continue;
    pack_row(row(j), end);
    end += n_doubles_;
  }
  return static_cast<int>(end - buf);
}

void LammpsHalo::unpack_reverse(int n, const int *atoms, const double *buf)
{
  if (n == 0) return;
  std::vector<char> &wanted = wanted_of_list_[atoms];
  if (content_ == Content::Wanted) {
    wanted.resize(n);
    for (int i = 0; i < n; i++) {
      wanted[i] = buf[i] != 0.0 ? 1 : 0;
      if (wanted[i]) wanted_[atoms[i]] = 1;
    }
    return;
  }
  for (int i = 0; i < n; i++) {
    if (!wanted[i]) continue;
    if (unsigned char *target = row(atoms[i])) {
      if (content_ == Content::Floats) add_row<float>(target, buf, n_bytes_);
      else add_row<double>(target, buf, n_bytes_);
    }
    buf += n_doubles_;
  }
}
