/* SPDX-License-Identifier: BSD-3-Clause
 * C interface of libeqnn, for Python (ctypes) and other languages. Units are Angstrom and eV.
 * Unless stated otherwise, functions that return an int return 0 on success. After a failure,
 * eqnn_last_error() returns the message. */
#ifndef EQNN_EQNN_H
#define EQNN_EQNN_H

#include "eqnn/export.h"

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* An open model at one precision. Do not use it from several threads at once. */
typedef struct eqnn_model eqnn_model;

/* The version, for example "0.1.0". */
EQNN_API const char* eqnn_version(void);

/* The error message of this thread's last call that can fail: all functions that return an int or a
 * model, except eqnn_n_threads(). Empty if that call succeeded. Valid until this thread's next such
 * call, so copy it to keep it. */
EQNN_API const char* eqnn_last_error(void);

/* Returns 0 if a model file is valid. bytes [n_bytes]: the contents of the file, or NULL to read
 * the file `name`. Error messages call the model `name`. If `load` is not 0, also loads the model
 * in every precision and runs its self-tests, which takes seconds. A model without self-tests is
 * then an error. */
EQNN_API int eqnn_validate(const char* bytes, size_t n_bytes, const char* name, int load);

/* Opens a model file. evaluator: "reference" (plain loops in double precision), or "double",
 * "mixed" or "single" (Kokkos kernels in that precision). Returns NULL on error. */
EQNN_API eqnn_model* eqnn_open(const char* path, const char* evaluator);

/* The same on a given device: "auto" (a GPU if this build has kernels for one, as eqnn_open()
 * does), "cpu" or "gpu". The reference evaluator accepts "auto" and "cpu". */
EQNN_API eqnn_model* eqnn_open_on(const char* path, const char* evaluator, const char* device);

/* The same with only some elements of the model: atomic_numbers [n_elements], in any order, or NULL
 * for all. Weights and tables of other elements are not kept. Results do not change. Structures
 * with other elements are rejected. */
EQNN_API eqnn_model* eqnn_open_elements(const char* path,
                                        const char* evaluator,
                                        const char* device,
                                        size_t n_elements,
                                        const int* atomic_numbers);
/* Frees a model; NULL is allowed. */
EQNN_API void eqnn_close(eqnn_model* model);

/* Returns the number of threads that an evaluation uses. If there are several, a process made by
 * fork() after the first evaluation cannot evaluate: it would wait for threads that it does not
 * have. */
EQNN_API int eqnn_n_threads(const eqnn_model* model);

/* Energy, forces and virial of one structure. Input: atomic_numbers [n_atoms]; positions
 * [n_atoms,3] Angstrom; cell [9] Angstrom, whose rows are lattice vectors, periodic in all three
 * directions, or NULL. Output: energy [1] eV; atom_energy [n_atoms] eV; forces [n_atoms,3]
 * eV/Angstrom; virial [9] = -sum r (x) dE/dr eV, row-major. Any output may be NULL. For a model
 * with direct forces, asking for the virial is an error. */
EQNN_API int eqnn_evaluate(eqnn_model* model,
                           int n_atoms,
                           const int* atomic_numbers,
                           const double* positions,
                           const double* cell,
                           double* energy,
                           double* atom_energy,
                           double* forces,
                           double* virial);

/* The status of a structure after eqnn_evaluate_many(). */
enum {
  EQNN_OK = 0,
  EQNN_UNKNOWN_ELEMENT = 1, /* the model does not know an element */
  EQNN_NAN = 2,             /* an input coordinate or a result is not finite */
  EQNN_INVALID = 3          /* no atoms, coinciding atoms, a cell without volume, ... */
};

/* Called with the number of finished structures. Return a nonzero number to stop. */
typedef int (*eqnn_progress)(void* context, size_t done, size_t all);

/* The same for many structures, which are packed one after another and evaluated on all threads.
 * The result of each structure is bit for bit the same as for the structure alone. n_atoms
 * [n_structures]. atomic_numbers, positions, atom_energy and forces hold the atoms of all
 * structures, one after another. cells [n_structures,9] is read for structures whose is_periodic
 * [n_structures] is not 0. Both may be NULL if no structure is periodic. atoms_at_once: number of
 * atoms in one pass, or 0 to choose for this machine. Results do not depend on it. energy
 * [n_structures]; virial [n_structures,9]. energy, atom_energy, forces, virial and progress may be
 * NULL; status and n_done may not. status [n_structures]: EQNN_OK, ... If a structure fails, the
 * others are not affected. Its numbers are NaN, and eqnn_reason() returns the reason. n_done:
 * number of structures that have a status. Not available for the reference evaluator. */
EQNN_API int eqnn_evaluate_many(eqnn_model* model,
                                size_t n_structures,
                                const int* n_atoms,
                                const int* atomic_numbers,
                                const double* positions,
                                const double* cells,
                                const int* is_periodic,
                                int atoms_at_once,
                                eqnn_progress progress,
                                void* context,
                                double* energy,
                                double* atom_energy,
                                double* forces,
                                double* virial,
                                int* status,
                                size_t* n_done);

/* The reason why a structure failed in the last call of eqnn_evaluate_many(). Empty if it did not
 * fail. Valid until the next such call. */
