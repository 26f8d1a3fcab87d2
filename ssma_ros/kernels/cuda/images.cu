// SPDX-License-Identifier: Apache-2.0
// Colour, near infrared and depth on the network's grid, encoded and packed. Images are HxWxC bytes in OpenCV's order.
#include "common.cuh"

static __device__ __forceinline__ unsigned char rounded(float v) {
    return (unsigned char)(v < 255.0f ? (v > 0.0f ? rintf(v) : 0.0f) : 255.0f);
}

// Where cv2.resize reads for output pixel `at`: the first of two input pixels, and the share of the second. Double as
// there: the shares are rounded to 1/2048 below, and must fall the same way.
static __device__ __forceinline__ int source_of(int at, int in_size, int size, float *share) {
    const float place = float((at + 0.5) * (double(in_size) / size) - 0.5);
    const int first = int(floorf(place));
    *share = place - first;
    return first;
}

// Bilinear, bit for bit as cv2.resize: shares of 1/2048, sums of integers, border repeated. 8-bit, any channels.
extern "C" __global__ void resize_linear_8(
    const unsigned char *__restrict__ in, unsigned char *__restrict__ out, int in_width, int in_height, int width,
    int height, int channels) {
    PIXEL_OR_RETURN(x, y, width, height);
    float a, b;
    const int x0 = source_of(x, in_width, width, &a), y0 = source_of(y, in_height, height, &b);
    if (x0 < 0 || x0 >= in_width - 1) a = 0.0f;
    const int right_share = int(rintf(a * 2048.0f)), left_share = int(rintf((1.0f - a) * 2048.0f));
    const int lower_share = int(rintf(b * 2048.0f)), upper_share = int(rintf((1.0f - b) * 2048.0f));
    const unsigned char *upper_row = in + clamped(y0, in_height) * in_width * channels;
    const unsigned char *lower_row = in + clamped(y0 + 1, in_height) * in_width * channels;
    const int left = clamped(x0, in_width) * channels, right = clamped(x0 + 1, in_width) * channels;
    for (int c = 0; c < channels; ++c) {
        const int top = upper_row[left + c] * left_share + upper_row[right + c] * right_share;
        const int bottom = lower_row[left + c] * left_share + lower_row[right + c] * right_share;
        const int sum = ((upper_share * (top >> 4)) >> 16) + ((lower_share * (bottom >> 4)) >> 16);
        out[(y * width + x) * channels + c] = (unsigned char)((sum + 2) >> 2);
    }
}

// The same in double, for values of 16 bits: a place in float32 is off by up to 3 of 65535 levels in a wide image.
static __device__ __forceinline__ int exact_source_of(int at, int in_size, int size, float *share) {
    const double place = (at + 0.5) * (double(in_size) / size) - 0.5;
    const int first = int(floor(place));
    *share = float(place - first);
    return first;
}

// One channel of 16 bits.
extern "C" __global__ void resize_linear_16(
    const unsigned short *__restrict__ in, unsigned short *__restrict__ out, int in_width, int in_height, int width,
    int height) {
    PIXEL_OR_RETURN(x, y, width, height);
    float a, b;
    const int x0 = exact_source_of(x, in_width, width, &a), y0 = exact_source_of(y, in_height, height, &b);
    const unsigned short *upper_row = in + clamped(y0, in_height) * in_width;
    const unsigned short *lower_row = in + clamped(y0 + 1, in_height) * in_width;
    const int left = clamped(x0, in_width), right = clamped(x0 + 1, in_width);
    const float top = upper_row[left] + a * (float(upper_row[right]) - upper_row[left]);
    const float bottom = lower_row[left] + a * (float(lower_row[right]) - lower_row[left]);
    out[y * width + x] = (unsigned short)rintf(top + b * (bottom - top));
}

// Nearest pixel: no depth is invented between two surfaces. Which columns and rows are read stands in tables, so that
// it is the same everywhere.
extern "C" __global__ void resize_depth(
    const float *__restrict__ in, float *__restrict__ out, const int *__restrict__ columns,
    const int *__restrict__ rows, int in_width, int width, int height) {
    PIXEL_OR_RETURN(x, y, width, height);
    out[y * width + x] = in[rows[y] * in_width + columns[x]];
}

// Depth between fixed bounds through a table of 256 BGR entries; no reading is black.
extern "C" __global__ void color_depth(
    const float *__restrict__ depth, const unsigned char *__restrict__ table, unsigned char *__restrict__ out,
    int width, int height, float near_m, float levels_per_metre) {
    PIXEL_OR_RETURN(x, y, width, height);
    const int i = y * width + x;
    const float v = depth[i];
    const bool reading = v > 0.0f && v < SSMA_INFINITY;
    const int entry = 3 * rounded(reading ? (v - near_m) * levels_per_metre : 0.0f);
    for (int c = 0; c < 3; ++c) out[3 * i + c] = reading ? table[entry + c] : 0;
}

// Quotient clipped to [-1, 1]; the numerator's sign where the denominator is not positive. Then (x + 1)*127.5.
static __device__ __forceinline__ unsigned char index_level(float numerator, float denominator) {
    const float sign = numerator > 0.0f ? 1.0f : (numerator < 0.0f ? -1.0f : 0.0f);
    const float value = denominator > 0.0f ? numerator / denominator : sign;
    return rounded((upper(-1.0f, lower(1.0f, value)) + 1.0f) * 127.5f);
}

// NDVI (0), EVI (1), EVI2 (2) or the near infrared itself (4) in all three channels, or NRG (3) as G, R, N. `nir` has
// nir_bytes (1 or 2) a pixel; `color` is not read for 4.
extern "C" __global__ void vegetation(
    const unsigned char *__restrict__ color, const void *__restrict__ nir, int nir_bytes, float nir_full_scale,
    unsigned char *__restrict__ out, int width, int height, int kind) {
    PIXEL_OR_RETURN(x, y, width, height);
    const int i = y * width + x;
    const float raw = nir_bytes == 1 ? float(((const unsigned char *)nir)[i]) : float(((const unsigned short *)nir)[i]);
    const float n = upper(0.0f, lower(1.0f, raw / nir_full_scale));
    unsigned char v = rounded(n * 255.0f);
    if (kind == 3) {
        out[3 * i] = color[3 * i + 1];
        out[3 * i + 1] = color[3 * i + 2];
        out[3 * i + 2] = v;
        return;
    }
    if (kind < 3) {
        const float b = color[3 * i] / 255.0f, r = color[3 * i + 2] / 255.0f;
        if (kind == 0) v = index_level(n - r, n + r);
        if (kind == 1) v = index_level(EVI_GAIN * (n - r), n + EVI_RED * r - EVI_BLUE * b + EVI_OFFSET);
        if (kind == 2) v = index_level(EVI_GAIN * (n - r), n + EVI2_RED * r + EVI_OFFSET);
    }
    for (int c = 0; c < 3; ++c) out[3 * i + c] = v;
}

// HxWx3 bytes into a network input, red and blue swapped or not.
extern "C" __global__ void pack(
    const unsigned char *__restrict__ in, unsigned char *__restrict__ out, int width, int height, int swap) {
    PIXEL_OR_RETURN(x, y, width, height);
    const int i = 3 * (y * width + x);
    for (int c = 0; c < 3; ++c) out[i + c] = in[i + (swap ? 2 - c : c)];
}

// A blank input, or an empty histogram: `words` of 4 bytes to 0.
extern "C" __global__ void clear(int *out, int words) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < words) out[i] = 0;
}
