/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TACTUS_API marks what libtactus.so exports; everything else is hidden. The
 * list of exported symbols is kept by tests/package/exported_symbols.txt.
 */
#ifndef TACTUS_EXPORT_H
#define TACTUS_EXPORT_H

#if defined(__GNUC__)
#define TACTUS_API __attribute__((visibility("default")))
#else
#define TACTUS_API
#endif

#endif
