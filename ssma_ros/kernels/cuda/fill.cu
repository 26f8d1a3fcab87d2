// SPDX-License-Identifier: Apache-2.0
// Depth completion of Ku, Harakeh and Waslander (2018), both variants; the CPU version is in numba/fill.py.
// Depth is float32 metres, between the first and the last kernel "inverted" (max_depth - metres, 0 = empty).
#include "median.cuh"

// Reading or 0; never beyond max_depth.
static __device__ __forceinline__ float reading(float v, float max_depth) {
    v = (v > 0.0f && v < SSMA_INFINITY) ? v : 0.0f;
    return v < max_depth ? v : max_depth;
}

static __device__ __forceinline__ float inverted(float v, float max_depth) {
    return v > EMPTY_BELOW ? max_depth - v : v;
}

// Steps 1 and 2 of the fast variant: invert, then max over the diamond |dx| + |dy| <= 2.
extern "C" __global__ void invert_and_dilate(
    const float *__restrict__ depth, float *__restrict__ out, int width, int height, float max_depth) {
    PIXEL_OR_RETURN(x, y, width, height);
    float best = 0.0f;
#pragma unroll
    for (int dy = -2; dy <= 2; ++dy) {
        const float *row = depth + clamped(y + dy, height) * width;
        const int reach = 2 - (dy < 0 ? -dy : dy);
        for (int dx = -reach; dx <= reach; ++dx)
            best = upper(best, inverted(reading(row[clamped(x + dx, width)], max_depth), max_depth));
    }
    out[y * width + x] = best;
}

// One of near (0), medium (1), far (2) surfaces at a pixel, inverted; 0 if the reading is of another bin.
static __device__ __forceinline__ float in_bin(float v, int bin, float max_depth) {
    v = reading(v, max_depth);
    const bool member = bin == 0 ? (v > EMPTY_BELOW && v <= NEAR_UP_TO)
                        : bin == 1 ? (v > NEAR_UP_TO && v <= MEDIUM_UP_TO)
                                   : v > MEDIUM_UP_TO;
    return member ? max_depth - v : 0.0f;
}

static __device__ __forceinline__ float max_over_cross(
    const float *depth, int x, int y, int width, int height, int bin, int radius, float max_depth) {
    float best = in_bin(depth[y * width + x], bin, max_depth);
    for (int i = -radius; i <= radius; ++i) {
        best = upper(best, in_bin(depth[y * width + clamped(x + i, width)], bin, max_depth));
        best = upper(best, in_bin(depth[clamped(y + i, height) * width + x], bin, max_depth));
    }
    return best;
}

// Steps 1 and 2 of the multi-scale variant: near surfaces (7x7 cross) over medium (5x5) over far (3x3).
extern "C" __global__ void invert_and_dilate_bins(
    const float *__restrict__ depth, float *__restrict__ out, int width, int height, float max_depth) {
    PIXEL_OR_RETURN(x, y, width, height);
    float value = inverted(reading(depth[y * width + x], max_depth), max_depth);
    for (int bin = 2; bin >= 0; --bin) {
        const float grown = max_over_cross(depth, x, y, width, height, bin, 3 - bin, max_depth);
        value = grown > EMPTY_BELOW ? grown : value;
    }
    out[y * width + x] = value;
}

static __device__ __forceinline__ float max_over_square(
    const float *image, int x, int y, int width, int height, int radius) {
    float best = 0.0f;
    for (int dy = -radius; dy <= radius; ++dy) {
        const float *row = image + clamped(y + dy, height) * width;
        for (int dx = -radius; dx <= radius; ++dx) best = upper(best, row[clamped(x + dx, width)]);
    }
    return best;
}

extern "C" __global__ void dilate_5(const float *__restrict__ in, float *__restrict__ out, int width, int height) {
    PIXEL_OR_RETURN(x, y, width, height);
    out[y * width + x] = max_over_square(in, x, y, width, height, 2);
}

extern "C" __global__ void erode_5(const float *__restrict__ in, float *__restrict__ out, int width, int height) {
    PIXEL_OR_RETURN(x, y, width, height);
    float least = SSMA_INFINITY;
#pragma unroll
    for (int dy = -2; dy <= 2; ++dy) {
        const float *row = in + clamped(y + dy, height) * width;
#pragma unroll
        for (int dx = -2; dx <= 2; ++dx) least = lower(least, row[clamped(x + dx, width)]);
    }
    out[y * width + x] = least;
}

// Empty pixels at or below row top[x] (top may be null: all) become the max over a square of 2*radius + 1.
extern "C" __global__ void fill_empty(
    const float *__restrict__ in, float *__restrict__ out, const int *__restrict__ top, int width, int height,
    int radius) {
    PIXEL_OR_RETURN(x, y, width, height);
    const float own = in[y * width + x];
    const bool wanted = own < EMPTY_BELOW && (top == nullptr || y >= top[x]);
    out[y * width + x] = wanted ? max_over_square(in, x, y, width, height, radius) : own;
}

// Max over FILL_LARGE pixels of a row; the other half of that fill is fill_empty_large.
extern "C" __global__ void dilate_row_large(
    const float *__restrict__ in, float *__restrict__ out, int width, int height) {
    PIXEL_OR_RETURN(x, y, width, height);
    float best = 0.0f;
    const int radius = FILL_LARGE / 2;
    for (int dx = -radius; dx <= radius; ++dx) best = upper(best, in[y * width + clamped(x + dx, width)]);
    out[y * width + x] = best;
}

