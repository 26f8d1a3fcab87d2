// SPDX-License-Identifier: Apache-2.0
// HHA of Gupta et al. (2014); the CPU version is in numba/normals.py and numba/gravity.py.
// Everything up to the image stays on the device: the gravity estimate iterates without a word from the host.
#include "common.cuh"

// SUMS planes of row sums for fine windows, then as many for coarse ones: sums of m, i*m, i*i*m, q, i*q with q = m/Z,
// m = 1 where the depth may be used and i counted from the window's centre. Whole numbers and centred offsets: float32
// does.
// PARTS partial sums a thread keeps in the gravity estimate: xx, xy, xz, yy, yz, zz, floors, walls.

// Readings (else 0) and 1/Z where the normals may use it (else 0).
extern "C" __global__ void prepare(
    const float *__restrict__ depth, const unsigned char *__restrict__ missing, float *__restrict__ z,
    float *__restrict__ q, int width, int height) {
    PIXEL_OR_RETURN(x, y, width, height);
    const int i = y * width + x;
    const float v = depth[i];
    const bool usable = v > 0.0f && v < SSMA_INFINITY;
    z[i] = usable ? v : 0.0f;
    q[i] = usable && (missing == nullptr || !missing[i]) ? 1.0f / v : 0.0f;
}

static __device__ __forceinline__ void sum_row(const float *row, int x, int width, int radius, float *sums, int plane) {
    float m0 = 0, m1 = 0, m2 = 0, q0 = 0, q1 = 0;
    const int low = x < radius ? -x : -radius;
    const int high = x + radius < width ? radius : width - 1 - x;
    for (int i = low; i <= high; ++i) {
        const float q = row[x + i], m = q > 0.0f ? 1.0f : 0.0f, f = float(i);
        m0 += m; m1 += f * m; m2 += f * f * m; q0 += q; q1 += f * q;
    }
    sums[0] = m0; sums[plane] = m1; sums[2 * plane] = m2; sums[3 * plane] = q0; sums[4 * plane] = q1;
}

// Row sums of both radii into 2*SUMS planes.
extern "C" __global__ void sum_rows(const float *__restrict__ q, float *__restrict__ sums, int width, int height) {
    PIXEL_OR_RETURN(x, y, width, height);
    const int plane = width * height, i = y * width + x;
    sum_row(q + y * width, x, width, FINE_RADIUS, sums + i, plane);
    sum_row(q + y * width, x, width, COARSE_RADIUS, sums + SUMS * plane + i, plane);
}

struct Camera { float fx, fy, cx, cy; };

// Unit normal away from the camera, (0, 0, 0) where the window carries no plane. Stored as three planes.
static __device__ __forceinline__ void solve(
    const float *sums, const float *z, int x, int y, int width, int height, int radius, Camera k, float *normal) {
    const int plane = width * height, at = y * width + x;
    float n = 0, si = 0, sii = 0, sq = 0, siq = 0, sj = 0, sij = 0, sjj = 0, sjq = 0;
    const int low = y < radius ? -y : -radius;
    const int high = y + radius < height ? radius : height - 1 - y;
    for (int j = low; j <= high; ++j) {
        const float *s = sums + at + j * width;
        const float m0 = s[0], m1 = s[plane], q0 = s[3 * plane], f = float(j);
        n += m0; si += m1; sii += s[2 * plane]; sq += q0; siq += s[4 * plane];
        sj += f * m0; sij += f * m1; sjj += f * f * m0; sjq += f * q0;
    }
    const float share = n > 0.0f ? 1.0f / n : 1.0f;
    const float xx = sii - si * si * share, xy = sij - si * sj * share, yy = sjj - sj * sj * share;
    const float xq = siq - si * sq * share, yq = sjq - sj * sq * share;
    const float product = xx * yy, det = product - xy * xy;
    float a = 0.0f, b = 0.0f, c = 0.0f;
    if (det > DEGENERATE_BELOW * product) {
        const float alpha = (yy * xq - xy * yq) / det, beta = (xx * yq - xy * xq) / det;
        const float toward = (sq - alpha * si - beta * sj) * share;
        a = k.fx * alpha;
        b = k.fy * beta;
        c = toward - alpha * (float(x) - k.cx) - beta * (float(y) - k.cy);
        const float facing = z[at] > 0.0f ? toward : c;
        const float length = sqrtf(a * a + b * b + c * c);
        const float scale = length > 0.0f ? (facing >= 0.0f ? 1.0f : -1.0f) / length : 0.0f;
        a *= scale; b *= scale; c *= scale;
    }
    normal[at] = a; normal[plane + at] = b; normal[2 * plane + at] = c;
}

