/* JPEG and PNG in memory, for resize_images.c: read, made smaller, written. Nothing here knows of
 * tasks. What is kept of a call is in its arguments, so threads may work side by side.
 *
 * A function that answers false has written the reason, which is that of libjpeg-turbo or libpng
 * where they have one. The caller frees `pixels`, also after false.
 */
#ifndef PICTURE_H
#define PICTURE_H

#include <errno.h>
#include <png.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>

enum { QUALITY = 85 }; /* of the JPEG files written */

/* 8 bits a sample: grey, grey and alpha, RGB, or RGB and alpha. */
struct picture {
    bool is_png;
    size_t width, height, channels;
    uint8_t *pixels;
};

typedef char reason[256];

static bool give_up(reason why, const char *text)
{
    snprintf(why, sizeof(reason), "%s", text);
    return false;
}

static bool make_room(struct picture *picture, reason why)
{
    picture->pixels = malloc(picture->width * picture->height * picture->channels);
    if (picture->pixels == NULL)
        snprintf(why, sizeof(reason), "no memory for %zu x %zu pixels", picture->width,
                 picture->height);
    return picture->pixels != NULL;
}

/* Warnings count as errors: a picture with a grey lower half is no success. */
static bool decode_jpeg(struct picture *picture, const uint8_t *bytes, size_t size, reason why)
{
    int width, height, subsampling, colours;
    tjhandle decoder = tjInitDecompress();
    bool good = tjDecompressHeader3(decoder, bytes, size, &width, &height, &subsampling,
                                    &colours) == 0 || give_up(why, tjGetErrorStr2(decoder));
    if (good) {
        bool grey = colours == TJCS_GRAY;
        picture->width = (size_t)width;
        picture->height = (size_t)height;
        picture->channels = grey ? 1 : 3;
        good = make_room(picture, why) &&
               (tjDecompress2(decoder, bytes, size, picture->pixels, width, 0, height,
                              grey ? TJPF_GRAY : TJPF_RGB, 0) == 0 ||
                give_up(why, tjGetErrorStr2(decoder)));
    }
    tjDestroy(decoder); /* NULL is fine for all of these */
    return good;
}

static bool encode_jpeg(const struct picture *picture, FILE *file, reason why)
{
    bool grey = picture->channels == 1;
    tjhandle encoder = tjInitCompress();
    unsigned char *bytes = NULL;
    unsigned long size = 0;
    bool good = tjCompress2(encoder, picture->pixels, (int)picture->width, 0, (int)picture->height,
                            grey ? TJPF_GRAY : TJPF_RGB, &bytes, &size,
                            grey ? TJSAMP_GRAY : TJSAMP_420, QUALITY, 0) == 0 ||
                give_up(why, tjGetErrorStr2(encoder));
    good = good && (fwrite(bytes, 1, size, file) == size || give_up(why, strerror(errno)));
    tjFree(bytes);
    tjDestroy(encoder);
    return good;
}

static bool decode_png(struct picture *picture, const uint8_t *bytes, size_t size, reason why)
{
    png_image image = { .version = PNG_IMAGE_VERSION };
    bool good = png_image_begin_read_from_memory(&image, bytes, size) ||
                give_up(why, image.message);
    if (good) {
        image.format &= PNG_FORMAT_FLAG_COLOR | PNG_FORMAT_FLAG_ALPHA; /* no palette, 8 bits */
        picture->width = image.width;
        picture->height = image.height;
        picture->channels = PNG_IMAGE_SAMPLE_CHANNELS(image.format);
        good = make_room(picture, why) &&
               (png_image_finish_read(&image, NULL, picture->pixels, 0, NULL) ||
                give_up(why, image.message));
    }
    png_image_free(&image);
    return good;
}

static bool encode_png(const struct picture *picture, FILE *file, reason why)
{
    static const uint32_t FORMATS[] = { PNG_FORMAT_GRAY, PNG_FORMAT_GA, PNG_FORMAT_RGB,
                                        PNG_FORMAT_RGBA };
    png_image image = { .version = PNG_IMAGE_VERSION,
                        .width = (uint32_t)picture->width,
                        .height = (uint32_t)picture->height,
                        .format = FORMATS[picture->channels - 1] };
    return png_image_write_to_stdio(&image, file, 0, picture->pixels, 0, NULL) ||
           give_up(why, image.message);
}

/* What a file is, its first bytes say; its name may be wrong. */
static bool decode(struct picture *picture, const uint8_t *bytes, size_t size, reason why)
{
    picture->is_png = size >= 8 && memcmp(bytes, "\x89PNG\r\n\x1a\n", 8) == 0;
    if (picture->is_png)
        return decode_png(picture, bytes, size, why);
    if (size >= 3 && memcmp(bytes, "\xff\xd8\xff", 3) == 0)
        return decode_jpeg(picture, bytes, size, why);
    return give_up(why, size == 0 ? "the file is empty" : "neither JPEG nor PNG");
}

static bool encode(const struct picture *picture, FILE *file, reason why)
{
    return (picture->is_png ? encode_png : encode_jpeg)(picture, file, why);
}

/* The mean of the pixels in a rectangle. What nobody sees has no say in the colour of the rest. */
static void average(const struct picture *from, size_t left, size_t right, size_t top,
                    size_t bottom, uint8_t *pixel)
{
    size_t alpha = from->channels % 2 == 0, colours = from->channels - alpha;
    uint64_t sums[3] = { 0 }, weights = 0, count = (right - left) * (bottom - top);
    for (size_t y = top; y < bottom; y++) {
        const uint8_t *sample = from->pixels + (y * from->width + left) * from->channels;
        for (size_t x = left; x < right; x++, sample += from->channels) {
            uint64_t weight = alpha ? sample[colours] : 1;
            for (size_t i = 0; i < colours; i++)
                sums[i] += weight * sample[i];
            weights += weight;
        }
    }
    for (size_t i = 0; i < colours; i++)
        pixel[i] = weights == 0 ? 0 : (uint8_t)((sums[i] + weights / 2) / weights);
    if (alpha)
        pixel[colours] = (uint8_t)((weights + count / 2) / count);
}

static size_t scale(size_t side, size_t longest, size_t limit)
{
    size_t scaled = (side * limit + longest / 2) / longest;
    return longest <= limit ? side : scaled == 0 ? 1 : scaled;
}

/* A copy with no side above the limit, never larger than the picture itself. */
static bool shrink(const struct picture *from, size_t limit, struct picture *to, reason why)
{
    size_t longest = from->width > from->height ? from->width : from->height;
    to->is_png = from->is_png;
    to->width = scale(from->width, longest, limit);
    to->height = scale(from->height, longest, limit);
    to->channels = from->channels;
    if (!make_room(to, why))
        return false;
    uint8_t *pixel = to->pixels;
    for (size_t y = 0; y < to->height; y++) {
        for (size_t x = 0; x < to->width; x++, pixel += to->channels)
            average(from, x * from->width / to->width, (x + 1) * from->width / to->width,
                    y * from->height / to->height, (y + 1) * from->height / to->height, pixel);
    }
    return true;
}

#endif