extern "C" __global__ void fill_empty_large(
    const float *__restrict__ in, const float *__restrict__ across, float *__restrict__ out, int width, int height) {
    PIXEL_OR_RETURN(x, y, width, height);
    float value = in[y * width + x];
    if (value < EMPTY_BELOW) {
        value = 0.0f;
        const int radius = FILL_LARGE / 2;
        for (int dy = -radius; dy <= radius; ++dy)
            value = upper(value, across[clamped(y + dy, height) * width + x]);
    }
    out[y * width + x] = value;
}

// top[x] = height, the start of first_valid_rows; a block row is enough.
extern "C" __global__ void clear_top(int *top, int width, int height) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x;
    if (x < width && blockIdx.y * blockDim.y + threadIdx.y == 0) top[x] = height;
}

// top[x] = first row with a valid pixel; stays height in a column without any.
extern "C" __global__ void first_valid_rows(const float *__restrict__ in, int *top, int width, int height) {
    PIXEL_OR_RETURN(x, y, width, height);
    const bool starts = in[y * width + x] > EMPTY_BELOW && (y == 0 || !(in[(y - 1) * width + x] > EMPTY_BELOW));
    if (starts) atomicMin(top + x, y);
}

// A column without a valid pixel has no top: it counts as 0, everything is below it. Run after first_valid_rows.
extern "C" __global__ void finish_top(int *top, int width, int height) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x;
    if (x < width && blockIdx.y * blockDim.y + threadIdx.y == 0 && top[x] == height) top[x] = 0;
}

// Rows above the first valid pixel of a column take its value, in place.
extern "C" __global__ void copy_top_upward(float *image, const int *__restrict__ top, int width, int height) {
    PIXEL_OR_RETURN(x, y, width, height);
    if (y < top[x]) image[y * width + x] = image[top[x] * width + x];
}

// Median 5x5 where the pixel is greater than `above` and not above row top[x]; others are kept.
extern "C" __global__ void median(
    const float *__restrict__ in, float *__restrict__ out, const int *__restrict__ top, int width, int height,
    float above) {
    PIXEL_OR_RETURN(x, y, width, height);
    const float own = in[y * width + x];
    const bool wanted = own > above && (top == nullptr || y >= top[x]);
    out[y * width + x] = wanted ? median_5x5(in, x, y, width, height) : own;
}

static __device__ __forceinline__ float to_metres(float v, float max_depth) {
    return v > EMPTY_BELOW ? max_depth - v : v;
}

// Bilateral filter, d = 5 (a disc of 13 pixels), spatial sigma SIGMA_SPACE; exponent = -1/(2*sigma_depth^2). Then
// metres.
// `own` is the image before the median: a pixel is blurred if it is > above there and not above row top[x].
extern "C" __global__ void bilateral(
    const float *__restrict__ in, const float *__restrict__ own, float *__restrict__ out, const int *__restrict__ top,
    int width, int height, float exponent, float max_depth, float above) {
    PIXEL_OR_RETURN(x, y, width, height);
    const float centre = in[y * width + x];
    float value = centre;
    if (own[y * width + x] > above && (top == nullptr || y >= top[x])) {
        // Weighted means of differences to the centre: the sums stay small, and so does their rounding.
        float sum = 0.0f, weights = 1.0f;
#pragma unroll
        for (int dy = -2; dy <= 2; ++dy) {
            const float *row = in + mirrored(y + dy, height) * width;
#pragma unroll
            for (int dx = -2; dx <= 2; ++dx) {
                const int square = dx * dx + dy * dy;
                if (square == 0 || square > 4) continue;
                const float difference = row[mirrored(x + dx, width)] - centre;
                const float far = 0.5f / (SIGMA_SPACE * SIGMA_SPACE) * square;
                const float weight = expf(difference * difference * exponent - far);
                sum += weight * difference;
                weights += weight;
            }
        }
        value = centre + sum / weights;
    }
    out[y * width + x] = to_metres(value, max_depth);
}

// [1 4 6 4 1]/16 in both directions where the pixel is valid and not above row top[x]. Then metres.
extern "C" __global__ void gaussian(
    const float *__restrict__ in, float *__restrict__ out, const int *__restrict__ top, int width, int height,
    float max_depth) {
    PIXEL_OR_RETURN(x, y, width, height);
    const float taps[5] = {1.0f, 4.0f, 6.0f, 4.0f, 1.0f};
    float value = in[y * width + x];
    if (value > EMPTY_BELOW && (top == nullptr || y >= top[x])) {
        float sum = 0.0f;
#pragma unroll
        for (int dy = -2; dy <= 2; ++dy) {
            const float *row = in + mirrored(y + dy, height) * width;
            float line = 0.0f;
#pragma unroll
            for (int dx = -2; dx <= 2; ++dx) line += taps[dx + 2] * row[mirrored(x + dx, width)];
            sum += taps[dy + 2] * line;
        }
        value = sum * (1.0f / 256.0f);
    }
    out[y * width + x] = to_metres(value, max_depth);
}

// What the blur leaks into a hole is no reading: from here on a hole is exactly 0. In place.
extern "C" __global__ void keep_readings(float *depth, int width, int height) {
    PIXEL_OR_RETURN(x, y, width, height);
    const int i = y * width + x;
    const float v = depth[i];
    depth[i] = v > EMPTY_BELOW && v < SSMA_INFINITY ? v : 0.0f;
}
