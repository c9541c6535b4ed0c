// What the CPU ops of our own share: threads, and TensorFlow's C interface for ops. Everything is in a namespace without a name, so that
// no copy of a file (vectors.h) is linked to another's instruction set.
#ifndef REFT_NATIVE_KERNELS_H_
#define REFT_NATIVE_KERNELS_H_

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <initializer_list>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#define IS_SLIM_BUILD  // else kernels.h wants headers from outside the C API
#include "tensorflow/c/kernels.h"
#include "tensorflow/c/ops.h"
#include "tensorflow/c/tf_tensor.h"

#define INLINE inline __attribute__((always_inline))

namespace {

INLINE int64_t RoundedUp(int64_t size, int64_t unit) { return (size + unit - 1) / unit * unit; }

// --- Threads ---

/** How many threads an op is worth: as many as TensorFlow has for one, when there is enough to do for each. */
int64_t ThreadsFor(double operations) {
  static const int64_t most = [] {
    const char *setting = std::getenv("TF_NUM_INTRAOP_THREADS");
    const int64_t threads = setting ? std::atoll(setting) : 0;
    return threads > 0 ? threads : int64_t(std::thread::hardware_concurrency());
  }();
  const double worth = 4e6;  // of a thread: starting one takes some tens of microseconds
  return std::max<int64_t>(1, std::min(most, int64_t(operations / worth)));
}

/** Runs body(member, count) for members 0 to count - 1, each on a thread of its own; count is less than `most` where no more threads
 * are to be had. body throws nothing. */
template <class Body>
void OnThreads(int64_t most, const Body &body) {
  std::atomic<int64_t> count{0};
  const auto wait = [&](int64_t member) {
    while (count == 0) std::this_thread::yield();
    body(member, count);
  };
  std::vector<std::thread> others;
  others.reserve(most);
  try {
    for (int64_t member = 1; member < most; member++) others.emplace_back(wait, member);
  } catch (const std::exception &) {
    // Those that there are do the work.
  }
  count = others.size() + 1;
  body(0, count);
  for (std::thread &other : others) other.join();
}

struct Range {
  int64_t begin, end;
};

/** Threads that work on one thing, part by part. */
class Team {
 public:
  /**
   * Returns when all have called it. Who waits for long sleeps: on a busy machine a thread that only looked would use up the time
   * in which it could work.
   */
  void Wait(int64_t count) {
    const int64_t now = round_;
    if (++arrived_ == count) {
      arrived_ = 0;
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        round_ = now + 1;
      }
      next_.notify_all();
      return;
    }
    for (int looks = 0; looks < 20000; looks++)  // some tens of microseconds
      if (round_ != now) return;
    std::unique_lock<std::mutex> lock(mutex_);
    next_.wait(lock, [&] { return round_ != now; });
  }

 private:
  std::atomic<int64_t> arrived_{0}, round_{0};
  std::mutex mutex_;
  std::condition_variable next_;
};

/** A member's part of `total` things, in multiples of `unit`. */
INLINE Range ShareOf(int64_t total, int64_t unit, int64_t member, int64_t count) {
  const int64_t part = RoundedUp((total + count - 1) / count, unit);
  return {std::min(total, member * part), std::min(total, (member + 1) * part)};
}

/** Runs tasks 0 to count - 1 on as many threads as they are worth. */
template <class Work>
void RunTasks(const Work &work, int64_t count, double operations) {
  std::atomic<int64_t> next{0};
  std::atomic<bool> failed{false};
  OnThreads(std::min(count, ThreadsFor(operations)), [&](int64_t, int64_t) {
    try {
      for (int64_t task; (task = next++) < count;) Task(work, task);
    } catch (const std::bad_alloc &) {
      failed = true;
      next = count;
    }
  });
  if (failed) throw std::bad_alloc();
}

// --- TensorFlow's C interface ---

/** How many numbers the first axes have. */
int64_t SizeOf(TF_Tensor *tensor, int axes) {
  int64_t size = 1;
  for (int axis = 0; axis < axes; axis++) size *= TF_Dim(tensor, axis);
  return size;
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
  /** An input of so many numbers, of 4 bytes each. */
  template <class Number>
  Number *Data(int index, int64_t size) {
    TF_Tensor *tensor = Input(index);
    if (TF_TensorElementCount(tensor) != size)
      throw std::invalid_argument("input " + std::to_string(index) + ": expected " + std::to_string(size) + " numbers, found " +
                                  std::to_string(TF_TensorElementCount(tensor)));
    return static_cast<Number *>(TF_TensorData(tensor));
  }
  /** Memory of an output, which holds anything. */
  void *Memory(int index, const std::vector<int64_t> &shape, TF_DataType type, int64_t bytes_each) {
    int64_t size = 1;
    for (const int64_t axis : shape) size *= axis;
    TF_Tensor *tensor = TF_AllocateOutput(context_, index, type, shape.data(), shape.size(), bytes_each * size, status_);
    if (tensor == nullptr) throw std::bad_alloc();
    tensors_.push_back(tensor);
    return TF_TensorData(tensor);
  }
  /** The same of numbers of 4 bytes. */
  float *Output(int index, const std::vector<int64_t> &shape, TF_DataType type = TF_FLOAT) {
    return static_cast<float *>(Memory(index, shape, type, sizeof(float)));
  }
  /** The same, of the shape of an input's first axes. */
  float *Output(int index, TF_Tensor *like, int axes, TF_DataType type = TF_FLOAT) {
    std::vector<int64_t> shape;
    for (int axis = 0; axis < axes; axis++) shape.push_back(TF_Dim(like, axis));
    return Output(index, shape, type);
  }
  /** The same of zeros. */
  float *Zeros(int index, TF_Tensor *like, int axes, TF_DataType type = TF_FLOAT) {
    float *data = Output(index, like, axes, type);
    std::fill_n(data, SizeOf(like, axes), 0.0f);
    return data;
  }

 private:
  TF_OpKernelContext *context_;
  TF_Status *status_ = TF_NewStatus();
  std::vector<TF_Tensor *> tensors_;
};

