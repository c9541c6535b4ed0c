// What stands between a layer's products, as TensorFlow ops of our own for the CPU: they wait for memory, so each reads its inputs
// and writes its outputs once, where TensorFlow's ops pass over memory for every addition and keep what lies between for the
// backward pass. Here that is computed again. On a GPU TensorFlow's ops are used (src/engine/ops.ts).
#include <cmath>

#include "vectors.h"

namespace {

/** Rows of a task. Sums over rows are those of tasks, summed up in order: they do not depend on the number of threads. */
constexpr int64_t kRows = 16;
/** What a number takes, in the time of a product's operations. */
constexpr double kOperations = 32;

/** At most kLanes numbers, zeros behind them. */
INLINE Lanes LoadPart(const float *at, int64_t count) {
  if (count >= kLanes) return Load(at);
  Lanes part = {};
  std::memcpy(&part, at, 4 * count);
  return part;
}

INLINE void StorePart(float *at, Lanes value, int64_t count) {
  if (count >= kLanes) return Store(at, value);
  std::memcpy(at, &value, 4 * count);
}

/** Something done for every row of a matrix. */
struct Rows {
  int64_t rows, columns;
  int64_t tasks() const { return (rows + kRows - 1) / kRows; }
  int64_t begin(int64_t task) const { return task * kRows; }
  int64_t end(int64_t task) const { return std::min(rows, (task + 1) * kRows); }
};

/** 1 / sqrt(mean(x²) + epsilon) */
INLINE float InverseOf(const float *x, int64_t dim, float epsilon) {
  Lanes squares = {};
  for (int64_t i = 0; i < dim; i += kLanes) {
    const Lanes part = LoadPart(x + i, dim - i);
    squares += part * part;
  }
  return 1 / std::sqrt(SumOf(squares) / dim + epsilon);
}

struct Norm {
  Rows rows;
  const float *x, *weight;
  float epsilon, *normed;

  INLINE void Do(int64_t task) const {
    for (int64_t row = rows.begin(task); row < rows.end(task); row++) {
      const float *from = x + row * rows.columns;
      const float inverse = InverseOf(from, rows.columns, epsilon);
      for (int64_t i = 0; i < rows.columns; i += kLanes) {
        const int64_t rest = rows.columns - i;
        StorePart(normed + row * rows.columns + i, LoadPart(from + i, rest) * inverse * LoadPart(weight + i, rest), rest);
      }
    }
  }
};

struct NormGrad {
  Rows rows;
  const float *x, *weight, *upstream;
  float epsilon, *grad_x;
  float *grad_weights;  // [tasks, columns], zeros at first

  INLINE void Do(int64_t task) const {
    float *grad_weight = grad_weights + task * rows.columns;
    for (int64_t row = rows.begin(task); row < rows.end(task); row++) {
      // n = x·r with r = (mean(x²)+ε)^-½ gives dx = r·(dn - n·mean(dn·n)).
      const float *from = x + row * rows.columns, *up = upstream + row * rows.columns;
      const float inverse = InverseOf(from, rows.columns, epsilon);
      Lanes products = {};
      for (int64_t i = 0; i < rows.columns; i += kLanes) {
        const int64_t rest = rows.columns - i;
        products += LoadPart(up + i, rest) * LoadPart(weight + i, rest) * LoadPart(from + i, rest);
      }
      const float projection = SumOf(products) * inverse / rows.columns;
      for (int64_t i = 0; i < rows.columns; i += kLanes) {
        const int64_t rest = rows.columns - i;
        const Lanes normed = LoadPart(from + i, rest) * inverse, above = LoadPart(up + i, rest);
        const Lanes grad = (above * LoadPart(weight + i, rest) - normed * projection) * inverse;
        StorePart(grad_x + row * rows.columns + i, grad, rest);
        StorePart(grad_weight + i, LoadPart(grad_weight + i, rest) + above * normed, rest);
      }
    }
  }
};

struct Gate {
  Rows rows;
  const float *gate, *up;
  float *gated;

  INLINE void Do(int64_t task) const {
    const int64_t last = rows.end(task) * rows.columns;
    for (int64_t i = rows.begin(task) * rows.columns; i < last; i += kLanes) {
      const Lanes x = LoadPart(gate + i, last - i);
      StorePart(gated + i, x * Logistic(x) * LoadPart(up + i, last - i), last - i);
    }
  }
};

struct GateGrad {
  Rows rows;
  const float *gate, *up, *upstream;
  float *grad_gate, *grad_up;

  INLINE void Do(int64_t task) const {
    const int64_t last = rows.end(task) * rows.columns;
    for (int64_t i = rows.begin(task) * rows.columns; i < last; i += kLanes) {
      const int64_t rest = last - i;
      const Lanes x = LoadPart(gate + i, rest), above = LoadPart(upstream + i, rest);
      // d silu = σ · (1 + x · (1 - σ)) = σ + silu · (1 - σ)
      const Lanes logistic = Logistic(x), silu = x * logistic;
      StorePart(grad_gate + i, above * LoadPart(up + i, rest) * (logistic + silu * (1 - logistic)), rest);
      StorePart(grad_up + i, above * silu, rest);
    }
  }
};

/** Every head's vector of a token by the token's angles; columns are a head's. */
struct Rotation {
  Rows rows;
  int64_t heads;
  const float *x, *cosines, *sines;
  float *rotated;

