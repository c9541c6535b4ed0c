// Attention of training on the CPU as TensorFlow ops of our own. Each token computes scores with the tokens that it sees and no others, a
// block of queries at a time: what TensorFlow's batched products spend on masked scores, on copies of their operands and on
// passes over score matrices, in time and in memory, is not spent. On a GPU the batched products are used (src/engine/ops.ts).
//
//   PackedAttention      rows of packed segments (src/model/batch.ts), forward; PackedAttentionGrad backward
#include <cmath>
#include <unordered_map>
#include <utility>

#include "vectors.h"

namespace {

/** Queries that are computed together. */
constexpr int64_t kQueries = 24;
/** Sizes are padded with zeros to a multiple of this. */
constexpr int64_t kPadding = 32;
INLINE int64_t Padded(int64_t size) { return RoundedUp(size, kPadding); }

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
  int64_t window;  // keys that a query sees, its own included
  int64_t groups() const { return heads / kv_heads; }
  /** How many of a run's first keys a query does not see that sees none behind the first `visible`. */
  int64_t hidden(int64_t visible) const { return std::max<int64_t>(0, visible - window); }
};

/**
 * Tokens next to each other in one row that share a segment, and the run that they see beside themselves. Keys are in the order of
 * positions, from 0: a context has none itself.
 */
struct Run {
  int64_t begin, end, context_begin, context_end;
  int64_t context() const { return context_end - context_begin; }
  int64_t own() const { return end - begin; }
  int64_t keys() const { return context() + own(); }
  int64_t token(int64_t key) const { return key < context() ? context_begin + key : begin + key - context(); }
};

/** Runs that see each other, in order: what another family's runs compute has nothing to do with them. */
typedef std::vector<Run> Family;

/** The families of all rows; empty places, -1, are in none. A context stands before those who see it. */
std::vector<Family> FamiliesOf(const Sizes &sizes, const int32_t *segments, const int32_t *contexts) {
  std::vector<Family> families;
  for (int64_t row = 0; row < sizes.rows; row++) {
    const int64_t end = (row + 1) * sizes.row_length;
    std::unordered_map<int32_t, std::pair<size_t, Run>> known;  // of each segment, its family and its run
    for (int64_t i = row * sizes.row_length; i < end;) {
      Run run{i, i, 0, 0};
      while (run.end < end && segments[run.end] == segments[i]) run.end++;
      if (segments[i] >= 0) {
        const auto context = known.find(contexts[i]);
        const size_t family = context == known.end() ? families.size() : context->second.first;
        if (family == families.size()) families.emplace_back();
        else run.context_begin = context->second.second.begin, run.context_end = context->second.second.end;
        families[family].push_back(run);
        known.insert({segments[i], {family, run}});
      }
      i = run.end;
    }
  }
  return families;
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
  const std::vector<Family> &families;
  float *queries, *keys, *values, *mixed, *normalisers;
};

template <int kRows, int kWidth>
INLINE void ForwardOf(const Forward &f, int64_t task) {
  const Sizes &s = f.sizes;
  const int64_t kv_head = task % s.kv_heads, width = Padded(s.dim);
  const float scale = 1 / std::sqrt(float(s.dim));
  std::vector<float> memory[5];
  for (const Run &run : f.families[task / s.kv_heads]) {
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
        const int64_t begin = s.hidden(run.context() + first + 1) / kPadding * kPadding;
        GatherQueries(run.begin + first, count, query_vectors, scale, queries);
        Multiply<kRows, kWidth>(queries, width, 1, keys + begin, columns, scores + begin, columns, count, s.dim, seen - begin, false);
        for (int64_t i = 0; i < count; i++) {
          float *of_query = scores + i * columns;
          const int64_t visible = run.context() + first + i + 1, padded = Padded(seen);
          std::fill(of_query + begin, of_query + s.hidden(visible), kMasked);
          std::fill(of_query + visible, of_query + padded, kMasked);
          const auto [largest, sum] = Exponentiate(of_query + begin, padded - begin);
          for (int64_t j = begin; j < padded; j += kLanes) Store(of_query + j, Load(of_query + j) * (1 / sum));
          f.normalisers[(run.begin + first + i) * s.heads + head] = largest + std::log(sum);
          std::fill(of_query + begin, of_query + s.hidden(visible), 0.0f);
          std::fill(of_query + visible, of_query + padded, 0.0f);
        }
        Multiply<kRows, kWidth>(scores + begin, columns, 1, values + begin * width, width, mixed, width, count, seen - begin, s.dim, false);
        for (int64_t i = 0; i < count; i++)
          std::copy_n(mixed + i * width, s.dim, outputs[run.begin + first + i]);
      }
    }
  }
}

struct Backward {
  Sizes sizes;
  const std::vector<Family> &families;
  float *queries, *keys, *values, *mixed, *normalisers, *upstream;
  float *grad_queries, *grad_keys, *grad_values;
};

