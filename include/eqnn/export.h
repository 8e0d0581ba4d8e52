/* SPDX-License-Identifier: BSD-3-Clause
 * Marks the symbols that libeqnn.so exports. All others are hidden. */
#ifndef EQNN_EXPORT_H
#define EQNN_EXPORT_H

#define EQNN_API __attribute__((visibility("default")))

#endif