extern "C" __global__ void solve_normals(
    const float *__restrict__ sums, const float *__restrict__ z, float *__restrict__ fine, float *__restrict__ coarse,
    int width, int height, float fx, float fy, float cx, float cy) {
    PIXEL_OR_RETURN(x, y, width, height);
    const Camera k = {fx, fy, cx, cy};
    solve(sums, z, x, y, width, height, FINE_RADIUS, k, fine);
    if (coarse != nullptr) solve(sums + SUMS * width * height, z, x, y, width, height, COARSE_RADIUS, k, coarse);
}

// gravity[0..2] = the direction, [3] floors, [4] walls, [5] height of the floor in metres over the camera.
extern "C" __global__ void set_gravity(float *gravity, float x, float y, float z) {
    if (blockIdx.x * blockDim.x + threadIdx.x != 0) return;
    gravity[0] = x; gravity[1] = y; gravity[2] = z;
    gravity[3] = gravity[4] = gravity[5] = 0.0f;
}

// Where a direction came from, past[4].
constexpr float GIVEN = 0.0f, ESTIMATED = 1.0f, HELD = 2.0f, LEVEL = 3.0f;

// Gravity from tf2 or an IMU, and what the next image is to remember. now = x, y, z of "down", share, forget;
// past = x, y, z the last image was encoded with, 1 once there was one.
extern "C" __global__ void take_gravity(float *gravity, float *past, const float *__restrict__ now) {
    if (blockIdx.x * blockDim.x + threadIdx.x != 0) return;
    for (int i = 0; i < 3; ++i) gravity[i] = past[i] = now[i];
    gravity[3] = gravity[4] = gravity[5] = 0.0f;
    past[3] = 1.0f;
    past[4] = GIVEN;
}

// An estimate that tilts too far or rests on too few normals is refused: the last direction holds, or the camera counts
// as level. An accepted one is mixed into the last by share now[3] (1 = it alone); now[4] != 0 forgets the past first.
extern "C" __global__ void settle_gravity(
    float *gravity, float *past, const float *__restrict__ now, float upright_above, float least_support) {
    if (blockIdx.x * blockDim.x + threadIdx.x != 0) return;
    const bool known = now[4] == 0.0f && past[3] == 1.0f;
    const bool accepted = gravity[1] >= upright_above && lower(gravity[3], gravity[4]) >= least_support;
    float g[3] = {0.0f, 1.0f, 0.0f};
    float length = 1.0f;
    if (accepted) {
        const float share = known ? now[3] : 1.0f;
        for (int i = 0; i < 3; ++i) g[i] = share < 1.0f ? past[i] + share * (gravity[i] - past[i]) : gravity[i];
        length = sqrtf(g[0] * g[0] + g[1] * g[1] + g[2] * g[2]);
    } else if (known) {
        for (int i = 0; i < 3; ++i) g[i] = past[i];
    }
    for (int i = 0; i < 3; ++i) gravity[i] = past[i] = g[i] / length;
    past[4] = accepted ? ESTIMATED : known && past[4] != LEVEL ? HELD : LEVEL;
    past[3] = 1.0f;
}

// Each thread's share of sum_wall nn' - sum_floor nn'; parts[PARTS][threads].
extern "C" __global__ void scatter(
    const float *__restrict__ coarse, const float *__restrict__ gravity, float *__restrict__ parts, int pixels,
    float floor_above, float wall_below) {
    const int thread = blockIdx.x * blockDim.x + threadIdx.x, threads = gridDim.x * blockDim.x;
    const float gx = gravity[0], gy = gravity[1], gz = gravity[2];
    float sum[PARTS] = {0, 0, 0, 0, 0, 0, 0, 0};
    for (int i = thread; i < pixels; i += threads) {
        const float a = coarse[i], b = coarse[pixels + i], c = coarse[2 * pixels + i];
        const float along = fabsf(gx * a + gy * b + gz * c);
        const float floor = along > floor_above ? 1.0f : 0.0f, wall = along < wall_below ? 1.0f : 0.0f;
        const float weight = wall - floor, wa = weight * a, wb = weight * b, wc = weight * c;
        sum[0] += wa * a; sum[1] += wa * b; sum[2] += wa * c;
        sum[3] += wb * b; sum[4] += wb * c; sum[5] += wc * c;
        sum[6] += floor;
        sum[7] += a * a + b * b + c * c > 0.5f ? wall : 0.0f;
    }
#pragma unroll
    for (int p = 0; p < PARTS; ++p) parts[p * threads + thread] = sum[p];
}

