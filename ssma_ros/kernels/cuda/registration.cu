// SPDX-License-Identifier: Apache-2.0
// Images of other cameras in the driving camera's pixels, step for step as ssma_ros/kernels/reference/registration.py.
// `n` are the numbers of ssma_ros/kernels/shared/projection.py, in device memory: they change from frame to frame.
#include "common.cuh"

// Inverse distances are not negative, and such floats are in the order of their bits.
static __device__ __forceinline__ void keep_largest(float *address, float value) {
    union { float f; int i; } bits;
    bits.f = value;
    atomicMax((int *)address, bits.i);
}

// Where a pixel of inverse depth `inverse` lies in the other image, and its inverse distance there; false behind it.
static __device__ __forceinline__ bool project(
    const float *__restrict__ n, int column, int row, float inverse, float *u, float *v, float *away) {
    const float x = float(column), y = float(row);
    const float r = (n[6] * x + (n[7] * y + n[8])) + n[11] * inverse;
    if (!(r > IN_FRONT)) return false;
    const float share = 1.0f / r;
    *u = ((n[0] * x + (n[1] * y + n[2])) + n[9] * inverse) * share;
    *v = ((n[3] * x + (n[4] * y + n[5])) + n[10] * inverse) * share;
    *away = inverse * share;
    return true;
}

// The z-buffer, which is 0 everywhere, with a border of one pixel that stays so.
extern "C" __global__ void splat_view(
    const float *__restrict__ depth, const float *__restrict__ measured, const float *__restrict__ n, float *buffer,
    int width, int height, int buffer_width, int buffer_height) {
    PIXEL_OR_RETURN(x, y, width, height);
    const int i = y * width + x;
    float u, v, away;
    if (!(depth[i] > 0.0f && measured[i] > 0.0f) || !project(n, x, y, 1.0f / depth[i], &u, &v, &away)) return;
    const float at_x = floorf((u + 0.5f) * n[16]), at_y = floorf((v + 0.5f) * n[17]);
    if (!(at_x >= 0.0f && at_x < buffer_width - 2 && at_y >= 0.0f && at_y < buffer_height - 2)) return;
    keep_largest(buffer + (int(at_y) + 1) * buffer_width + int(at_x) + 1, away);
}

// Whether something measured hides the point at (u, v), or contradicts a depth that was filled in.
static __device__ __forceinline__ bool hidden(
    const float *__restrict__ n, const float *__restrict__ buffer, int width, float u, float v, float away,
    bool filled) {
    const int i = int(floorf((u + 0.5f) * n[16] + 0.5f)), j = int(floorf((v + 0.5f) * n[17] + 0.5f));
    const float *at = buffer + j * width + i;
    const float nearest = upper(upper(at[0], at[1]), upper(at[width], at[width + 1]));
    const float nearer = nearest - away;
    return nearer > n[15] || (filled && nearest > 0.0f && -nearer > n[15]);
}

static __device__ __forceinline__ float value_at(const void *image, int bytes_each, int i) {
    if (bytes_each == 1) return float(((const unsigned char *)image)[i]);
    return float(((const unsigned short *)image)[i]);
}

static __device__ __forceinline__ float bilinear(
    const void *image, int bytes_each, int columns, int rows, float u, float v) {
    u = lower(upper(u, 0.0f), float(columns - 1));
    v = lower(upper(v, 0.0f), float(rows - 1));
    const int i = int(u), j = int(v);
    const int right = i + 1 < columns ? 1 : 0, under = j + 1 < rows ? columns : 0;
    const int at = j * columns + i;
    const float a = value_at(image, bytes_each, at), b = value_at(image, bytes_each, at + right);
    const float c = value_at(image, bytes_each, at + under), d = value_at(image, bytes_each, at + under + right);
    const float top = a + (b - a) * (u - float(i)), bottom = c + (d - c) * (u - float(i));
    return rintf(top + (bottom - top) * (v - float(j)));
}

// Values of 1 or 2 bytes bilinearly, of 4 (a measurement) from the nearest pixel; `hole` is 1 where nothing is seen,
// and `seen` counts the others.
extern "C" __global__ void sample_view(
    const void *__restrict__ image, const float *__restrict__ depth, const float *__restrict__ measured,
    const float *__restrict__ n, const float *__restrict__ buffer, void *__restrict__ out,
    unsigned char *__restrict__ hole, int *seen, int bytes_each, int columns, int rows, int buffer_width, int width,
    int height) {
    PIXEL_OR_RETURN(x, y, width, height);
    const int i = y * width + x;
    const bool known = depth[i] > 0.0f, assumes = n[12] == n[12];  // NaN is not itself
    const float assumed = upper(n[12] * float(x) + (n[13] * float(y) + n[14]), 0.0f);
    const float inverse = known ? 1.0f / depth[i] : assumed;
    float u = 0.0f, v = 0.0f, away = 0.0f, value = 0.0f;
    bool found = (known || assumes) && project(n, x, y, inverse, &u, &v, &away);
    found = found && u >= -0.5f && u < columns - 0.5f && v >= -0.5f && v < rows - 0.5f;
    found = found && !hidden(n, buffer, buffer_width, u, v, away, known && !(measured[i] > 0.0f));
    if (found && bytes_each == 4) {
        const int i0 = int(floorf(u + 0.5f)), j0 = int(floorf(v + 0.5f));
        value = ((const float *)image)[(j0 < rows ? j0 : rows - 1) * columns + (i0 < columns ? i0 : columns - 1)];
        found = value > 0.0f && value < SSMA_INFINITY;
    } else if (found) {
        value = bilinear(image, bytes_each, columns, rows, u, v);
    }
    if (!found) value = 0.0f;
    if (bytes_each == 1) ((unsigned char *)out)[i] = (unsigned char)value;
    if (bytes_each == 2) ((unsigned short *)out)[i] = (unsigned short)value;
    if (bytes_each == 4) ((float *)out)[i] = value;
    hole[i] = found ? 0 : 1;
    if (found) atomicAdd(seen, 1);
}