  INLINE void Do(int64_t task) const {
    const int64_t half = rows.columns / 2;
    for (int64_t row = rows.begin(task); row < rows.end(task); row++) {
      const float *cosine = cosines + row * rows.columns, *sine = sines + row * rows.columns;
      for (int64_t head = 0; head < heads; head++) {
        const float *low = x + (row * heads + head) * rows.columns, *high = low + half;
        float *to = rotated + (row * heads + head) * rows.columns;
        for (int64_t i = 0; i < half; i += kLanes) {
          const int64_t rest = half - i, j = half + i;
          const Lanes first = LoadPart(low + i, rest), second = LoadPart(high + i, rest);
          StorePart(to + i, first * LoadPart(cosine + i, rest) + second * LoadPart(sine + i, rest), rest);
          StorePart(to + j, second * LoadPart(cosine + j, rest) + first * LoadPart(sine + j, rest), rest);
        }
      }
    }
  }
};

/** The natural log-probability of one class per row. */
struct Logprob {
  Rows rows;
  const float *logits;
  const int32_t *classes;
  // The logarithm of the sum of e^logit is largest + log_total: apart, because their sum loses digits where logits are large.
  float *logprobs, *largests, *log_totals;

  INLINE void Do(int64_t task) const {
    for (int64_t row = rows.begin(task); row < rows.end(task); row++) {
      const float *from = logits + row * rows.columns;
      Lanes most = Lanes{} + from[0];
      for (int64_t i = 0; i + kLanes <= rows.columns; i += kLanes) {
        const Lanes next = Load(from + i);
        most = Select(next > most, next, most);
      }
      float largest = MaxOf(most);
      for (int64_t i = rows.columns / kLanes * kLanes; i < rows.columns; i++) largest = std::max(largest, from[i]);
      // By blocks, so that the sum over a large vocabulary stays exact.
      float total = 0;
      for (int64_t block = 0; block < rows.columns; block += 64 * kLanes) {
        Lanes sums = {};
        for (int64_t i = block; i < std::min(rows.columns, block + 64 * kLanes); i += kLanes) {
          const int64_t rest = rows.columns - i;
          Lanes weights = Exp(LoadPart(from + i, rest) - largest);
          for (int64_t x = rest; x < kLanes; x++) weights[x] = 0;
          sums += weights;
        }
        total += SumOf(sums);
      }
      largests[row] = largest;
      log_totals[row] = std::log(total);
      logprobs[row] = (from[classes[row]] - largest) - log_totals[row];
    }
  }
};

struct LogprobGrad {
  Rows rows;
  const float *logits;
  const int32_t *classes;
  const float *largests, *log_totals, *upstream;
  float *grad_logits;

