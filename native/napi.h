// What the files that add functions to the binding share: arguments out of JavaScript, and errors into it.
#ifndef REFT_NATIVE_NAPI_H_
#define REFT_NATIVE_NAPI_H_

#include <node_api.h>

#include <stdexcept>
#include <string>

#include "tensorflow/c/c_api.h"

namespace tfnodejs {

struct Status {
  TF_Status *raw = TF_NewStatus();
  ~Status() { TF_DeleteStatus(raw); }
  void Check(const std::string &doing) const {
    if (TF_GetCode(raw) != TF_OK) throw std::runtime_error(doing + ": " + TF_Message(raw));
  }
};

inline void Ok(napi_status status, const char *doing) {
  if (status != napi_ok) throw std::runtime_error(std::string(doing) + ": unexpected argument");
}

inline std::string StringOf(napi_env env, napi_value value) {
  size_t length = 0;
  Ok(napi_get_value_string_utf8(env, value, nullptr, 0, &length), "reading a string");
  std::string text(length, '\0');
  Ok(napi_get_value_string_utf8(env, value, &text[0], length + 1, &length), "reading a string");
  return text;
}

// C++ exceptions must not cross into Node: they become JavaScript errors here. `Data` is what a function was registered with.
template <typename Data, napi_value (*Function)(napi_env, napi_value *, Data *), size_t kArguments>
napi_value Guarded(napi_env env, napi_callback_info info) {
  size_t count = kArguments;
  napi_value args[kArguments + 1];
  void *data = nullptr;
  if (napi_get_cb_info(env, info, &count, args, nullptr, &data) != napi_ok) return nullptr;
  if (count < kArguments) {
    napi_throw_type_error(env, nullptr, "too few arguments");
    return nullptr;
  }
  try {
    return Function(env, args, static_cast<Data *>(data));
  } catch (const std::exception &error) {
    napi_throw_error(env, nullptr, error.what());
    return nullptr;
  }
}

}  // namespace tfnodejs

#endif  // REFT_NATIVE_NAPI_H_
