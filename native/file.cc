// Weights of 16 bits, from a file straight into memory that TensorFlow owns: nothing is copied, and nothing of it is JavaScript's.
#include <fcntl.h>
#include <unistd.h>

#include "kernels.h"

namespace {

/** Numbers that are read and looked at together, so that they are still in the processor's cache. */
constexpr int64_t kPiece = 1 << 17;

struct Settings {
  const std::string path;
  const int64_t begin;

  explicit Settings(Attributes attributes) : path(attributes.String("path")), begin(attributes.Long("begin")) {}
};

struct File {
  const int descriptor;
  explicit File(const std::string &path) : descriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (descriptor < 0) throw std::invalid_argument("the file cannot be opened");
  }
  ~File() { close(descriptor); }
};

void ReadFully(const File &file, char *to, int64_t bytes, int64_t at) {
  for (int64_t done = 0; done < bytes;) {
    const ssize_t count = pread(file.descriptor, to + done, bytes - done, at + done);
    if (count <= 0) throw std::invalid_argument("the file ends early");
    done += count;
  }
}

/** Infinities and NaNs have all bits of the exponent. */
bool AreFinite(const uint16_t *bits, int64_t count) {
  bool finite = true;
  for (int64_t i = 0; i < count; i++) finite &= (bits[i] & 0x7f80) != 0x7f80;
  return finite;
}

void ComputeRead(const Settings &settings, TF_OpKernelContext *context) {
  Call call(context);
  TF_Tensor *wanted = call.Input(0);
  const auto *sizes = static_cast<const int32_t *>(TF_TensorData(wanted));
  const std::vector<int64_t> shape(sizes, sizes + TF_TensorElementCount(wanted));
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  auto *bits = static_cast<uint16_t *>(call.Memory(0, shape, TF_BFLOAT16, sizeof(uint16_t)));
  const File file(settings.path);
  for (int64_t at = 0; at < count; at += kPiece) {
    const int64_t part = std::min(kPiece, count - at);
    ReadFully(file, reinterpret_cast<char *>(bits + at), 2 * part, settings.begin + 2 * at);
    if (!AreFinite(bits + at, part)) throw std::invalid_argument("a number is not finite");
  }
}

const bool registered = [] {
  Register("ReadBfloat16",
           {{"shape: int32"}, {"values: bfloat16"}, {"path: string", "begin: int"}, true},
           [](TF_ShapeInferenceContext *context, TF_Status *status) {
             TF_ShapeInferenceContextSetUnknownShape(context, status);
           },
           GuardedWith<Settings, ComputeRead>, Created<Settings>, Deleted<Settings>);
  return true;
}();

}  // namespace