  INLINE void Do(int64_t task) const {
    for (int64_t row = rows.begin(task); row < rows.end(task); row++) {
      const float *from = logits + row * rows.columns;
      float *to = grad_logits + row * rows.columns;
      for (int64_t i = 0; i < rows.columns; i += kLanes) {
        const int64_t rest = rows.columns - i;
        const Lanes probabilities = Exp((LoadPart(from + i, rest) - largests[row]) - log_totals[row]);
        StorePart(to + i, probabilities * -upstream[row], rest);
      }
      to[classes[row]] += upstream[row];
    }
  }
};

template <class Work>
TARGET void Task(const Work &work, int64_t task) {
  work.Do(task);
}

template <class Work>
void RunRows(const Work &work, int64_t numbers) {
  RunTasks(work, work.rows.tasks(), kOperations * numbers);
}

Rows RowsOf(TF_Tensor *matrix) {
  if (TF_NumDims(matrix) != 2) throw std::invalid_argument("expected a matrix as input 0");
  return {TF_Dim(matrix, 0), TF_Dim(matrix, 1)};
}

void ComputeNorm(TF_OpKernelContext *context) {
  Call call(context);
  TF_Tensor *x = call.Input(0);
  const Rows rows = RowsOf(x);
  const int64_t size = SizeOf(x, 2);
  RunRows(Norm{rows, call.Data<float>(0, size), call.Data<float>(1, rows.columns), *call.Data<float>(2, 1), call.Output(0, x, 2)}, size);
}

void ComputeNormGrad(TF_OpKernelContext *context) {
  Call call(context);
  TF_Tensor *x = call.Input(0);
  const Rows rows = RowsOf(x);
  const int64_t size = SizeOf(x, 2);
  std::vector<float> grad_weights(rows.tasks() * rows.columns);
  RunRows(NormGrad{rows, call.Data<float>(0, size), call.Data<float>(1, rows.columns), call.Data<float>(2, size), *call.Data<float>(3, 1),
                   call.Output(0, x, 2), grad_weights.data()},
          size);
  float *grad_weight = call.Zeros(1, call.Input(1), 1);
  for (int64_t task = 0; task < rows.tasks(); task++)
    for (int64_t i = 0; i < rows.columns; i++) grad_weight[i] += grad_weights[task * rows.columns + i];
}

void ComputeGate(TF_OpKernelContext *context) {
  Call call(context);
  TF_Tensor *gate = call.Input(0);
  const Rows rows = RowsOf(gate);
  const int64_t size = SizeOf(gate, 2);
  RunRows(Gate{rows, call.Data<float>(0, size), call.Data<float>(1, size), call.Output(0, gate, 2)}, size);
}

void ComputeGateGrad(TF_OpKernelContext *context) {
  Call call(context);
  TF_Tensor *gate = call.Input(0);
  const Rows rows = RowsOf(gate);
  const int64_t size = SizeOf(gate, 2);
  RunRows(GateGrad{rows, call.Data<float>(0, size), call.Data<float>(1, size), call.Data<float>(2, size), call.Output(0, gate, 2),
                   call.Output(1, gate, 2)},
          size);
}

void ComputeRotation(TF_OpKernelContext *context) {
  Call call(context);
  TF_Tensor *x = call.Input(0);
  if (TF_NumDims(x) != 3) throw std::invalid_argument("expected [tokens, heads, head size] as input 0");
  const Rows rows{TF_Dim(x, 0), TF_Dim(x, 2)};
  const int64_t size = SizeOf(x, 3), angles = rows.rows * rows.columns;
  RunRows(Rotation{rows, TF_Dim(x, 1), call.Data<float>(0, size), call.Data<float>(1, angles), call.Data<float>(2, angles),
                   call.Output(0, x, 3)},
          size);
}

const int32_t *ClassesOf(Call &call, const Rows &rows) {
  const int32_t *classes = call.Data<int32_t>(1, rows.rows);
  for (int64_t row = 0; row < rows.rows; row++)
    if (classes[row] < 0 || classes[row] >= rows.columns) throw std::invalid_argument("a class that has no logit");
  return classes;
}

void ComputeLogprob(TF_OpKernelContext *context) {
  Call call(context);
  TF_Tensor *logits = call.Input(0);
  const Rows rows = RowsOf(logits);
  const int64_t size = SizeOf(logits, 2);
  RunRows(Logprob{rows, call.Data<float>(0, size), ClassesOf(call, rows), call.Output(0, logits, 1), call.Output(1, logits, 1),
                  call.Output(2, logits, 1)},
          size);
}

void ComputeLogprobGrad(TF_OpKernelContext *context) {
  Call call(context);
  TF_Tensor *logits = call.Input(0);
  const Rows rows = RowsOf(logits);
  const int64_t size = SizeOf(logits, 2);
  RunRows(LogprobGrad{rows, call.Data<float>(0, size), ClassesOf(call, rows), call.Data<float>(2, rows.rows),
                      call.Data<float>(3, rows.rows), call.Data<float>(4, rows.rows), call.Output(0, logits, 2)},
          size);
}

/** Outputs of the shape of the first input's first axes. */
template <int kOutputs, int kAxes>
void LikeFirst(TF_ShapeInferenceContext *context, TF_Status *status) {
  for (int output = 0; output < kOutputs; output++) SetShape(context, output, 0, kAxes, status);
}

const bool registered = IsForThisProcessor() && [] {
  Register("LlamaNorm", {{"x: float", "weight: float", "epsilon: float"}, {"normed: float"}}, LikeFirst<1, 2>, Guarded<ComputeNorm>);
  Register("LlamaNormGrad",
           {{"x: float", "weight: float", "upstream: float", "epsilon: float"}, {"grad_x: float", "grad_weight: float"}},
           [](TF_ShapeInferenceContext *context, TF_Status *status) {
             SetShape(context, 0, 0, 2, status);
             SetShape(context, 1, 1, 1, status);
           },
           Guarded<ComputeNormGrad>);
  Register("LlamaGate", {{"gate: float", "up: float"}, {"gated: float"}}, LikeFirst<1, 2>, Guarded<ComputeGate>);
  Register("LlamaGateGrad", {{"gate: float", "up: float", "upstream: float"}, {"grad_gate: float", "grad_up: float"}}, LikeFirst<2, 2>,
           Guarded<ComputeGateGrad>);
  Register("LlamaRotation", {{"x: float", "cosines: float", "sines: float"}, {"rotated: float"}}, LikeFirst<1, 3>,
           Guarded<ComputeRotation>);
  Register("LlamaLogprob", {{"logits: float", "classes: int32"}, {"logprobs: float", "largests: float", "log_totals: float"}}, LikeFirst<3, 1>,
           Guarded<ComputeLogprob>);
  Register("LlamaLogprobGrad",
           {{"logits: float", "classes: int32", "largests: float", "log_totals: float", "upstream: float"}, {"grad_logits: float"}},
           LikeFirst<1, 2>, Guarded<ComputeLogprobGrad>);
  return true;
}();

}  // namespace
