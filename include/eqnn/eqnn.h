/* SPDX-License-Identifier: BSD-3-Clause
 * C interface of libeqnn, for Python (ctypes) and other languages. Angstrom, eV. Functions return 0
 * on success, otherwise eqnn_last_error() holds the message. */
#ifndef EQNN_EQNN_H
#define EQNN_EQNN_H

#include "eqnn/export.h"

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* An open model file at one precision. Not for several threads at once. */
typedef struct eqnn_model eqnn_model;

/* The version, such as "0.1.0". */
EQNN_API const char* eqnn_version(void);

/* The error message of this thread's last call to a function that returns an int or a model. Empty
 * if nothing failed. Valid until this thread's next such call, so copy it if you keep it. */
EQNN_API const char* eqnn_last_error(void);

/* Whether the bytes of a model file are valid. No other function decides this. bytes: NULL to read
 * the file `name`. Messages call the model `name`. With `load`, the model is also loaded, and its
 * self-tests run, in every precision. This takes seconds. */
EQNN_API int eqnn_validate(const char* bytes, size_t n_bytes, const char* name, int load);

/* Opens a model file. evaluator: "reference" (plain loops, double precision), "double", "mixed" or
 * "single" (Kokkos). Returns NULL on error. */
EQNN_API eqnn_model* eqnn_open(const char* path, const char* evaluator);

/* The same on a device: "auto" (as eqnn_open(): a GPU if this build has kernels for one), "cpu" or
 * "gpu". The reference evaluator accepts "auto" and "cpu". */
EQNN_API eqnn_model* eqnn_open_on(const char* path, const char* evaluator, const char* device);

/* The same with only these elements of the model (atomic_numbers [n_elements], in any order).
 * Weights and tables of other elements are not kept. No result changes. Structures with other
 * elements are refused. */
EQNN_API eqnn_model* eqnn_open_elements(const char* path,
                                        const char* evaluator,
                                        const char* device,
                                        size_t n_elements,
                                        const int* atomic_numbers);
/* Frees a model; NULL is allowed. */
EQNN_API void eqnn_close(eqnn_model* model);

/* The number of threads of an evaluation. If there are several, a process made by fork() after the
 * first evaluation cannot evaluate: it would wait for threads that it does not have. */
EQNN_API int eqnn_n_threads(const eqnn_model* model);

/* Energy and derivatives of one structure. cell: 9 numbers, rows are lattice vectors, periodic in
 * all three directions; or NULL. energy [1]; atom_energy [n]; forces [n,3]; virial [9] = -sum r (x)
 * dE/dr, row-major. Any output may be NULL. For models with direct forces, forces are the direct
 * ones, and asking for the virial is an error. */
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
  EQNN_UNKNOWN_ELEMENT = 1, /* the model does not know it */
  EQNN_NAN = 2,             /* a coordinate that is given, or a result, is not finite */
  EQNN_INVALID = 3          /* no atoms, atoms at one place, a cell without volume, ... */
};

/* Called with how many structures are done. Return a number other than 0 to stop. */
typedef int (*eqnn_progress)(void* context, size_t done, size_t all);

/* The same for many structures, which are packed one after another and evaluated on all threads.
 * Each gets the same result as alone, bit by bit. n_atoms [n_structures]; atomic_numbers,
 * positions, atom_energy and forces: the atoms of all structures, one after another. cells
 * [n_structures,9] is read for structures whose is_periodic [n_structures] is not 0. Both are NULL
 * if none is periodic. atoms_at_once: atoms of one pass, or 0 to choose for this machine. Results
 * do not depend on it. energy [n_structures]; virial [n_structures,9]. Any output may be NULL, and
 * so may progress. status [n_structures]: if a structure fails, the others are not affected. Its
 * numbers are NaN, and eqnn_reason() gives the reason. n_done: how many structures have a status.
 * Not for the reference evaluator. */
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

/* Why the last call of eqnn_evaluate_many() has no result for a structure. Empty if it has one.
 * Valid until the next such call. */
EQNN_API const char* eqnn_reason(eqnn_model* model, size_t structure);

/* How structures are relaxed, and when they count as exploded. The fields are described in
 * eqnn/relax.hpp. */
