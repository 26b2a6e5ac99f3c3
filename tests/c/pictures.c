/* pkg-config: libturbojpeg libpng */
/* Makes JPEG and PNG files for the test of resize_images, and tells what is in one.
 *
 *     pictures make KIND WIDTH HEIGHT FILE   the left half red or white, the right blue or black
 *     pictures show FILE                     samples in the middle of the left and the right half
 *
 * KIND is that of a row below. The left half of rgba and ga is every other pixel transparent, of
 * another colour.
 */
#include <png.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>

struct kind {
    const char *name;
    int jpeg; /* a TJPF_ format, or -1: PNG */
    uint32_t png;
    size_t channels;
    size_t bytes; /* of a sample */
};

static const struct kind KINDS[] = {
    { "jpeg", TJPF_RGB, 0, 3, 1 },
    { "jpeg-grey", TJPF_GRAY, 0, 1, 1 },
    { "jpeg-cmyk", TJPF_CMYK, 0, 4, 1 },
    { "rgb", -1, PNG_FORMAT_RGB, 3, 1 },
    { "rgba", -1, PNG_FORMAT_RGBA, 4, 1 },
    { "grey", -1, PNG_FORMAT_GRAY, 1, 1 },
    { "ga", -1, PNG_FORMAT_GA, 2, 1 },
    { "rgb-16", -1, PNG_FORMAT_LINEAR_RGB, 3, 2 },
    { "palette", -1, PNG_FORMAT_RGB_COLORMAP, 1, 1 },
};

static void require(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "pictures: %s\n", what);
        exit(1);
    }
}

/* 0 or 255 for sample `i` of the pixel. */
static uint8_t sample(const struct kind *kind, size_t i, size_t x, size_t y, size_t width)
{
    bool left = x < width / 2, hidden = left && (x + y) % 2 != 0;
    bool alpha = kind->png == PNG_FORMAT_RGBA || kind->png == PNG_FORMAT_GA;
    if (kind->png == PNG_FORMAT_RGB_COLORMAP)
        return left ? 0 : 1;
    if (alpha && i == kind->channels - 1)
        return hidden ? 0 : 255;
    if (alpha && hidden)
        return i == 1 ? 255 : 0;
    return (i == 0 && left) || (i == 2 && !left) ? 255 : 0;
}

static void make(const struct kind *kind, size_t width, size_t height, const char *path)
{
    static const uint8_t PALETTE[] = { 255, 0, 0, 0, 0, 255 };
    uint8_t *pixels = malloc(width * height * kind->channels * kind->bytes), *next = pixels;
    require(pixels != NULL, "no memory");
    for (size_t at = 0; at < width * height; at++) {
        for (size_t i = 0; i < kind->channels; i++) {
            memset(next, sample(kind, i, at % width, at / width, width), kind->bytes);
            next += kind->bytes;
        }
    }
    if (kind->jpeg < 0) {
        png_image image = { .version = PNG_IMAGE_VERSION,
                            .width = (uint32_t)width,
                            .height = (uint32_t)height,
                            .format = kind->png,
                            .flags = PNG_IMAGE_FLAG_FAST,
                            .colormap_entries = 2 };
        require(png_image_write_to_file(&image, path, 0, pixels, 0, PALETTE), image.message);
    } else {
        tjhandle encoder = tjInitCompress();
        unsigned char *bytes = NULL;
        unsigned long size = 0;
        int subsampling = kind->channels == 1 ? TJSAMP_GRAY : TJSAMP_444;
        require(tjCompress2(encoder, pixels, (int)width, 0, (int)height, kind->jpeg, &bytes, &size,
                            subsampling, 90, 0) == 0, tjGetErrorStr2(encoder));
        FILE *file = fopen(path, "wb");
        require(file != NULL && fwrite(bytes, 1, size, file) == size && fclose(file) == 0, path);
        tjFree(bytes);
        tjDestroy(encoder);
    }
    free(pixels);
}

static void print(const uint8_t *pixel, size_t channels)
{
    for (size_t i = 0; i < channels; i++)
        printf("%s%d", i == 0 ? "" : ",", pixel[i]);
}

static void print_halves(const uint8_t *pixels, size_t width, size_t height, size_t channels)
{
    const uint8_t *row = pixels + height / 2 * width * channels;
    print(row + width / 4 * channels, channels);
    putchar(' ');
    print(row + width * 3 / 4 * channels, channels);
    putchar('\n');
}

static void show(const char *path)
{
    static uint8_t bytes[16 << 20];
    png_image image = { .version = PNG_IMAGE_VERSION };
    FILE *file = fopen(path, "rb");
    require(file != NULL, path);
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    if (png_image_begin_read_from_memory(&image, bytes, size)) {
        image.format &= PNG_FORMAT_FLAG_COLOR | PNG_FORMAT_FLAG_ALPHA;
        uint8_t *pixels = malloc(PNG_IMAGE_SIZE(image));
        require(png_image_finish_read(&image, NULL, pixels, 0, NULL), image.message);
        print_halves(pixels, image.width, image.height, PNG_IMAGE_SAMPLE_CHANNELS(image.format));
        free(pixels);
    } else {
        int width, height, subsampling, colours;
        tjhandle decoder = tjInitDecompress();
        require(tjDecompressHeader3(decoder, bytes, size, &width, &height, &subsampling,
                                    &colours) == 0, tjGetErrorStr2(decoder));
        size_t channels = colours == TJCS_GRAY ? 1 : 3;
        uint8_t *pixels = malloc((size_t)width * (size_t)height * channels);
        require(tjDecompress2(decoder, bytes, size, pixels, width, 0, height,
                              channels == 1 ? TJPF_GRAY : TJPF_RGB, 0) == 0,
                tjGetErrorStr2(decoder));
        print_halves(pixels, (size_t)width, (size_t)height, channels);
        free(pixels);
        tjDestroy(decoder);
    }
}

int main(int argc, char **argv)
{
    require(argc == 3 || argc == 6, "wrong arguments");
    if (argc == 3)
        return show(argv[2]), 0;
    for (size_t i = 0; i < sizeof KINDS / sizeof KINDS[0]; i++) {
        if (strcmp(KINDS[i].name, argv[2]) == 0)
            return make(&KINDS[i], strtoul(argv[3], NULL, 10), strtoul(argv[4], NULL, 10), argv[5]), 0;
    }
    require(false, "no such kind");
}
