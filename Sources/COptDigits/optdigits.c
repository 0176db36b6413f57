#include "COptDigits.h"

static const unsigned char records[] = {
#embed "../OptDigits/optdigits.bin"
};

static const char attribution[] = {
#embed "../OptDigits/LICENSE" suffix(, 0)
};

const unsigned char *optdigits_records(void) { return records; }

size_t optdigits_byte_count(void) { return sizeof records; }

const char *optdigits_attribution(void) { return attribution; }