typedef struct {
  int optimizer;            /* 0: L-BFGS, 1: FIRE, with ASE's parameters and update rules */
  double fmax;              /* eV/Angstrom, the largest force of a converged structure */
  int max_steps;            /* of each structure */
  int relax_cell;           /* not 0: cells are relaxed too */
  double exploded_force;    /* eV/Angstrom */
  double exploded_distance; /* Angstrom, from where an atom began */
  double exploded_volume;   /* a factor, either way */
  int atoms_at_once;        /* of one pass; 0: what suits the machine */
  int lbfgs_memory;         /* steps */
  double lbfgs_damping;     /* a factor of each step */
  double lbfgs_alpha;       /* eV/Angstrom^2, the first curvature */
  double lbfgs_max_step;    /* Angstrom */
  double fire_dt;           /* the first time step */
  double fire_max_step;     /* Angstrom, of all atoms together */
  double fire_dt_max;       /* the largest time step */
  int fire_n_min;           /* steps downhill before the time step grows */
  double fire_f_inc;        /* by which it grows */
  double fire_f_dec;        /* by which it falls */
  double fire_a_start;      /* how much of the velocity turns toward the force */
  double fire_f_a;          /* by which that falls */
} eqnn_relax_options;

/* Fills in the defaults, which are those of ASE. */
EQNN_API void eqnn_relax_defaults(eqnn_relax_options* options);

/* A structure during a relaxation, or at its end. Pointers are valid while the callback runs. */
typedef struct {
  int step;                /* steps that led here; 0: the beginning */
  int n_atoms;             /* of this structure */
  const double* positions; /* [n_atoms,3] Angstrom */
  const double* cell;      /* [9] Angstrom, or NULL */
  double energy;           /* eV; NaN where it could not be computed */
  double fmax;             /* eV/Angstrom, the largest force; NaN likewise */
  const double* forces;    /* [n_atoms,3] eV/Angstrom, or NULL */
} eqnn_frame;

/* The result for one structure. status: EQNN_CONVERGED, ...; reason: empty for the first two. */
typedef struct {
  int status;          /* EQNN_CONVERGED, ... */
  const char* reason;  /* what was found, and the cure */
  eqnn_frame last;     /* the last whose energy could be computed; the first where none could */
  double first_energy; /* eV; NaN where it could not be computed */
} eqnn_relaxed;

/* How a relaxation ended. */
enum {
  EQNN_CONVERGED = 0,             /* no force is above fmax */
  EQNN_MAX_STEPS = 1,             /* forces are still above fmax after the last step */
  EQNN_RELAX_NAN = 2,             /* a coordinate that is given, or a result, is not finite */
  EQNN_EXPLODED = 3,              /* the options say what that is */
  EQNN_RELAX_UNKNOWN_ELEMENT = 4, /* the model does not know it */
  EQNN_RELAX_INVALID = 5          /* no atoms, atoms at one place, a cell without volume, ... */
};

/* Callbacks, any of which may be NULL. Return a number other than 0 to stop eqnn_relax(). */
typedef struct {
  void* context; /* handed to each of them */
  /* Called once for each structure when it is done, in the order in which they end. */
  int (*finished)(void* context, size_t structure, const eqnn_relaxed* relaxed);
  /* Called for each step of each structure, including the first and the last. */
  int (*frame)(void* context, size_t structure, const eqnn_frame* frame);
  /* Called after each pass with how many structures are done, and how many evaluations of single
   * structures that took. */
  int (*progress)(void* context, size_t done, size_t all, size_t n_evaluations);
} eqnn_relax_events;

/* Relaxes many structures together, passed as to eqnn_evaluate_many(). fixed [all atoms]: not 0 for
 * atoms that do not move; or NULL. Calls `finished` once for each structure when it is done,
 * whatever its status, and `frame` for each of its steps. Results do not depend on atoms_at_once,
 * the order or the number of threads. Not for the reference evaluator. */
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

/* Runs the self-tests that are stored in the file. Largest errors: energy in eV per atom, forces in
 * eV/Angstrom (one component), virial in eV per atom (one component; 0 for direct forces). */
EQNN_API int eqnn_self_test(eqnn_model* model,
                            double* energy_error,
                            double* force_error,
                            double* virial_error,
                            int* n_structures);

/* Text for a log. Valid until the model is closed. */
EQNN_API const char* eqnn_describe(eqnn_model* model);

/* What is executed: a line for each table and each stage. Empty for the reference evaluator. Valid
 * until the model is closed. */
EQNN_API const char* eqnn_plan(eqnn_model* model);

#ifdef __cplusplus
}
#endif
#endif
