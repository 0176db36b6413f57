#include "CJPEG.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

// A progressive file repeats passes over the whole picture; real ones take about ten.
enum { MOST_SCANS = 100 };

struct decoder {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf failed;
    char *message;
};

static struct decoder *decoder_of(j_common_ptr jpeg) { return jpeg->client_data; }

static _Noreturn void fail(j_common_ptr jpeg, const char *message) {
    struct decoder *decoder = decoder_of(jpeg);
    snprintf(decoder->message, CJPEG_MESSAGE_BYTES, "%s", message);
    longjmp(decoder->failed, 1);
}

static _Noreturn void fail_with_error(j_common_ptr jpeg) {
    char text[JMSG_LENGTH_MAX];
    jpeg->err->format_message(jpeg, text);
    fail(jpeg, text);
}

// Warnings are let pass, as every viewer does, but for data that ends early: the rest of the picture would be made up.
static void judge_message(j_common_ptr jpeg, int level) {
    if (level < 0 && (jpeg->err->msg_code == JWRN_HIT_MARKER || jpeg->err->msg_code == JWRN_JPEG_EOF)) fail_with_error(jpeg);
}

static void stay_silent(j_common_ptr jpeg) { (void)jpeg; }

static void limit_scans(j_common_ptr jpeg) {
    if (((j_decompress_ptr)jpeg)->input_scan_number > MOST_SCANS) fail(jpeg, "too many scans");
}

static void begin(struct decoder *decoder, const uint8_t *bytes, size_t count) {
    j_decompress_ptr jpeg = &decoder->jpeg;
    jpeg_create_decompress(jpeg);
    // jpeg_create_decompress keeps client_data and err alone.
    jpeg->progress = &decoder->progress;
    decoder->progress.progress_monitor = limit_scans;
    jpeg_mem_src(jpeg, bytes, count);
    jpeg_read_header(jpeg, TRUE);
    switch (jpeg->jpeg_color_space) {
    case JCS_GRAYSCALE: jpeg->out_color_space = JCS_GRAYSCALE; break;
    case JCS_RGB:
    case JCS_YCbCr: jpeg->out_color_space = JCS_RGB; break;
    case JCS_CMYK:
    case JCS_YCCK: jpeg->out_color_space = JCS_CMYK; break;
    default: {
        char text[JMSG_LENGTH_MAX];
        snprintf(text, sizeof text, "unknown colour space of %d components", jpeg->num_components);
        fail((j_common_ptr)jpeg, text);
    }
    }
}

static uint32_t channels_of(j_decompress_ptr jpeg) { return jpeg->out_color_space == JCS_GRAYSCALE ? 1 : 3; }

static void set_up(struct decoder *decoder, char *message) {
    memset(decoder, 0, sizeof *decoder);
    decoder->message = message;
    decoder->jpeg.err = jpeg_std_error(&decoder->errors);
    decoder->jpeg.client_data = decoder;
    decoder->errors.error_exit = fail_with_error;
    decoder->errors.emit_message = judge_message;
    decoder->errors.output_message = stay_silent;
}

int cjpeg_read_header(const uint8_t *bytes, size_t count, struct cjpeg_header *header, char *message) {
    struct decoder decoder;
    set_up(&decoder, message);
    if (setjmp(decoder.failed)) {
        jpeg_destroy_decompress(&decoder.jpeg);
        return -1;
    }
    begin(&decoder, bytes, count);
    header->width = decoder.jpeg.image_width;
    header->height = decoder.jpeg.image_height;
    header->channels = channels_of(&decoder.jpeg);
    jpeg_destroy_decompress(&decoder.jpeg);
    return 0;
}

// a b / 255, rounded.
static uint8_t scaled(uint32_t a, uint32_t b) {
    uint32_t product = a * b + 128;
    return (uint8_t)((product + (product >> 8)) >> 8);
}

// Inverted inks: 255 is none.
static void inks_to_rgb(const JSAMPLE *inks, uint8_t *rgb, uint32_t width) {
    for (uint32_t x = 0; x < width; x++) {
        uint32_t light = inks[4 * x + 3];
        for (int c = 0; c < 3; c++) rgb[3 * x + c] = (uint8_t)(light - scaled(255u - inks[4 * x + c], light));
    }
}

int cjpeg_decode(
    const uint8_t *bytes, size_t count, const struct cjpeg_header *header, uint32_t shrink, uint8_t *pixels, char *message) {
    struct decoder decoder;
    set_up(&decoder, message);
    if (setjmp(decoder.failed)) {
        jpeg_destroy_decompress(&decoder.jpeg);
        return -1;
    }
    begin(&decoder, bytes, count);
    j_decompress_ptr jpeg = &decoder.jpeg;
    if (jpeg->image_width != header->width || jpeg->image_height != header->height || channels_of(jpeg) != header->channels)
        fail((j_common_ptr)jpeg, "another picture than the header's");
    jpeg->scale_num = 1;
    jpeg->scale_denom = shrink;
    jpeg_start_decompress(jpeg);
    uint32_t width = (header->width + shrink - 1) / shrink;
    // The caller's memory is for this size.
    if (jpeg->output_width != width || jpeg->output_height != (header->height + shrink - 1) / shrink)
        fail((j_common_ptr)jpeg, "another size than was asked for");
    size_t row_bytes = (size_t)width * header->channels;
    JSAMPARRAY inks = NULL;
    if (jpeg->out_color_space == JCS_CMYK)
        inks = jpeg->mem->alloc_sarray((j_common_ptr)jpeg, JPOOL_IMAGE, 4 * width, 1);
    while (jpeg->output_scanline < jpeg->output_height) {
        JSAMPROW row = inks ? inks[0] : pixels + row_bytes * jpeg->output_scanline;
        uint8_t *target = pixels + row_bytes * jpeg->output_scanline;
        // From memory no call is suspended: each gives a row or fails.
        if (jpeg_read_scanlines(jpeg, &row, 1) != 1) fail((j_common_ptr)jpeg, "no more rows");
        if (inks) inks_to_rgb(row, target, width);
    }
    jpeg_finish_decompress(jpeg);
    jpeg_destroy_decompress(&decoder.jpeg);
    return 0;
}
