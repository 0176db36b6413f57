#ifndef COPTDIGITS_H
#define COPTDIGITS_H

#include <stddef.h>

/// The embedded digits: records of 65 bytes, 64 pixel values 0..16 in row order and then the label 0..9.
const unsigned char *optdigits_records(void);

/// Bytes behind `optdigits_records`.
size_t optdigits_byte_count(void);

/// Attribution and licence of the digits, NUL-terminated.
const char *optdigits_attribution(void);

#endif