template <int kRows, int kWidth>
INLINE void BackwardOf(const Backward &b, int64_t task) {
  const Sizes &s = b.sizes;
  const int64_t kv_head = task % s.kv_heads, width = Padded(s.dim);
  const float scale = 1 / std::sqrt(float(s.dim));
  std::vector<float> memory[10];
  const Vectors key_vectors{b.keys, s.kv_heads, s.dim, kv_head}, value_vectors{b.values, s.kv_heads, s.dim, kv_head};
  const Vectors key_gradients{b.grad_keys, s.kv_heads, s.dim, kv_head};
  const Vectors value_gradients{b.grad_values, s.kv_heads, s.dim, kv_head};
  for (const Run &run : b.families[task / s.kv_heads]) {
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
        const int64_t begin = s.hidden(run.context() + first + 1) / kPadding * kPadding, rows = seen - begin;
        GatherQueries(token, count, query_vectors, scale, queries);
        GatherQueries(token, count, upstream_vectors, 1, upstream);
        Multiply<kRows, kWidth>(queries, width, 1, keys_transposed + begin, columns, weights + begin, columns, count, s.dim, rows, false);
        Multiply<kRows, kWidth>(upstream, width, 1, values_transposed + begin, columns, gradients + begin, columns, count, s.dim, rows, false);
        for (int64_t i = 0; i < count; i++) {
          float *of_weights = weights + i * columns, *of_gradients = gradients + i * columns;
          const int64_t visible = run.context() + first + i + 1, padded = Padded(seen);
          const float normaliser = b.normalisers[(token + i) * s.heads + head];
          float projection = 0;  // sum of weights · their gradients
          for (int64_t d = 0; d < s.dim; d++) projection += upstream[i * width + d] * outputs[token + i][d];
          std::fill(of_weights + begin, of_weights + s.hidden(visible), kMasked);
          std::fill(of_weights + visible, of_weights + padded, kMasked);
          for (int64_t j = begin; j < padded; j += kLanes) {
            const Lanes weight = Exp(Load(of_weights + j) - normaliser);
            Store(of_weights + j, weight);
            Store(of_gradients + j, weight * (Load(of_gradients + j) - projection));
          }
          for (float *row : {of_weights, of_gradients}) {
            std::fill(row + begin, row + s.hidden(visible), 0.0f);
            std::fill(row + visible, row + padded, 0.0f);
          }
        }
        const int64_t at = begin * width;
        Multiply<kRows, kWidth>(gradients + begin, columns, 1, keys + at, width, grad_queries, width, count, rows, s.dim, false);
        Multiply<kRows, kWidth>(gradients + begin, 1, columns, queries, width, grad_keys + at, width, rows, count, s.dim, true);
        Multiply<kRows, kWidth>(weights + begin, 1, columns, upstream, width, grad_values + at, width, rows, count, s.dim, true);
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

TARGET void Task(const Forward &f, int64_t task) { ForwardOf<kRowsAtOnce, kVectorsAtOnce>(f, task); }
TARGET void Task(const Backward &b, int64_t task) { BackwardOf<kRowsAtOnce, kVectorsAtOnce>(b, task); }

struct Settings {
  const int64_t window;  // 0: none

  explicit Settings(Attributes attributes) : window(attributes.Long("window")) {}
};

Sizes SizesOf(TF_Tensor *queries, TF_Tensor *keys, TF_Tensor *segments, const Settings &settings) {
  const int64_t row_length = TF_Dim(segments, 1), window = settings.window > 0 ? settings.window : row_length;
  return {TF_Dim(segments, 0), row_length, TF_Dim(queries, 1), TF_Dim(keys, 1), TF_Dim(queries, 2), window};
}

/** Of one product of queries and keys. */
double OperationsOf(const Sizes &sizes, const std::vector<Family> &families) {
  double pairs = 0;
  for (const Family &family : families)
    for (const Run &run : family) pairs += double(run.own()) * run.keys();
  return 2 * pairs * sizes.heads * sizes.dim;
}

void ComputeForward(const Settings &settings, TF_OpKernelContext *context) {
  Call call(context);
  TF_Tensor *queries = call.Input(0);
  const Sizes sizes = SizesOf(queries, call.Input(1), call.Input(3), settings);
  const std::vector<Family> families = FamiliesOf(sizes, call.Ints(3), call.Ints(4));
  RunTasks(Forward{sizes, families, call.Floats(0), call.Floats(1), call.Floats(2),
                   call.Zeros(0, queries, 3), call.Zeros(1, queries, 2)},
           families.size() * sizes.kv_heads, OperationsOf(sizes, families));
}

void ComputeBackward(const Settings &settings, TF_OpKernelContext *context) {
  Call call(context);
  TF_Tensor *queries = call.Input(0), *keys = call.Input(1);
  const Sizes sizes = SizesOf(queries, keys, call.Input(3), settings);
  const std::vector<Family> families = FamiliesOf(sizes, call.Ints(3), call.Ints(4));
  RunTasks(Backward{sizes, families, call.Floats(0), call.Floats(1), call.Floats(2), call.Floats(5),
                    call.Floats(6), call.Floats(7), call.Zeros(0, queries, 3), call.Zeros(1, keys, 3),
                    call.Zeros(2, keys, 3)},
           families.size() * sizes.kv_heads, 3 * OperationsOf(sizes, families));
}

const bool registered = IsForThisProcessor() && [] {
  Register("PackedAttention",
           {{"queries: float", "keys: float", "values: float", "segments: int32", "contexts: int32"},
            {"mixed: float", "normalisers: float"},
            {"window: int >= 0"}},
           [](TF_ShapeInferenceContext *context, TF_Status *status) {
             SetShape(context, 0, 0, 3, status);
             SetShape(context, 1, 0, 2, status);
           },
           GuardedWith<Settings, ComputeForward>, Created<Settings>, Deleted<Settings>);
  Register("PackedAttentionGrad",
           {{"queries: float", "keys: float", "values: float", "segments: int32", "contexts: int32", "mixed: float",
             "normalisers: float", "upstream: float"},
            {"grad_queries: float", "grad_keys: float", "grad_values: float"},
            {"window: int >= 0"}},
           [](TF_ShapeInferenceContext *context, TF_Status *status) {
             for (int i = 0; i < 3; i++) SetShape(context, i, i, 3, status);
           },
           GuardedWith<Settings, ComputeBackward>, Created<Settings>, Deleted<Settings>);
  return true;
}();

}  // namespace
