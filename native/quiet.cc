// Loads TensorFlow's framework library without the two lines that its static initialisers write when oneDNN is on. They
// go through absl, which neither reads TF_CPP_MIN_LOG_LEVEL nor can be reached before. A failure is reported by the binding,
// which needs the same library.
#include <dlfcn.h>
#include <fcntl.h>
#include <node_api.h>
#include <unistd.h>

NAPI_MODULE_INIT() {
  (void)env;
  const int standard_error = dup(2);
  const int nowhere = open("/dev/null", O_WRONLY);
  if (standard_error >= 0 && nowhere >= 0) dup2(nowhere, 2);
  dlopen("libtensorflow_framework.so.2", RTLD_LAZY);
  if (standard_error >= 0) dup2(standard_error, 2);
  close(nowhere);
  close(standard_error);
  return exports;
}
