// SPDX-License-Identifier: GPL-2.0-only

#include "lammps_halo.h"

#include "lammps_compat.h"

#include <cstring>

using namespace LAMMPS_NS;

namespace {

// target[c] += source[c]; LAMMPS's buffers of doubles carry rows of either type as plain bytes
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

void LammpsHalo::set_rows(void *data, std::size_t width, std::size_t scalar_size)
{
  data_ = static_cast<unsigned char *>(data);
  n_bytes_ = width * scalar_size;
  n_doubles_ = static_cast<int>((n_bytes_ + sizeof(double) - 1) / sizeof(double));
  is_float_ = scalar_size == sizeof(float);
}

void LammpsHalo::forward(eqnn::NodeRows<double> rows)
{
  set_rows(rows.data, rows.width, sizeof(double));
  eqnn_compat::forward_comm(*comm_, *pair_, n_doubles_);
}

void LammpsHalo::forward(eqnn::NodeRows<float> rows)
{
  set_rows(rows.data, rows.width, sizeof(float));
  eqnn_compat::forward_comm(*comm_, *pair_, n_doubles_);
}

void LammpsHalo::reverse(eqnn::NodeRows<double> rows)
{
  set_rows(rows.data, rows.width, sizeof(double));
  eqnn_compat::reverse_comm(*comm_, *pair_, n_doubles_);
}

void LammpsHalo::reverse(eqnn::NodeRows<float> rows)
{
  set_rows(rows.data, rows.width, sizeof(float));
  eqnn_compat::reverse_comm(*comm_, *pair_, n_doubles_);
}

/* ---------------------------------------------------------------------- */

unsigned char *LammpsHalo::row(int atom) const
{
  const int node = node_of_atom_[atom];
  return node < 0 ? nullptr : data_ + static_cast<std::size_t>(node) * n_bytes_;
}

int LammpsHalo::pack_forward(int n, const int *atoms, double *buf) const
{
  for (int i = 0; i < n; i++, buf += n_doubles_) {
    buf[n_doubles_ - 1] = 0.0;    // an odd row of floats ends in half a double
    if (const unsigned char *source = row(atoms[i])) std::memcpy(buf, source, n_bytes_);
  }
  return n * n_doubles_;
}

void LammpsHalo::unpack_forward(int n, int first, const double *buf) const
{
  for (int i = 0; i < n; i++, buf += n_doubles_)
    if (unsigned char *target = row(first + i)) std::memcpy(target, buf, n_bytes_);
}

int LammpsHalo::pack_reverse(int n, int first, double *buf) const
{
  for (int i = 0; i < n; i++, buf += n_doubles_) {
    buf[n_doubles_ - 1] = 0.0;
    if (const unsigned char *source = row(first + i)) std::memcpy(buf, source, n_bytes_);
  }
  return n * n_doubles_;
}

void LammpsHalo::unpack_reverse(int n, const int *atoms, const double *buf) const
{
  for (int i = 0; i < n; i++, buf += n_doubles_) {
    unsigned char *target = row(atoms[i]);
    if (!target) continue;
    if (is_float_) add_row<float>(target, buf, n_bytes_);
    else add_row<double>(target, buf, n_bytes_);
  }
}