// By pixel of another camera's depth: where it goes (u, v), inverse distance there (0 = nowhere), its size there.
extern "C" __global__ void find_places(
    const float *__restrict__ depth, const float *__restrict__ n, float *__restrict__ places, int width, int height) {
    PIXEL_OR_RETURN(x, y, width, height);
    const int i = y * width + x, plane = width * height;
    const float z = depth[i];
    float u = 0.0f, v = 0.0f, away = 0.0f;
    const bool there = z > 0.0f && z < SSMA_INFINITY && project(n, x, y, 1.0f / z, &u, &v, &away);
    const bool usable = there && u < 1e6f && u > -1e6f && v < 1e6f && v > -1e6f;
    const float growth = usable ? lower(away / (1.0f / z), LARGEST_GROWTH) : 0.0f;
    places[i] = u;
    places[plane + i] = v;
    places[2 * plane + i] = usable ? away : 0.0f;
    places[3 * plane + i] = growth * n[12];
    places[4 * plane + i] = growth * n[13];
}

// The largest step from pixel (x, y) to its two neighbours along one direction that are on the same surface.
static __device__ __forceinline__ void across(
    const float *__restrict__ places, int x, int y, int step_x, int step_y, int width, int height, float *across_x,
    float *across_y) {
    const int i = y * width + x, plane = width * height;
    float largest_x = 0.0f, largest_y = 0.0f;
    for (int side = -1; side <= 1; side += 2) {
        const int column = x + side * step_x, row = y + side * step_y;
        if (column < 0 || row < 0 || column >= width || row >= height) continue;
        const int j = row * width + column;
        if (!(places[2 * plane + j] > 0.0f)) continue;
        const float du = fabsf(places[j] - places[i]), dv = fabsf(places[plane + j] - places[plane + i]);
        if (du <= places[3 * plane + i] * 2.0f && dv <= places[4 * plane + i] * 2.0f) {
            largest_x = upper(largest_x, du);
            largest_y = upper(largest_y, dv);
        }
    }
    *across_x += largest_x;
    *across_y += largest_y;
}

// Each reading over the area of its pixel, into inverse depth that is 0 everywhere.
extern "C" __global__ void splat_depth(
    const float *__restrict__ places, float *out, int width, int height, int out_width, int out_height) {
    PIXEL_OR_RETURN(x, y, width, height);
    const int i = y * width + x, plane = width * height;
    const float away = places[2 * plane + i];
    if (!(away > 0.0f)) return;
    float reach_x = 0.0f, reach_y = 0.0f;
    across(places, x, y, 1, 0, width, height, &reach_x, &reach_y);
    across(places, x, y, 0, 1, width, height, &reach_x, &reach_y);
    reach_x = upper(places[3 * plane + i], reach_x) * 0.5f;
    reach_y = upper(places[4 * plane + i], reach_y) * 0.5f;
    const float u = places[i], v = places[plane + i];
    const float left = upper(ceilf(u - reach_x), 0.0f), right = lower(ceilf(u + reach_x), float(out_width));
    const float top = upper(ceilf(v - reach_y), 0.0f), bottom = lower(ceilf(v + reach_y), float(out_height));
    for (int row = int(top); row < int(bottom); ++row)
        for (int column = int(left); column < int(right); ++column) keep_largest(out + row * out_width + column, away);
}

// Inverse depth to depth, in place; 0 stays.
extern "C" __global__ void invert(float *depth, int width, int height) {
    PIXEL_OR_RETURN(x, y, width, height);
    const int i = y * width + x;
    if (depth[i] > 0.0f) depth[i] = 1.0f / depth[i];
}

// An HxWx3 picture to `level` where a sensor's camera does not see.
extern "C" __global__ void blank(
    unsigned char *picture, const unsigned char *__restrict__ hole, int width, int height, int level) {
    PIXEL_OR_RETURN(x, y, width, height);
    const int i = y * width + x;
    if (hole[i])
        for (int c = 0; c < 3; ++c) picture[3 * i + c] = (unsigned char)level;
}
