/* SPDX-License-Identifier: BSD-3-Clause
 * What libeqnn.so shows: all else in it is hidden. */
#ifndef EQNN_EXPORT_H
#define EQNN_EXPORT_H

#define EQNN_API __attribute__((visibility("default")))

#endif