/** Memory that is short and inputs that are wrong become the op's error: exceptions must not cross into TensorFlow. */
template <class Work>
void Guard(TF_OpKernelContext *context, const Work &work) {
  const auto fail = [context](TF_Code code, const char *message) {
    TF_Status *status = TF_NewStatus();
    TF_SetStatus(status, code, message);
    TF_OpKernelContext_Failure(context, status);
    TF_DeleteStatus(status);
  };
  try {
    work();
  } catch (const std::bad_alloc &error) {
    fail(TF_RESOURCE_EXHAUSTED, error.what());
  } catch (const std::invalid_argument &error) {
    fail(TF_INVALID_ARGUMENT, error.what());
  } catch (const std::exception &error) {
    fail(TF_INTERNAL, error.what());
  }
}

template <void (*Compute)(TF_OpKernelContext *)>
void Guarded(void *, TF_OpKernelContext *context) {
  Guard(context, [&] { Compute(context); });
}

/** The same for an op with settings, which `Created` has read. */
template <class Settings, void (*Compute)(const Settings &, TF_OpKernelContext *)>
void GuardedWith(void *settings, TF_OpKernelContext *context) {
  Guard(context, [&] { Compute(*static_cast<const Settings *>(settings), context); });
}

/** What an op was given as attributes, read when its kernel is made; of another type, or not there, is a defect. */
class Attributes {
 public:
  explicit Attributes(TF_OpKernelConstruction *construction) : construction_(construction) {}
  ~Attributes() { TF_DeleteStatus(status_); }
  int32_t Int(const char *name) {
    int32_t value = 0;
    TF_OpKernelConstruction_GetAttrInt32(construction_, name, &value, status_);
    return value;
  }
  std::vector<int32_t> Ints(const char *name) {
    int32_t count = 0, size = 0;
    TF_OpKernelConstruction_GetAttrSize(construction_, name, &count, &size, status_);
    std::vector<int32_t> values(std::max(0, count));
    TF_OpKernelConstruction_GetAttrInt32List(construction_, name, values.data(), values.size(), status_);
    return values;
  }
  int64_t Long(const char *name) {
    int64_t value = 0;
    TF_OpKernelConstruction_GetAttrInt64(construction_, name, &value, status_);
    return value;
  }
  std::string String(const char *name) {
    int32_t count = 0, size = 0;
    TF_OpKernelConstruction_GetAttrSize(construction_, name, &count, &size, status_);
    std::string text(std::max(0, size), '\0');
    TF_OpKernelConstruction_GetAttrString(construction_, name, &text[0], text.size(), status_);
    return text;
  }
  float Float(const char *name) {
    float value = 0;
    TF_OpKernelConstruction_GetAttrFloat(construction_, name, &value, status_);
    return value;
  }
  bool Bool(const char *name) {
    unsigned char value = 0;
    TF_OpKernelConstruction_GetAttrBool(construction_, name, &value, status_);
    return value != 0;
  }

 private:
  TF_OpKernelConstruction *construction_;
  TF_Status *status_ = TF_NewStatus();
};

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
typedef void *(*Create)(TF_OpKernelConstruction *);

/** Settings of a kernel, made of its attributes. */
template <class Settings>
void *Created(TF_OpKernelConstruction *construction) {
  return new Settings(Attributes(construction));
}

struct Interface {
  std::vector<const char *> inputs, outputs, attributes;
  /** Whether it writes to its inputs. */
  bool writes;
};

template <class Settings>
void Deleted(void *settings) {
  delete static_cast<Settings *>(settings);
}

void Register(const char *name, const Interface &interface, InferShapes infer, Compute compute, Create create = nullptr,
              void (*destroy)(void *) = nullptr) {
  TF_Status *status = TF_NewStatus();
  TF_OpDefinitionBuilder *definition = TF_NewOpDefinitionBuilder(name);
  for (const char *attribute : interface.attributes) TF_OpDefinitionBuilderAddAttr(definition, attribute);
  for (const char *input : interface.inputs) TF_OpDefinitionBuilderAddInput(definition, input);
  for (const char *output : interface.outputs) TF_OpDefinitionBuilderAddOutput(definition, output);
  TF_OpDefinitionBuilderSetIsStateful(definition, interface.writes);
  TF_OpDefinitionBuilderSetShapeInferenceFunction(definition, infer);
  TF_RegisterOpDefinition(definition, status);
  TF_RegisterKernelBuilder(name, TF_NewKernelBuilder(name, "CPU", create, compute, destroy), status);
  TF_DeleteStatus(status);
}

}  // namespace

#endif  // REFT_NATIVE_KERNELS_H_
