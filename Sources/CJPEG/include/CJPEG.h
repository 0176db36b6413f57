#ifndef CJPEG_H
#define CJPEG_H

#include <stddef.h>
#include <stdint.h>

enum { CJPEG_MESSAGE_BYTES = 256 };

/// What the header of a JPEG file says of the decoded picture.
struct cjpeg_header {
    uint32_t width;
    uint32_t height;
    /// 1: gray, 3: RGB.
    uint32_t channels;
};

/// libjpeg reports errors by longjmp, which must not cross Swift frames: both functions catch it here. They return 0, or
/// -1 with the reason in `message` of CJPEG_MESSAGE_BYTES.

/// Reads the header of the JPEG file in `bytes`.
int cjpeg_read_header(const uint8_t *bytes, size_t count, struct cjpeg_header *header, char *message);

/// Decodes into `pixels` of width x height x channels bytes, rows from the top, channels interleaved. CMYK and YCCK become
/// RGB; their inks are taken as inverted, as Adobe's programs write them and every reader takes them.
///
/// `shrink`, 1, 2, 4 or 8: width and height are the header's over that, rounded up. Of a block of 8 x 8 pixels the inverse transform
/// then computes 4 x 4, 2 x 2 or 1 from the lowest frequencies alone, which are about the means of what they stand for; the last
/// column and row may stand for pixels beyond the edge.
int cjpeg_decode(
    const uint8_t *bytes, size_t count, const struct cjpeg_header *header, uint32_t shrink, uint8_t *pixels, char *message);

#endif
