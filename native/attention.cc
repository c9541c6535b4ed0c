// Attention on the CPU as TensorFlow ops of our own. Each token computes scores with the tokens that it sees and no others, a
// block of queries at a time: what TensorFlow's batched products spend on masked scores, on copies of their operands and on
// passes over score matrices, in time and in memory, is not spent. On a GPU the batched products are used (src/engine/ops.ts).
//
//   PackedAttention      rows of packed segments (src/data/batch.ts), forward; PackedAttentionGrad backward
//   CachedAttention      one new token per slot, which it writes into the slot's cache, and what that holds up to it
//                        (src/generate/steps.ts)
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <new>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#define IS_SLIM_BUILD  // else kernels.h wants headers from outside the C API
#include "tensorflow/c/kernels.h"
#include "tensorflow/c/ops.h"
#include "tensorflow/c/tf_tensor.h"

#define INLINE inline __attribute__((always_inline))

namespace {

constexpr int kLanes = 16;
typedef float Lanes __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));
typedef float Half __attribute__((vector_size(4 * kLanes / 2)));
typedef float Quarter __attribute__((vector_size(4 * kLanes / 4)));
typedef int32_t IntLanes __attribute__((vector_size(4 * kLanes)));

/** Queries that are computed together. */
constexpr int64_t kQueries = 24;
/** Sizes are padded with zeros to a multiple of this. */
constexpr int64_t kPadding = 32;
constexpr float kMasked = -INFINITY;

INLINE int64_t Padded(int64_t size) { return (size + kPadding - 1) / kPadding * kPadding; }

/** e^x for x <= 0, to a unit or two in the last place. Reference: Cephes, expf. */
INLINE Lanes Exp(Lanes x) {
  const Lanes least = Lanes{} - 87.0f;
  x = x < least ? least : x;
  const float round = 12582912.0f;  // 1.5 · 2^23: adding it leaves no digits after the point
  const Lanes n = (x * 1.44269504f + round) - round;
  const Lanes r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  Lanes p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const IntLanes power = (__builtin_convertvector(n, IntLanes) + 127) << 23;
  return p * (Lanes)power;
}

INLINE Lanes Load(const float *at) { return *reinterpret_cast<const Lanes *>(at); }
INLINE void Store(float *at, Lanes value) { *reinterpret_cast<Lanes *>(at) = value; }