EQNN_API const char* eqnn_reason(eqnn_model* model, size_t structure);

/* How structures are relaxed, and when they count as exploded. For details of the fields, see
 * eqnn/relax.hpp. */
typedef struct {
  int optimizer;            /* 0: L-BFGS, 1: FIRE, with ASE's update rules */
  double fmax;              /* eV/Angstrom, converged if all forces are below */
  int max_steps;            /* for each structure */
  int relax_cell;           /* not 0: relax cells too */
  double exploded_force;    /* eV/Angstrom */
  double exploded_distance; /* Angstrom, displacement of an atom */
  double exploded_volume;   /* factor by which a volume grows or shrinks */
  int atoms_at_once;        /* in one pass; 0: choose for this machine */
  int lbfgs_memory;         /* number of past steps */
  double lbfgs_damping;     /* factor applied to each step */
  double lbfgs_alpha;       /* eV/Angstrom^2, initial curvature */
  double lbfgs_max_step;    /* Angstrom */
  double fire_dt;           /* initial time step */
  double fire_max_step;     /* Angstrom, norm over all atoms */
  double fire_dt_max;       /* largest time step */
  int fire_n_min;           /* downhill steps before the time step grows */
  double fire_f_inc;        /* factor by which it grows */
  double fire_f_dec;        /* factor by which it shrinks */
  double fire_a_start;      /* initial fraction of velocity turned to the force */
  double fire_f_a;          /* factor by which this fraction shrinks */
} eqnn_relax_options;

/* Fills in the defaults. Those of the optimizers are ASE's. */
EQNN_API void eqnn_relax_defaults(eqnn_relax_options* options);

/* A structure during a relaxation, or at its end. Pointers are valid only while the callback
 * runs. */
typedef struct {
  int step;                /* number of steps so far; 0: initial structure */
  int n_atoms;             /* in this structure */
  const double* positions; /* [n_atoms,3] Angstrom */
  const double* cell;      /* [9] Angstrom, or NULL */
  double energy;           /* eV; NaN if it could not be computed */
  double fmax;             /* eV/Angstrom, the largest force; NaN if unknown */
  const double* forces;    /* [n_atoms,3] eV/Angstrom, or NULL */
} eqnn_frame;

/* The result for one structure. */
typedef struct {
  int status;         /* EQNN_CONVERGED, ... */
  const char* reason; /* what was found, and the fix; empty for EQNN_CONVERGED and EQNN_MAX_STEPS */
  eqnn_frame last;    /* last frame with an energy; if none has one, the initial structure */
  double first_energy; /* eV; NaN if it could not be computed */
} eqnn_relaxed;

/* How a relaxation ended. */
enum {
  EQNN_CONVERGED = 0,             /* all forces are below fmax */
  EQNN_MAX_STEPS = 1,             /* not converged after max_steps */
  EQNN_RELAX_NAN = 2,             /* an input coordinate or a result is not finite */
  EQNN_EXPLODED = 3,              /* as defined in eqnn_relax_options */
  EQNN_RELAX_UNKNOWN_ELEMENT = 4, /* the model does not know an element */
  EQNN_RELAX_INVALID = 5          /* no atoms, coinciding atoms, a cell without volume, ... */
};

/* Callbacks, any of which may be NULL. Return a nonzero number to stop eqnn_relax(). */
typedef struct {
  void* context; /* passed to each callback */
  /* Called once for each structure when it is done. Structures may finish in any order. */
  int (*finished)(void* context, size_t structure, const eqnn_relaxed* relaxed);
  /* Called for each frame of each structure, including the first and the last. */
  int (*frame)(void* context, size_t structure, const eqnn_frame* frame);
  /* Called after each pass with the number of finished structures, and the number of
   * single-structure evaluations so far. */
  int (*progress)(void* context, size_t done, size_t all, size_t n_evaluations);
} eqnn_relax_events;

/* Relaxes many structures together. Structures are passed as for eqnn_evaluate_many(). fixed [all
 * atoms]: not 0 for atoms that do not move; NULL if all move. Calls `finished` once for each
 * structure when it is done, whatever its status, and `frame` for each of its frames. Results do
 * not depend on atoms_at_once, the order of structures or the number of threads. Not available for
 * the reference evaluator. */
EQNN_API int eqnn_relax(eqnn_model* model,
                        size_t n_structures,
                        const int* n_atoms,
                        const int* atomic_numbers,
                        const double* positions,
                        const double* cells,
                        const int* is_periodic,
                        const int* fixed,
                        const eqnn_relax_options* options,
                        const eqnn_relax_events* events);

/* Runs the self-tests stored in the file. Returns the largest errors: energy in eV per atom, forces
 * in eV/Angstrom (one component), virial in eV per atom (one component; 0 for direct forces). No
 * output may be NULL. */
EQNN_API int eqnn_self_test(eqnn_model* model,
                            double* energy_error,
                            double* force_error,
                            double* virial_error,
                            int* n_structures);

/* A description for a log. Valid until the model is closed. */
EQNN_API const char* eqnn_describe(eqnn_model* model);

/* The execution plan, with a line for each table and each stage. Empty for the reference evaluator.
 * Valid until the model is closed. */
EQNN_API const char* eqnn_plan(eqnn_model* model);

#ifdef __cplusplus
}
#endif
#endif
