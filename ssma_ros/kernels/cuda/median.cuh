// SPDX-License-Identifier: Apache-2.0
// Median of 25 by min/max networks: the twenty pixels of four rows reduced to their middle six, merged with the fifth
// row. The networks are those of numba/median.py, where they are explained.
#pragma once
#include "common.cuh"

static __device__ __forceinline__ void order(float &a, float &b) {
    const float low = lower(a, b);
    b = upper(a, b);
    a = low;
}

static __device__ __forceinline__ void sort_4(float *v) {
    order(v[0], v[1]); order(v[2], v[3]); order(v[0], v[2]); order(v[1], v[3]); order(v[1], v[2]);
}

static __device__ __forceinline__ void sort_5(float *v) {
    order(v[0], v[1]); order(v[3], v[4]); order(v[2], v[4]); order(v[2], v[3]); order(v[0], v[3]);
    order(v[0], v[2]); order(v[1], v[4]); order(v[1], v[3]); order(v[1], v[2]);
}

static __device__ __forceinline__ void merge_4_4(float *v) {
    order(v[0], v[4]); order(v[2], v[6]); order(v[2], v[4]); order(v[1], v[5]); order(v[3], v[7]);
    order(v[3], v[5]); order(v[1], v[2]); order(v[3], v[4]); order(v[5], v[6]);
}

// Ranks 8 to 13 of sorted a[8], b[8] and c[4] into m[6].
static __device__ __forceinline__ void middle_6_of_20(float *a, float *b, float *c, float *m) {
    order(a[0], c[0]); order(a[4], c[0]); order(a[2], c[2]); order(a[6], c[2]); order(a[2], a[4]);
    order(a[6], c[0]); order(a[1], c[1]); order(a[5], c[1]); order(a[3], c[3]); order(a[7], c[3]);
    order(a[3], a[5]); order(a[7], c[1]); order(a[1], a[2]); order(a[3], a[4]); order(a[5], a[6]);
    order(a[7], c[0]); order(c[1], c[2]);
    b[0] = upper(a[0], b[0]); order(c[0], b[0]); order(a[4], b[4]);
    c[0] = upper(a[4], c[0]); b[4] = lower(b[4], b[0]); b[2] = upper(a[2], b[2]); c[2] = lower(c[2], b[2]);
    a[6] = lower(a[6], b[6]); order(a[6], c[2]); c[0] = upper(a[6], c[0]); order(c[2], b[4]);
    b[1] = upper(a[1], b[1]); order(c[1], b[1]); order(a[5], b[5]); c[1] = upper(a[5], c[1]);
    b[5] = lower(b[5], b[1]); b[3] = upper(a[3], b[3]); c[3] = lower(c[3], b[3]); a[7] = lower(a[7], b[7]);
    order(a[7], c[3]); order(a[7], c[1]); c[3] = lower(c[3], b[5]); order(a[7], c[0]);
    order(c[1], c[2]); order(c[3], b[4]);
    m[0] = a[7]; m[1] = c[0]; m[2] = c[1]; m[3] = c[2]; m[4] = c[3]; m[5] = b[4];
}

static __device__ __forceinline__ float median_6_5(const float *a, const float *b) {
    const float low = lower(lower(upper(a[0], b[4]), upper(a[1], b[3])), lower(upper(a[2], b[2]), upper(a[3], b[1])));
    return lower(lower(low, upper(a[4], b[0])), a[5]);
}

// Median of the 5×5 window around (x, y), border pixels repeated.
static __device__ __forceinline__ float median_5x5(const float *image, int x, int y, int width, int height) {
    float left[8], right[8], last[4], row[5], middle[6];
    int columns[5];
#pragma unroll
    for (int i = 0; i < 5; ++i) columns[i] = clamped(x + i - 2, width);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
        const float *line = image + clamped(y + j - 1, height) * width;
        left[j] = line[columns[0]]; left[4 + j] = line[columns[1]];
        right[j] = line[columns[2]]; right[4 + j] = line[columns[3]];
        last[j] = line[columns[4]];
    }
    const float *line = image + clamped(y - 2, height) * width;
#pragma unroll
    for (int i = 0; i < 5; ++i) row[i] = line[columns[i]];
    sort_4(left); sort_4(left + 4); merge_4_4(left);
    sort_4(right); sort_4(right + 4); merge_4_4(right);
    sort_4(last);
    middle_6_of_20(left, right, last, middle);
    sort_5(row);
    return median_6_5(middle, row);
}