INLINE float SumOf(Lanes x) {
  Half halves[2];
  std::memcpy(halves, &x, sizeof x);
  const Half half = halves[0] + halves[1];
  Quarter quarters[2];
  std::memcpy(quarters, &half, sizeof half);
  const Quarter sums = quarters[0] + quarters[1];
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

INLINE float MaxOf(Lanes x) {
  float most = x[0];
  for (int i = 1; i < kLanes; i++) most = std::max(most, x[i]);
  return most;
}

struct Normaliser {
  float largest, sum;
};

/** Replaces scores by e^(score - largest score). A multiple of kLanes of them. */
INLINE Normaliser Exponentiate(float *scores, int64_t count) {
  Lanes most = Load(scores);
  for (int64_t j = kLanes; j < count; j += kLanes) {
    const Lanes next = Load(scores + j);
    most = next > most ? next : most;
  }
  const float largest = MaxOf(most);
  Lanes sums = {};
  for (int64_t j = 0; j < count; j += kLanes) {
    const Lanes weight = Exp(Load(scores + j) - largest);
    Store(scores + j, weight);
    sums += weight;
  }
  return {largest, SumOf(sums)};
}

/**
 * c [rows, columns] = or += a [rows, inner] · b [inner, columns], in blocks that stay in registers. Rows are rounded up to
 * kRows and columns to kWidth · kLanes: all three matrices have room for it.
 *
 * @param step, stride how far apart neighbouring rows and neighbouring inner values of a are
 */
template <int kRows, int kWidth>
INLINE void Multiply(const float *a, int64_t step, int64_t stride, const float *b, int64_t b_step, float *c, int64_t c_step,
                     int64_t rows, int64_t inner, int64_t columns, bool adds) {
  static_assert(kQueries % kRows == 0 && kPadding % kRows == 0 && kPadding % (kWidth * kLanes) == 0);
  for (int64_t j = 0; j < columns; j += kWidth * kLanes) {
    for (int64_t i = 0; i < rows; i += kRows) {
      Lanes sums[kRows][kWidth] = {};
      const float *a_block = a + i * step;
      const float *b_block = b + j;
      for (int64_t k = 0; k < inner; k++) {
        for (int x = 0; x < kWidth; x++) {
          const Lanes right = Load(b_block + k * b_step + x * kLanes);
#pragma GCC unroll 8
          for (int y = 0; y < kRows; y++) sums[y][x] += a_block[y * step + k * stride] * right;
        }
      }
      for (int y = 0; y < kRows; y++) {
        for (int x = 0; x < kWidth; x++) {
          float *at = c + (i + y) * c_step + j + x * kLanes;
          Store(at, adds ? Load(at) + sums[y][x] : sums[y][x]);
        }
      }
    }
  }
}

struct Sizes {
  int64_t rows, row_length, heads, kv_heads, dim;
  int64_t groups() const { return heads / kv_heads; }
};

/** Tokens next to each other in one row that share a segment, and the run that they see beside themselves. */
struct Run {
  int64_t begin, end, context_begin, context_end;
  int64_t context() const { return context_end - context_begin; }
  int64_t own() const { return end - begin; }
  int64_t keys() const { return context() + own(); }
  int64_t token(int64_t key) const { return key < context() ? context_begin + key : begin + key - context(); }
};

/** The runs of a row; empty places, -1, are in none. A context stands before those who see it. */
std::vector<Run> RunsOf(const int32_t *segments, const int32_t *contexts, int64_t begin, int64_t end) {
  std::vector<Run> runs;
  for (int64_t i = begin; i < end;) {
    Run run{i, i, 0, 0};
    while (run.end < end && segments[run.end] == segments[i]) run.end++;
    if (segments[i] >= 0) {
      if (contexts[i] != segments[i])
        for (const Run &other : runs)
          if (segments[other.begin] == contexts[i]) run.context_begin = other.begin, run.context_end = other.end;
      runs.push_back(run);
    }
    i = run.end;
  }
  return runs;
}

/** One head's vectors within a tensor [tokens, heads, dim]. */
struct Vectors {
  float *data;
  int64_t heads, dim, head;
  INLINE float *operator[](int64_t token) const { return data + (token * heads + head) * dim; }
};

/** [keys, dim] of a run, its context first, padded. */
INLINE void Gather(const Run &run, const Vectors &from, float *to) {
  const int64_t step = Padded(from.dim);
  for (int64_t key = 0; key < run.keys(); key++) std::copy_n(from[run.token(key)], from.dim, to + key * step);
}

/** [dim, keys] of the same, padded. */
INLINE void GatherTransposed(const Run &run, const Vectors &from, float *to) {
  const int64_t step = Padded(run.keys());
  for (int64_t key = 0; key < run.keys(); key++) {
    const float *vector = from[run.token(key)];
    for (int64_t i = 0; i < from.dim; i++) to[i * step + key] = vector[i];
  }
}

/** [count, dim] of neighbouring tokens, padded to kQueries rows of zeros. */
INLINE void GatherQueries(int64_t token, int64_t count, const Vectors &from, float scale, float *to) {
  const int64_t step = Padded(from.dim);
  std::fill_n(to, kQueries * step, 0.0f);
  for (int64_t i = 0; i < count; i++)
    for (int64_t d = 0; d < from.dim; d++) to[i * step + d] = scale * from[token + i][d];
}

/** Memory of one task, zero where nothing was written. */
float *Scratch(std::vector<float> &memory, int64_t size) {
  memory.assign(size, 0.0f);
  return memory.data();
}

struct Forward {
  Sizes sizes;
  const int32_t *segments, *contexts;
  float *queries, *keys, *values, *mixed, *normalisers;
};

template <int kRows, int kWidth>
INLINE void ForwardOf(const Forward &f, int64_t task) {
  const Sizes &s = f.sizes;
  const int64_t row = task / s.kv_heads, kv_head = task % s.kv_heads, width = Padded(s.dim);
  const float scale = 1 / std::sqrt(float(s.dim));
  std::vector<float> memory[5];
  for (const Run &run : RunsOf(f.segments, f.contexts, row * s.row_length, (row + 1) * s.row_length)) {
    const int64_t columns = Padded(run.keys());
    float *keys = Scratch(memory[0], width * columns);
    float *values = Scratch(memory[1], columns * width);
    float *queries = Scratch(memory[2], kQueries * width);
    float *scores = Scratch(memory[3], kQueries * columns);
    float *mixed = Scratch(memory[4], kQueries * width);
    GatherTransposed(run, {f.keys, s.kv_heads, s.dim, kv_head}, keys);
    Gather(run, {f.values, s.kv_heads, s.dim, kv_head}, values);
    for (int64_t head = kv_head * s.groups(); head < (kv_head + 1) * s.groups(); head++) {
      const Vectors query_vectors{f.queries, s.heads, s.dim, head}, outputs{f.mixed, s.heads, s.dim, head};
      for (int64_t first = 0; first < run.own(); first += kQueries) {
        const int64_t count = std::min(kQueries, run.own() - first), seen = run.context() + first + count;
        GatherQueries(run.begin + first, count, query_vectors, scale, queries);
        Multiply<kRows, kWidth>(queries, width, 1, keys, columns, scores, columns, count, s.dim, seen, false);
        for (int64_t i = 0; i < count; i++) {
          float *of_query = scores + i * columns;
          const int64_t visible = run.context() + first + i + 1, padded = Padded(seen);
          std::fill(of_query + visible, of_query + padded, kMasked);
          const auto [largest, sum] = Exponentiate(of_query, padded);
          for (int64_t j = 0; j < padded; j += kLanes) Store(of_query + j, Load(of_query + j) * (1 / sum));
          f.normalisers[(run.begin + first + i) * s.heads + head] = largest + std::log(sum);
          std::fill(of_query + visible, of_query + padded, 0.0f);
        }
        Multiply<kRows, kWidth>(scores, columns, 1, values, width, mixed, width, count, seen, s.dim, false);
        for (int64_t i = 0; i < count; i++)
          std::copy_n(mixed + i * width, s.dim, outputs[run.begin + first + i]);
      }
    }
  }
}

struct Backward {
  Sizes sizes;
  const int32_t *segments, *contexts;
  float *queries, *keys, *values, *mixed, *normalisers, *upstream;
  float *grad_queries, *grad_keys, *grad_values;
};

template <int kRows, int kWidth>
INLINE void BackwardOf(const Backward &b, int64_t task) {
  const Sizes &s = b.sizes;
  const int64_t row = task / s.kv_heads, kv_head = task % s.kv_heads, width = Padded(s.dim);
  const float scale = 1 / std::sqrt(float(s.dim));
  std::vector<float> memory[10];
  const Vectors key_vectors{b.keys, s.kv_heads, s.dim, kv_head}, value_vectors{b.values, s.kv_heads, s.dim, kv_head};
  const Vectors key_gradients{b.grad_keys, s.kv_heads, s.dim, kv_head};
  const Vectors value_gradients{b.grad_values, s.kv_heads, s.dim, kv_head};
  for (const Run &run : RunsOf(b.segments, b.contexts, row * s.row_length, (row + 1) * s.row_length)) {
    const int64_t columns = Padded(run.keys());
    float *keys = Scratch(memory[0], columns * width);
    float *keys_transposed = Scratch(memory[1], width * columns);
    float *values_transposed = Scratch(memory[2], width * columns);
    float *queries = Scratch(memory[3], kQueries * width);
    float *upstream = Scratch(memory[4], kQueries * width);
    float *weights = Scratch(memory[5], kQueries * columns);
    float *gradients = Scratch(memory[6], kQueries * columns);  // of weights, then of scores
    float *grad_queries = Scratch(memory[7], kQueries * width);
    float *grad_keys = Scratch(memory[8], columns * width);
    float *grad_values = Scratch(memory[9], columns * width);
    Gather(run, key_vectors, keys);
    GatherTransposed(run, key_vectors, keys_transposed);
    GatherTransposed(run, value_vectors, values_transposed);
    for (int64_t head = kv_head * s.groups(); head < (kv_head + 1) * s.groups(); head++) {
      const Vectors query_vectors{b.queries, s.heads, s.dim, head}, upstream_vectors{b.upstream, s.heads, s.dim, head};
      const Vectors outputs{b.mixed, s.heads, s.dim, head}, query_gradients{b.grad_queries, s.heads, s.dim, head};
      for (int64_t first = 0; first < run.own(); first += kQueries) {
        const int64_t token = run.begin + first;
        const int64_t count = std::min(kQueries, run.own() - first), seen = run.context() + first + count;
        GatherQueries(token, count, query_vectors, scale, queries);
        GatherQueries(token, count, upstream_vectors, 1, upstream);
        Multiply<kRows, kWidth>(queries, width, 1, keys_transposed, columns, weights, columns, count, s.dim, seen, false);
        Multiply<kRows, kWidth>(upstream, width, 1, values_transposed, columns, gradients, columns, count, s.dim, seen, false);
        for (int64_t i = 0; i < count; i++) {
          float *of_weights = weights + i * columns, *of_gradients = gradients + i * columns;
          const int64_t visible = run.context() + first + i + 1, padded = Padded(seen);
          const float normaliser = b.normalisers[(token + i) * s.heads + head];
          float projection = 0;  // sum of weights · their gradients
          for (int64_t d = 0; d < s.dim; d++) projection += upstream[i * width + d] * outputs[token + i][d];
          std::fill(of_weights + visible, of_weights + padded, kMasked);
          for (int64_t j = 0; j < padded; j += kLanes) {
            const Lanes weight = Exp(Load(of_weights + j) - normaliser);
            Store(of_weights + j, weight);
            Store(of_gradients + j, weight * (Load(of_gradients + j) - projection));
          }
          std::fill(of_weights + visible, of_weights + padded, 0.0f);
          std::fill(of_gradients + visible, of_gradients + padded, 0.0f);
        }
        Multiply<kRows, kWidth>(gradients, columns, 1, keys, width, grad_queries, width, count, seen, s.dim, false);
        Multiply<kRows, kWidth>(gradients, 1, columns, queries, width, grad_keys, width, seen, count, s.dim, true);
        Multiply<kRows, kWidth>(weights, 1, columns, upstream, width, grad_values, width, seen, count, s.dim, true);
        for (int64_t i = 0; i < count; i++)
          for (int64_t d = 0; d < s.dim; d++) query_gradients[token + i][d] = scale * grad_queries[i * width + d];
      }
    }
    for (int64_t key = 0; key < run.keys(); key++) {
      for (int64_t d = 0; d < s.dim; d++) {
        key_gradients[run.token(key)][d] += grad_keys[key * width + d];
        value_gradients[run.token(key)][d] += grad_values[key * width + d];
      }
    }
  }
}

struct Cached {
  int64_t heads, kv_heads, capacity, dim;
  const float *queries, *new_keys, *new_values;
  float *keys, *values, *mixed;
  const int32_t *positions;
};

/** The weighted mean of neighbouring vectors, some lanes of it. */
template <int kWidth>
INLINE void Mix(const float *weights, const float *vectors, int64_t step, int64_t count, float scale, float *mixed) {
  Lanes even[kWidth] = {}, odd[kWidth] = {};  // one sum alone would have to wait for itself
  for (int64_t i = 0; i + 1 < count; i += 2) {
    for (int x = 0; x < kWidth; x++) {
      even[x] += weights[i] * Load(vectors + i * step + x * kLanes);
      odd[x] += weights[i + 1] * Load(vectors + (i + 1) * step + x * kLanes);
    }
  }
  for (int x = 0; x < kWidth; x++) {
    if (count % 2) even[x] += weights[count - 1] * Load(vectors + (count - 1) * step + x * kLanes);
    Store(mixed + x * kLanes, (even[x] + odd[x]) * scale);
  }
}

INLINE void CachedOf(const Cached &c, int64_t task) {
  const int64_t slot = task / c.kv_heads, kv_head = task % c.kv_heads, groups = c.heads / c.kv_heads;
  const int64_t count = std::min<int64_t>(c.positions[slot] + 1, c.capacity), vectors = c.dim / kLanes * kLanes;
  float *keys = c.keys + task * c.capacity * c.dim, *values = c.values + task * c.capacity * c.dim;
  std::copy_n(c.new_keys + task * c.dim, c.dim, keys + (count - 1) * c.dim);
  std::copy_n(c.new_values + task * c.dim, c.dim, values + (count - 1) * c.dim);
  const float scale = 1 / std::sqrt(float(c.dim));
  std::vector<float> scores(Padded(count), kMasked);
  for (int64_t head = kv_head * groups; head < (kv_head + 1) * groups; head++) {
    const float *query = c.queries + (slot * c.heads + head) * c.dim;
    float *mixed = c.mixed + (slot * c.heads + head) * c.dim;
    for (int64_t key = 0; key < count; key++) {
      const float *vector = keys + key * c.dim;
      Lanes products = {};
      for (int64_t d = 0; d < vectors; d += kLanes) products += Load(query + d) * Load(vector + d);
      float score = SumOf(products);
      for (int64_t d = vectors; d < c.dim; d++) score += query[d] * vector[d];
      scores[key] = scale * score;
    }
    const float inverse = 1 / Exponentiate(scores.data(), scores.size()).sum;
    std::fill(scores.begin() + count, scores.end(), kMasked);
    int64_t d = 0;
    for (; d + 4 * kLanes <= c.dim; d += 4 * kLanes) Mix<4>(scores.data(), values + d, c.dim, count, inverse, mixed + d);
    for (; d + 2 * kLanes <= c.dim; d += 2 * kLanes) Mix<2>(scores.data(), values + d, c.dim, count, inverse, mixed + d);
    for (; d + kLanes <= c.dim; d += kLanes) Mix<1>(scores.data(), values + d, c.dim, count, inverse, mixed + d);
    for (; d < c.dim; d++) {
      float sum = 0;
      for (int64_t key = 0; key < count; key++) sum += scores[key] * values[key * c.dim + d];
      mixed[d] = sum * inverse;
    }
  }
}

void Task(const Forward &f, int64_t task) { ForwardOf<2, 1>(f, task); }
void Task(const Backward &b, int64_t task) { BackwardOf<2, 1>(b, task); }
void Task(const Cached &c, int64_t task) { CachedOf(c, task); }

#ifdef __x86_64__
// One copy of each per instruction set, with blocks that fit its registers: 32 of 16 floats, 16 of 8.
#define WIDE __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,avx2,fma,prefer-vector-width=512")))
#define NARROW __attribute__((target("avx2,fma")))
WIDE void TaskWide(const Forward &f, int64_t task) { ForwardOf<8, 2>(f, task); }
WIDE void TaskWide(const Backward &b, int64_t task) { BackwardOf<8, 2>(b, task); }
WIDE void TaskWide(const Cached &c, int64_t task) { CachedOf(c, task); }
NARROW void TaskNarrow(const Forward &f, int64_t task) { ForwardOf<4, 1>(f, task); }
NARROW void TaskNarrow(const Backward &b, int64_t task) { BackwardOf<4, 1>(b, task); }
NARROW void TaskNarrow(const Cached &c, int64_t task) { CachedOf(c, task); }

/** Whether oneDNN's limit for itself is one of these: tests thus reach every copy on one CPU. */
bool IsLimitedTo(std::initializer_list<const char *> limits) {
  const char *limit = std::getenv("ONEDNN_MAX_CPU_ISA");
  return limit != nullptr && std::any_of(limits.begin(), limits.end(), [&](const char *one) { return std::string(one) == limit; });
}

template <class Work>
void RunTask(const Work &work, int64_t task) {
  static const bool narrow =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && !IsLimitedTo({"SSE41", "AVX"});
  static const bool wide = narrow && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                           __builtin_cpu_supports("avx512bw") && !IsLimitedTo({"AVX2", "AVX2_VNNI", "AVX2_VNNI_2"});
  wide ? TaskWide(work, task) : narrow ? TaskNarrow(work, task) : Task(work, task);
}
#else
template <class Work>
void RunTask(const Work &work, int64_t task) {
  Task(work, task);
}
#endif

/** Runs tasks 0 to count - 1 on as many threads as TensorFlow has for one op, when there is enough to do. */
template <class Work>
void RunTasks(const Work &work, int64_t count, double operations) {
  static const int64_t most = [] {
    const char *setting = std::getenv("TF_NUM_INTRAOP_THREADS");
    const int64_t threads = setting ? std::atoll(setting) : 0;
    return threads > 0 ? threads : int64_t(std::thread::hardware_concurrency());
  }();
  const double worth = 4e6;  // of a thread: starting one takes some tens of microseconds
  const int64_t threads = std::max<int64_t>(1, std::min({most, count, int64_t(operations / worth)}));
  std::atomic<int64_t> next{0};
  std::atomic<bool> failed{false};
  const auto loop = [&] {
    try {
      for (int64_t task; (task = next++) < count;) RunTask(work, task);
    } catch (const std::bad_alloc &) {
      failed = true;
      next = count;
    }
  };
  std::vector<std::thread> others;
  others.reserve(threads);
  try {
    for (int64_t i = 1; i < threads; i++) others.emplace_back(loop);
  } catch (const std::system_error &) {
    // No more threads are to be had: those that there are do the work.
  }
  loop();
  for (std::thread &other : others) other.join();
  if (failed) throw std::bad_alloc();
}

/** The inputs and outputs of one call. */
class Call {
 public:
  explicit Call(TF_OpKernelContext *context) : context_(context) {}
  ~Call() {
    for (TF_Tensor *tensor : tensors_) TF_DeleteTensor(tensor);
    TF_DeleteStatus(status_);
  }
  TF_Tensor *Input(int index) {
    TF_Tensor *tensor = nullptr;
    TF_GetInput(context_, index, &tensor, status_);
    tensors_.push_back(tensor);
    return tensor;
  }
  float *Floats(int index) { return static_cast<float *>(TF_TensorData(Input(index))); }
  const int32_t *Ints(int index) { return static_cast<const int32_t *>(TF_TensorData(Input(index))); }
  /** Zeros, of the shape of an input's first axes. */
  float *Output(int index, TF_Tensor *like, int axes) {
    std::vector<int64_t> shape;
    int64_t size = 1;
    for (int axis = 0; axis < axes; axis++) shape.push_back(TF_Dim(like, axis)), size *= shape.back();
    TF_Tensor *tensor = TF_AllocateOutput(context_, index, TF_FLOAT, shape.data(), axes, 4 * size, status_);
    if (tensor == nullptr) throw std::bad_alloc();
    tensors_.push_back(tensor);
    float *data = static_cast<float *>(TF_TensorData(tensor));
    std::fill_n(data, size, 0.0f);
    return data;
  }

 private:
  TF_OpKernelContext *context_;
  TF_Status *status_ = TF_NewStatus();
  std::vector<TF_Tensor *> tensors_;
};

Sizes SizesOf(TF_Tensor *queries, TF_Tensor *keys, TF_Tensor *segments) {
  return {TF_Dim(segments, 0), TF_Dim(segments, 1), TF_Dim(queries, 1), TF_Dim(keys, 1), TF_Dim(queries, 2)};
}

/** Of one product of queries and keys, were every row one segment and nothing masked. */
double OperationsOf(const Sizes &s) { return 2.0 * s.rows * s.row_length * s.row_length * s.heads * s.dim; }

void ComputeForward(TF_OpKernelContext *context) {
  Call call(context);
  TF_Tensor *queries = call.Input(0);
  const Sizes sizes = SizesOf(queries, call.Input(1), call.Input(3));
  RunTasks(Forward{sizes, call.Ints(3), call.Ints(4), call.Floats(0), call.Floats(1), call.Floats(2),
                   call.Output(0, queries, 3), call.Output(1, queries, 2)},
           sizes.rows * sizes.kv_heads, OperationsOf(sizes));
}

void ComputeBackward(TF_OpKernelContext *context) {
  Call call(context);
  TF_Tensor *queries = call.Input(0), *keys = call.Input(1);
  const Sizes sizes = SizesOf(queries, keys, call.Input(3));
  RunTasks(Backward{sizes, call.Ints(3), call.Ints(4), call.Floats(0), call.Floats(1), call.Floats(2), call.Floats(5),
                    call.Floats(6), call.Floats(7), call.Output(0, queries, 3), call.Output(1, keys, 3),
                    call.Output(2, keys, 3)},
           sizes.rows * sizes.kv_heads, 3 * OperationsOf(sizes));
}

void ComputeCached(TF_OpKernelContext *context) {
  Call call(context);
  TF_Tensor *queries = call.Input(0), *keys = call.Input(3);
  const int64_t slots = TF_Dim(keys, 0), kv_heads = TF_Dim(keys, 1), capacity = TF_Dim(keys, 2), dim = TF_Dim(keys, 3);
  const int64_t heads = TF_Dim(queries, 1);
  RunTasks(Cached{heads, kv_heads, capacity, dim, call.Floats(0), call.Floats(1), call.Floats(2), call.Floats(3),
                  call.Floats(4), call.Output(0, queries, 3), call.Ints(5)},
           slots * kv_heads, 4.0 * slots * heads * capacity * dim);
}

/** Memory that is short becomes the op's error: exceptions must not cross into TensorFlow. */
template <void (*Compute)(TF_OpKernelContext *)>
void Guarded(void *, TF_OpKernelContext *context) {
  try {
    Compute(context);
  } catch (const std::bad_alloc &error) {
    TF_Status *status = TF_NewStatus();
    TF_SetStatus(status, TF_RESOURCE_EXHAUSTED, error.what());
    TF_OpKernelContext_Failure(context, status);
    TF_DeleteStatus(status);
  }
}

/** Gives an output the shape of an input's first axes. */
void SetShape(TF_ShapeInferenceContext *context, int output, int input, int axes, TF_Status *status) {
  TF_ShapeHandle *shape = TF_NewShapeHandle();
  TF_ShapeInferenceContextGetInput(context, input, shape, status);
  TF_ShapeInferenceContextSubshape(context, shape, 0, axes, shape, status);
  TF_ShapeInferenceContextSetOutput(context, output, shape, status);
  TF_DeleteShapeHandle(shape);
}

typedef void (*InferShapes)(TF_ShapeInferenceContext *, TF_Status *);
typedef void (*Compute)(void *, TF_OpKernelContext *);

void Register(const char *name, const std::vector<const char *> &inputs, const std::vector<const char *> &outputs,
              InferShapes infer, Compute compute) {
  TF_Status *status = TF_NewStatus();
  TF_OpDefinitionBuilder *definition = TF_NewOpDefinitionBuilder(name);
  for (const char *input : inputs) TF_OpDefinitionBuilderAddInput(definition, input);
  for (const char *output : outputs) TF_OpDefinitionBuilderAddOutput(definition, output);
  TF_OpDefinitionBuilderSetShapeInferenceFunction(definition, infer);
  TF_RegisterOpDefinition(definition, status);
  TF_RegisterKernelBuilder(name, TF_NewKernelBuilder(name, "CPU", nullptr, compute, nullptr), status);
  TF_DeleteStatus(status);
}

const bool registered = [] {
  Register("PackedAttention",
           {"queries: float", "keys: float", "values: float", "segments: int32", "contexts: int32"},
           {"mixed: float", "normalisers: float"},
           [](TF_ShapeInferenceContext *context, TF_Status *status) {
             SetShape(context, 0, 0, 3, status);
             SetShape(context, 1, 0, 2, status);
           },
           Guarded<ComputeForward>);
  Register("PackedAttentionGrad",
           {"queries: float", "keys: float", "values: float", "segments: int32", "contexts: int32", "mixed: float",
            "normalisers: float", "upstream: float"},
           {"grad_queries: float", "grad_keys: float", "grad_values: float"},
           [](TF_ShapeInferenceContext *context, TF_Status *status) {
             for (int i = 0; i < 3; i++) SetShape(context, i, i, 3, status);
           },
           Guarded<ComputeBackward>);
  Register("CachedAttention",
           {"queries: float", "new_keys: float", "new_values: float", "keys: float", "values: float", "positions: int32"},
           {"mixed: float"},
           [](TF_ShapeInferenceContext *context, TF_Status *status) { SetShape(context, 0, 0, 3, status); },
           Guarded<ComputeCached>);
  return true;
}();

}  // namespace