// One Jacobi rotation that zeroes m[p][q]; the eigenvectors collect in the columns of v.
static __device__ void rotate(double m[3][3], double v[3][3], int p, int q) {
    if (m[p][q] == 0.0) return;
    const double theta = (m[q][q] - m[p][p]) / (2.0 * m[p][q]);
    const double t = (theta >= 0.0 ? 1.0 : -1.0) / (fabs(theta) + sqrt(theta * theta + 1.0));
    const double c = 1.0 / sqrt(t * t + 1.0), s = t * c;
    for (int k = 0; k < 3; ++k) {
        const double a = m[k][p], b = m[k][q];
        m[k][p] = c * a - s * b; m[k][q] = s * a + c * b;
    }
    for (int k = 0; k < 3; ++k) {
        const double a = m[p][k], b = m[q][k];
        m[p][k] = c * a - s * b; m[q][k] = s * a + c * b;
        const double e = v[k][p], f = v[k][q];
        v[k][p] = c * e - s * f; v[k][q] = s * e + c * f;
    }
}

// Replace g by the eigenvector of the smallest eigenvalue, on the same side; a zero matrix leaves it.
static __device__ void smallest_eigenvector(const double *s, float *g) {
    double m[3][3] = {{s[0], s[1], s[2]}, {s[1], s[3], s[4]}, {s[2], s[4], s[5]}};
    double v[3][3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
    double size = 0.0;
    for (int i = 0; i < 3; ++i)
        for (int j = 0; j < 3; ++j) size += fabs(m[i][j]);
    if (size == 0.0) return;
    for (int sweep = 0; sweep < 12; ++sweep) {
        if (fabs(m[0][1]) + fabs(m[0][2]) + fabs(m[1][2]) <= 1e-15 * size) break;
        rotate(m, v, 0, 1); rotate(m, v, 0, 2); rotate(m, v, 1, 2);
    }
    int best = 0;
    for (int i = 1; i < 3; ++i) best = m[i][i] < m[best][best] ? i : best;
    const double side = v[0][best] * g[0] + v[1][best] * g[1] + v[2][best] * g[2];
    for (int i = 0; i < 3; ++i) g[i] = float(side >= 0.0 ? v[i][best] : -v[i][best]);
}

// One block of REDUCERS threads: all partial sums to one matrix, and gravity's next estimate from it.
extern "C" __global__ void refine_gravity(const float *__restrict__ parts, int threads, float *gravity) {
    __shared__ double shared[PARTS][REDUCERS];
    const int t = threadIdx.x;
    for (int p = 0; p < PARTS; ++p) {
        double sum = 0.0;
        for (int i = t; i < threads; i += REDUCERS) sum += parts[p * threads + i];
        shared[p][t] = sum;
    }
    for (int half = REDUCERS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (t < half)
            for (int p = 0; p < PARTS; ++p) shared[p][t] += shared[p][t + half];
    }
    __syncthreads();
    if (t == 0) {
        double sums[6];
        for (int p = 0; p < 6; ++p) sums[p] = shared[p][0];
        smallest_eigenvector(sums, gravity);
        gravity[3] = float(shared[6][0]);
        gravity[4] = float(shared[7][0]);
    }
}

// Height over the camera along gravity; up to a tilt of 0.1 degrees the image's own down, as published.
static __device__ __forceinline__ float height_of(const float *g, Camera k, int x, int y, float z) {
    const bool level = g[1] >= LEVEL_ABOVE;
    const float gx = level ? 0.0f : g[0], gy = level ? 1.0f : g[1], gz = level ? 0.0f : g[2];
    return -(gx / k.fx * (float(x) - k.cx) + gy / k.fy * (float(y) - k.cy) + gz) * z;
}

extern "C" __global__ void least_heights(
    const float *__restrict__ z, const float *__restrict__ gravity, float *__restrict__ least, int width, int height,
    float fx, float fy, float cx, float cy) {
    const int thread = blockIdx.x * blockDim.x + threadIdx.x, threads = gridDim.x * blockDim.x;
    const Camera k = {fx, fy, cx, cy};
    float low = SSMA_INFINITY;
    for (int i = thread; i < width * height; i += threads)
        low = lower(low, height_of(gravity, k, i % width, i / width, z[i]));
    least[thread] = low;
}

// One block of REDUCERS threads: the published floor rule.
extern "C" __global__ void find_floor(const float *__restrict__ least, int threads, float *gravity) {
    __shared__ float shared[REDUCERS];
    const int t = threadIdx.x;
    float low = SSMA_INFINITY;
    for (int i = t; i < threads; i += REDUCERS) low = lower(low, least[i]);
    shared[t] = low;
    for (int half = REDUCERS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (t < half) shared[t] = lower(shared[t], shared[t + half]);
    }
    __syncthreads();
    if (t == 0) gravity[5] = shared[0] <= -NEAREST_FLOOR ? shared[0] : -ASSUMED_FLOOR;
}

// Readings by their height over the camera, in HEIGHT_BINS bins of 1 cm with the camera's own in the middle; what lies
// beyond counts in the last bin. `counts` is 0 before.
extern "C" __global__ void count_heights(
    const float *__restrict__ z, const float *__restrict__ gravity, int *counts, int width, int height, float fx,
    float fy, float cx, float cy) {
    PIXEL_OR_RETURN(x, y, width, height);
    const float metres = z[y * width + x];
    if (!(metres > 0.0f)) return;
    const Camera k = {fx, fy, cx, cy};
    const float place = height_of(gravity, k, x, y, metres) * BINS_PER_METRE + HEIGHT_BINS / 2;
    atomicAdd(counts + int(upper(0.0f, lower(HEIGHT_BINS - 1.0f, place))), 1);
}

// One block of REDUCERS threads: the floor is the height that `percent` of the readings lie below, the
// assumed one without any reading.
extern "C" __global__ void find_percentile(const int *__restrict__ counts, float *gravity, float percent) {
    __shared__ int sums[REDUCERS];
    const int t = threadIdx.x, each = HEIGHT_BINS / REDUCERS;
    int sum = 0;
    for (int i = 0; i < each; ++i) sum += counts[t * each + i];
    sums[t] = sum;
    __syncthreads();
    if (t != 0) return;
    int total = 0;
    for (int i = 0; i < REDUCERS; ++i) total += sums[i];
    const double wanted = double(total) * percent / 100.0;
    int part = 0, below = 0;
    while (part < REDUCERS - 1 && below + sums[part] < wanted) below += sums[part++];
    int bin = part * each;
    while (bin < (part + 1) * each - 1 && below + counts[bin] < wanted) below += counts[bin++];
    gravity[5] = total > 0 ? (bin + 0.5f - HEIGHT_BINS / 2) / BINS_PER_METRE : -ASSUMED_FLOOR;
}

extern "C" __global__ void set_floor(float *gravity, float floor) {
    if (blockIdx.x * blockDim.x + threadIdx.x == 0) gravity[5] = floor;
}

static __device__ __forceinline__ unsigned char level(float v) {
    return (unsigned char)(v < 255.0f ? (v > 0.0f ? v + 0.5f : 0.0f) : 255.0f);
}

// Angle to gravity (degrees + ANGLE_OFFSET), height over the floor, disparity: HxWx3 bytes. With `blank` pixels
// without a reading become 0.
extern "C" __global__ void encode(
    const float *__restrict__ z, const float *__restrict__ fine, const float *__restrict__ gravity,
    unsigned char *__restrict__ out, int width, int height, float fx, float fy, float cx, float cy,
    float levels_per_metre, int blank) {
    PIXEL_OR_RETURN(x, y, width, height);
    const Camera k = {fx, fy, cx, cy};
    const int plane = width * height, i = y * width + x;
    const float a = fine[i], b = fine[plane + i], c = fine[2 * plane + i], metres = z[i];
    float angle = 180.0f;
    if (a * a + b * b + c * c > 0.5f) {
        const float cosine = gravity[0] * a + gravity[1] * b + gravity[2] * c;
        angle = 57.29577951f * acosf(upper(-1.0f, lower(1.0f, cosine)));
    }
    const float height_over = (height_of(gravity, k, x, y, metres) - gravity[5]) * levels_per_metre;
    const bool hidden = blank && !(metres > 0.0f);
    out[3 * i] = hidden ? 0 : level(angle + ANGLE_OFFSET);
    out[3 * i + 1] = hidden ? 0 : level(height_over);
    out[3 * i + 2] = hidden ? 0 : level(DISPARITY_UNIT / upper(metres, DISPARITY_FROM));
}
